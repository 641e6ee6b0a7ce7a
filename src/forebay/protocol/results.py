"""Builders of what answers a query: rows and what goes with them, in text and in binary format.

Sources: PostgreSQL documentation, "Message Formats"; pg_type.dat for the types' numbers and sizes;
src/backend/utils/adt/numeric.c (numeric_send) for the binary form of numeric.
"""

import struct
from collections.abc import Sequence
from typing import Final, Literal

from forebay.protocol.messages import message

Type = Literal["text", "int4", "int8", "bool", "numeric"]
Column = tuple[str, Type]
"""A column's name and type."""

TYPES: Final[dict[Type, tuple[int, int]]] = {
    "text": (25, -1),
    "int4": (23, 4),
    "int8": (20, 8),
    "bool": (16, 1),
    "numeric": (1700, -1),
}
"""Each type's number (OID) and size in bytes; -1 where that varies."""

_DIGITS: Final = 4  # decimal ones in each of numeric's
_FIELD: Final = struct.Struct("!IhIhih")
_COUNT: Final = struct.Struct("!H")
_LENGTH: Final = struct.Struct("!i")
_NUMERIC: Final = struct.Struct("!hhHh")
_NEGATIVE: Final = 0x4000


def formats_of(columns: Sequence[Column], codes: Sequence[int]) -> list[int]:
    """The format of each column (0 text, 1 binary) from what Bind says: nothing, one for all, or
    one each. Raises ValueError for other counts and codes."""
    if len(codes) > 1 and len(codes) != len(columns):
        text = f"bind message has {len(codes)} result formats but query has {len(columns)} columns"
        raise ValueError(text)
    if not set(codes) <= {0, 1}:
        raise ValueError("unsupported format code")
    return list(codes) if len(codes) > 1 else list(codes or [0]) * len(columns)


def row_description(columns: Sequence[Column], formats: Sequence[int]) -> bytes:
    """RowDescription. The columns are those of no table."""
    fields = [
        name.encode("utf-8", "replace") + b"\0" + _FIELD.pack(0, 0, *TYPES[kind], -1, code)
        for (name, kind), code in zip(columns, formats, strict=True)
    ]
    return message(b"T", _COUNT.pack(len(columns)) + b"".join(fields))


def data_row(
    values: Sequence[str | None], columns: Sequence[Column], formats: Sequence[int]
) -> bytes:
    """DataRow. ``values``: as text; None is NULL. Raises ValueError for a number that is none."""
    parts = [_COUNT.pack(len(values))]
    for value, (_, kind), code in zip(values, columns, formats, strict=True):
        if value is None:
            parts.append(_LENGTH.pack(-1))
            continue
        encoded = binary(value, kind) if code else _text(value)
        parts.append(_LENGTH.pack(len(encoded)) + encoded)
    return message(b"D", b"".join(parts))


def binary(value: str, kind: Type) -> bytes:
    """A value of this type, given as text, in binary format."""
    match kind:
        case "int4":
            return int(value).to_bytes(4, "big", signed=True)
        case "int8":
            return int(value).to_bytes(8, "big", signed=True)
        case "bool":
            return b"\1" if value == "t" else b"\0"
        case "numeric":
            return _numeric(value)
    return _text(value)


def command_complete(tag: str) -> bytes:
    return message(b"C", tag.encode("ascii", "replace") + b"\0")


def empty_query_response() -> bytes:
    return message(b"I")


def parse_complete() -> bytes:
    return message(b"1")


def bind_complete() -> bytes:
    return message(b"2")


def close_complete() -> bytes:
    return message(b"3")


def no_data() -> bytes:
    return message(b"n")


def no_parameters() -> bytes:
    """ParameterDescription of a statement without any."""
    return message(b"t", _COUNT.pack(0))


def portal_suspended() -> bytes:
    return message(b"s")


def notice(text: str, detail: str = "") -> bytes:
    """NoticeResponse."""
    fields = [("S", "NOTICE"), ("V", "NOTICE"), ("C", "00000"), ("M", text)]
    if detail:
        fields.append(("D", detail))
    return message(
        b"N", b"".join(each[0].encode() + _text(each[1]) + b"\0" for each in fields) + b"\0"
    )


def _text(value: str) -> bytes:
    return value.encode("utf-8", "replace").replace(b"\0", b"?")


def _numeric(value: str) -> bytes:
    """Digits to the base 10,000, with the weight of the first, the sign, and the decimal digits
    behind the point that are shown."""
    int(value.replace(".", "", 1))  # ValueError if it is no number
    sign = _NEGATIVE if value.startswith("-") else 0
    whole, _, fraction = value.lstrip("+-").partition(".")
    shown = len(fraction)
    whole = whole.zfill(-(-len(whole) // _DIGITS) * _DIGITS)
    fraction = fraction.ljust(-(-len(fraction) // _DIGITS) * _DIGITS, "0")
    text = whole + fraction
    digits = [int(text[at : at + _DIGITS]) for at in range(0, len(text), _DIGITS)]
    weight = len(whole) // _DIGITS - 1
    while digits and digits[0] == 0:
        del digits[0]
        weight -= 1
    while digits and digits[-1] == 0:
        del digits[-1]
    if not digits:
        weight = sign = 0
    head = _NUMERIC.pack(len(digits), weight, sign, shown)
    return head + struct.pack(f"!{len(digits)}h", *digits)
