"""Preparation of passwords for SCRAM (RFC 4013), as PostgreSQL does it (saslprep.c).

PostgreSQL differs from the RFC in one way that matters: a password that the RFC forbids is used as
it is instead of being refused, so that every password works.
"""

import stringprep
import unicodedata

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def saslprep(password: str) -> bytes:
    """The bytes that the keys of a password are derived from."""
    if not password.isascii():
        password = _prepare(password)
    return password.encode("utf-8", "surrogateescape")


def _prepare(password: str) -> str:
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in password
        if stringprep.in_table_c12(character) or not stringprep.in_table_b1(character)
    )
    # The RFC looks for what is forbidden in the normalized text; PostgreSQL does so before, and
    # what counts is to derive the keys that PostgreSQL and libpq derive.
    if not mapped or any(prohibits(c) for c in mapped for prohibits in _PROHIBITED):
        return password
    right_to_left = [stringprep.in_table_d1(character) for character in mapped]
    if any(right_to_left):
        left_to_right = any(stringprep.in_table_d2(character) for character in mapped)
        if left_to_right or not (right_to_left[0] and right_to_left[-1]):
            return password
    return unicodedata.normalize("NFKC", mapped)
