"""Passwords are prepared as PostgreSQL prepares them."""

import pytest

from forebay.protocol.saslprep import saslprep


@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        ("plain ASCII", "plain ASCII"),
        ("a\u00a0b", "a b"),  # a space that does not break lines (RFC 3454, C.1.2)
        ("I\u00adX", "IX"),  # nothing is left of a soft hyphen,
        ("\u00aa", "a"),  # compatibility characters are decomposed,
        ("\u2168", "IX"),
        ("e\u0301", "\u00e9"),  # and the rest is composed.
    ],
)
def test_what_is_mapped(password: str, prepared: str) -> None:
    assert saslprep(password) == prepared.encode()


@pytest.mark.parametrize(
    "password",
    [
        "\u00ad",  # nothing would be left
        "é\x07",  # a control character
        "\u0627\u0031",  # begins from right to left and does not end so
        "\u0627a\u0627",  # both directions
        "\u0221",  # not assigned in Unicode 3.2
    ],
)
def test_what_the_standard_forbids_is_taken_as_it_is(password: str) -> None:
    assert saslprep(password) == password.encode()


def test_bytes_that_are_no_utf_8() -> None:
    assert saslprep(b"p\xff".decode(errors="surrogateescape")) == b"p\xff"
