"""PostgreSQL's MD5 authentication, both sides.

The password itself never travels: the client sends md5(md5(password + user) + salt). MD5 is weak
and PostgreSQL has deprecated it; it is here for users and databases that are still set so.
"""

import hashlib
import hmac
import re

SALT_BYTES = 4

_STORED_FORM = re.compile(r"md5([0-9a-f]{32})")


def stored_hash(user: str, password: str) -> str:
    """md5(password + user) in hexadecimal: as good as the password, so keep it as secret."""
    return _md5_hex(_encode(password) + _encode(user))


def parse_stored(stored: str) -> str | None:
    """The hash in the form in which PostgreSQL stores it (pg_authid.rolpassword): `md5` and 32
    hexadecimal digits. None if it is not of this form."""
    match = _STORED_FORM.fullmatch(stored)
    return None if match is None else match[1]


def response(stored: str, salt: bytes) -> str:
    """What a client answers to a salt: "md5" and 32 hexadecimal digits."""
    return "md5" + _md5_hex(stored.encode("ascii") + salt)


def verify(stored: str, salt: bytes, answer: bytes) -> bool:
    """Whether an answer proves the password; takes the same time for right and wrong ones."""
    return hmac.compare_digest(response(stored, salt).encode("ascii"), answer)


def _md5_hex(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
