"""What quoted things mean: the value of a string or of a quoted name, as the server computes it."""

import re
from typing import Final


def repeated(piece: bytes) -> bytes:
    """The pattern ``piece`` once or more often, with no way back.

    Within an atomic group each repetition costs memory until the group ends, so there is a group
    for every few of them.
    """
    return b"(?>(?:(?>(?:" + piece + b"){1,250}))+)"


def inside(ordinary: bytes, special: bytes) -> bytes:
    """The pattern of what stands between quotes: ``ordinary`` bytes, and pairs that do not end it.

    There is one way only to match it: it ends where no ``special`` pair follows.
    """
    return (
        ordinary
        + (rb"(?:(?!" + special + rb")|")
        + repeated(rb"(?:" + special + rb")" + ordinary)
        + rb")"
    )


INSIDE_PLAIN: Final = inside(rb"[^']*", rb"''")
INSIDE_ESCAPE: Final = inside(rb"[^'\\]*", rb"''|\\.")

# Between the parts of a string that is continued on another line: blanks and line comments with at
# least one line break, then the next quote.
CONTINUATION: Final = (
    rb"(?>[ \t\f\v]*)(?:--[^\n\r]*|)[\n\r](?:(?=[ \t\n\r\f\v-])"
    + repeated(rb"[ \t\n\r\f\v]+|--[^\n\r]*[\n\r]")
    + rb"|)(?=')"
)

_PART: Final = rb"(?>(?:" + CONTINUATION + rb")?)'"
_PLAIN_PART: Final = re.compile(_PART + rb"(" + INSIDE_PLAIN + rb")'")
_ESCAPE_PART: Final = re.compile(_PART + rb"(" + INSIDE_ESCAPE + rb")'", re.DOTALL)
_ESCAPE: Final = re.compile(
    rb"''|\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))",
    re.DOTALL,
)
_CONTROL: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def quoted_name(raw: bytes) -> bytes:
    """The name that ``"..."`` stands for."""
    return raw[1:-1].replace(b'""', b'"')


def unicode_name(raw: bytes, escape: bytes = b"\\") -> bytes | None:
    """The name that ``U&"..."`` stands for, in UTF-8; None if an escape in it is invalid."""
    return _unescape_unicode(raw[3:-1].replace(b'""', b'"'), escape)


def plain_string(raw: bytes) -> bytes:
    """The value of ``'...'``, continued or not, without a prefix."""
    return b"".join(part.replace(b"''", b"'") for part in _PLAIN_PART.findall(raw))


def escape_string(raw: bytes) -> bytes | None:
    """The value of ``'...'`` with backslash escapes, without a prefix; None if one is invalid."""
    value = b"".join(_ESCAPE_PART.findall(raw))
    if b"\\" not in value:
        return value.replace(b"''", b"'")
    pieces: list[bytes] = []
    position = 0
    high = 0  # the first half of a surrogate pair, waiting for its second
    for match in _ESCAPE.finditer(value):
        between = value[position : match.start()]
        position = match.end()
        octal, hexadecimal, short, long, other = match.groups()
        if short or long:
            code = int(short or long, 16)
            if high and (between or not 0xDC00 <= code < 0xE000):
                return None
            high, encoded = _combine(high, code)
            if encoded is None:
                return None
            pieces += (between, encoded)
            continue
        if high:
            return None
        pieces.append(between)
        if octal:
            pieces.append(bytes((int(octal, 8) & 0xFF,)))
        elif hexadecimal:
            pieces.append(bytes((int(hexadecimal, 16),)))
        elif other is None:
            pieces.append(b"'")
        elif other in b"uU":
            return None  # too few digits
        else:
            pieces.append(_CONTROL.get(other, other))
    if high:
        return None
    pieces.append(value[position:])
    return b"".join(pieces)


def dollar_string(raw: bytes) -> bytes:
    """The value of ``$tag$...$tag$``."""
    size = raw.index(b"$", 1) + 1
    return raw[size:-size]


def _combine(high: int, code: int) -> tuple[int, bytes | None]:
    """One escaped code point: (a waiting first half or 0, what it adds; None if invalid)."""
    if high:
        code = 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)
    elif 0xD800 <= code < 0xDC00:
        return code, b""
    if code == 0 or code > 0x10FFFF or 0xD800 <= code < 0xE000:
        return 0, None
    return 0, chr(code).encode()


def _unescape_unicode(value: bytes, escape: bytes) -> bytes | None:
    if escape not in value:
        return value
    mark = re.escape(escape)
    pattern = re.compile(
        mark + rb"(?:(" + mark + rb")|([0-9A-Fa-f]{4})|\+([0-9A-Fa-f]{6})|)", re.DOTALL
    )
    pieces: list[bytes] = []
    position = high = 0
    for match in pattern.finditer(value):
        between = value[position : match.start()]
        position = match.end()
        doubled, short, long = match.groups()
        if not (short or long):
            if high or not doubled:
                return None
            pieces += (between, escape)
            continue
        code = int(short or long, 16)
        if high and (between or not 0xDC00 <= code < 0xE000):
            return None
        high, encoded = _combine(high, code)
        if encoded is None:
            return None
        pieces += (between, encoded)
    if high:
        return None
    pieces.append(value[position:])
    return b"".join(pieces)
