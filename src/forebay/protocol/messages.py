"""Builders and parsers of the messages that a login, a cancel and a simple query consist of.

Builders return whole messages. Parsers take a message's body (without type byte and length word)
and raise MalformedMessageError for anything that is not what the protocol describes (PostgreSQL
documentation, "Message Formats"); nothing else.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from forebay.protocol.startup import (
    CANCEL_REQUEST_CODE,
    MAX_CANCEL_KEY_BYTES,
    MIN_CANCEL_KEY_BYTES,
    SSL_REQUEST_CODE,
)

AUTHENTICATION_OK: Final = 0
AUTHENTICATION_CLEARTEXT_PASSWORD: Final = 3
AUTHENTICATION_MD5_PASSWORD: Final = 5
AUTHENTICATION_SASL: Final = 10
AUTHENTICATION_SASL_CONTINUE: Final = 11
AUTHENTICATION_SASL_FINAL: Final = 12

MAX_PARAMETERS: Final = 65_535
"""Of one statement: what the protocol's Int16 can count."""

_U32: Final = struct.Struct("!I")
_I32: Final = struct.Struct("!i")
_U16: Final = struct.Struct("!H")


class MalformedMessageError(ValueError):
    """A message's body is not what the protocol describes."""


class Message(NamedTuple):
    """A message as it was received: its type byte and its body."""

    type: int
    body: bytes


def message(kind: bytes, body: bytes = b"") -> bytes:
    """A whole message from its type byte and body."""
    return kind + _U32.pack(len(body) + 4) + body


# ---- What a server sends -------------------------------------------------------------------------


def authentication_ok() -> bytes:
    return message(b"R", _U32.pack(AUTHENTICATION_OK))


def authentication_cleartext_password() -> bytes:
    return message(b"R", _U32.pack(AUTHENTICATION_CLEARTEXT_PASSWORD))


def authentication_md5_password(salt: bytes) -> bytes:
    """Asks for md5(md5(password + user) + salt); the salt has four bytes."""
    return message(b"R", _U32.pack(AUTHENTICATION_MD5_PASSWORD) + salt)


def authentication_sasl(mechanisms: Iterable[str]) -> bytes:
    """Offers SASL mechanisms, in order of preference."""
    names = b"".join(name.encode("ascii") + b"\0" for name in mechanisms)
    return message(b"R", _U32.pack(AUTHENTICATION_SASL) + names + b"\0")


def authentication_sasl_continue(data: bytes) -> bytes:
    return message(b"R", _U32.pack(AUTHENTICATION_SASL_CONTINUE) + data)


def authentication_sasl_final(data: bytes) -> bytes:
    return message(b"R", _U32.pack(AUTHENTICATION_SASL_FINAL) + data)


def parameter_status(name: str, value: str) -> bytes:
    return message(b"S", _cstring(name) + _cstring(value))


def backend_key_data(pid: int, key: bytes) -> bytes:
    """The key that cancels this connection's queries: 4 bytes in protocol 3.0, up to 256 in 3.2."""
    if not MIN_CANCEL_KEY_BYTES <= len(key) <= MAX_CANCEL_KEY_BYTES:
        raise ValueError("a cancel key has 4 to 256 bytes")
    return message(b"K", _I32.pack(pid) + key)


def ready_for_query(status: bytes) -> bytes:
    """Status is b"I" (idle), b"T" (in a transaction) or b"E" (in a failed one)."""
    return message(b"Z", status)


# ---- What a client sends -------------------------------------------------------------------------


def ssl_request() -> bytes:
    return struct.pack("!II", 8, SSL_REQUEST_CODE)


def cancel_request(pid: int, key: bytes) -> bytes:
    return struct.pack("!IIi", 12 + len(key), CANCEL_REQUEST_CODE, pid) + key


def startup_message(parameters: Mapping[str, str], minor: int = 0) -> bytes:
    """The first message of protocol 3.`minor`; raises ValueError for an empty name or a NUL."""
    pairs = b"".join(_cstring(name) + _cstring(value) for name, value in parameters.items())
    if "" in parameters:
        raise ValueError("a startup parameter has no name")
    body = _U32.pack(3 << 16 | minor) + pairs + b"\0"
    return _U32.pack(len(body) + 4) + body


def password_message(password: str) -> bytes:
    """A cleartext or MD5 password."""
    return message(b"p", _cstring(password))


def sasl_initial_response(mechanism: str, data: bytes) -> bytes:
    return message(b"p", _cstring(mechanism) + _U32.pack(len(data)) + data)


def sasl_response(data: bytes) -> bytes:
    return message(b"p", data)


def query(sql: str) -> bytes:
    return message(b"Q", _cstring(sql))


def parse_unnamed(sql: str) -> bytes:
    """Parse: makes the unnamed statement; the server finds out the types of its parameters."""
    return message(b"P", b"\0" + _cstring(sql) + _U16.pack(0))


def bind_unnamed(parameters: Sequence[str | None]) -> bytes:
    """Bind: the unnamed portal of the unnamed statement, with parameters and results as text; None
    is NULL. Raises ValueError for more parameters than there can be, and for a NUL in one."""
    if len(parameters) > MAX_PARAMETERS:
        raise ValueError(f"a statement has at most {MAX_PARAMETERS} parameters")
    values = b"".join(map(_value, parameters))
    formats = _U16.pack(0)  # none named: text, for all
    return message(b"B", b"\0\0" + formats + _U16.pack(len(parameters)) + values + formats)


def execute_unnamed() -> bytes:
    """Execute: all rows of the unnamed portal."""
    return message(b"E", b"\0" + _U32.pack(0))


def copy_fail(reason: str) -> bytes:
    return message(b"f", _cstring(reason))


def sync() -> bytes:
    return message(b"S")


def terminate() -> bytes:
    return message(b"X")


# ---- Reading -------------------------------------------------------------------------------------


def parse_authentication(body: bytes) -> tuple[int, bytes]:
    """The kind of an Authentication message (AUTHENTICATION_...) and what follows it."""
    if len(body) < 4:
        raise MalformedMessageError("Authentication message is too short")
    return _U32.unpack_from(body)[0], body[4:]


def parse_sasl_mechanisms(data: bytes) -> list[str]:
    """The mechanisms that a server offers, from what follows AUTHENTICATION_SASL."""
    if not data.endswith(b"\0"):
        raise MalformedMessageError("list of SASL mechanisms does not end")
    names = data.split(b"\0")
    return [name.decode("ascii", "replace") for name in names[: names.index(b"")]]


def parse_sasl_initial_response(body: bytes) -> tuple[str, bytes]:
    """The mechanism a client chose, and its first message (empty if there is none)."""
    name, end, rest = body.partition(b"\0")
    if not end or len(rest) < 4:
        raise MalformedMessageError("SASLInitialResponse is too short")
    (length,) = _I32.unpack_from(rest)
    data = rest[4:]
    if length != len(data) and not (length == -1 and not data):
        raise MalformedMessageError("SASLInitialResponse has a wrong length")
    return name.decode("ascii", "replace"), data


def parse_password(body: bytes) -> bytes:
    """The password of a PasswordMessage."""
    if not body or body.find(b"\0") != len(body) - 1:
        raise MalformedMessageError("invalid password packet size")
    return body[:-1]


def parse_parameter_status(body: bytes) -> tuple[str, str]:
    parts = body.split(b"\0")
    if len(parts) != 3 or parts[2]:
        raise MalformedMessageError("malformed ParameterStatus")
    return _text(parts[0]), _text(parts[1])


def parse_backend_key_data(body: bytes) -> tuple[int, bytes]:
    """Process id and cancel key."""
    if not 4 + MIN_CANCEL_KEY_BYTES <= len(body) <= 4 + MAX_CANCEL_KEY_BYTES:
        raise MalformedMessageError("BackendKeyData has a wrong length")
    return _I32.unpack_from(body)[0], body[4:]


def parse_ready_for_query(body: bytes) -> bytes:
    if body not in (b"I", b"T", b"E"):
        raise MalformedMessageError("ReadyForQuery has an unknown status")
    return body


def parse_data_row(body: bytes) -> list[str | None]:
    """The columns of a row in text format; None is NULL."""
    if len(body) < 2:
        raise MalformedMessageError("DataRow is too short")
    (count,) = _U16.unpack_from(body)
    columns: list[str | None] = []
    offset = 2
    for _ in range(count):
        if offset + 4 > len(body):
            raise MalformedMessageError("DataRow is too short")
        (length,) = _I32.unpack_from(body, offset)
        offset += 4
        if length == -1:
            columns.append(None)
            continue
        if length < 0 or offset + length > len(body):
            raise MalformedMessageError("DataRow has a wrong length")
        columns.append(_text(body[offset : offset + length]))
        offset += length
    if offset != len(body):
        raise MalformedMessageError("DataRow is too long")
    return columns


def _value(value: str | None) -> bytes:
    if value is None:
        return _I32.pack(-1)
    encoded = _cstring(value)[:-1]
    return _I32.pack(len(encoded)) + encoded


def _cstring(value: str) -> bytes:
    if "\0" in value:
        raise ValueError("a string of the protocol cannot contain a NUL")
    return value.encode("utf-8", "surrogateescape") + b"\0"


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
