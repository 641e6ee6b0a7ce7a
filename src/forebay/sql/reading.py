"""What the meaning of a statement's text depends on, beyond the text, and the same text for
other settings. Pure.

PostgreSQL reads a prepared statement's bytes and literals when it is prepared, and goes on from
what it has read then. Who prepares it a second time must know how it was read the first time.
"""

import re
from typing import Final, NamedTuple

from forebay.sql.lexer import Kind, lex

# PostgreSQL's names of encodings, and Python's, where both mean the same characters.
_CODECS: Final = {
    "UTF8": "utf-8",
    **{f"LATIN{number}": f"iso8859-{number}" for number in range(1, 5)},
    **{f"LATIN{number}": f"iso8859-{number + 4}" for number in (5, 6)},
    **{f"LATIN{number}": f"iso8859-{number + 6}" for number in range(7, 11)},
    **{f"ISO_8859_{number}": f"iso8859-{number}" for number in range(5, 9)},
    **{f"WIN{number}": f"cp{number}" for number in (866, 874, *range(1250, 1259))},
    "KOI8R": "koi8-r",
    "KOI8U": "koi8-u",
}
# Encodings in which the second byte of a character may look like a backslash: what an escape string
# holds cannot be read with certainty.
AMBIGUOUS_ENCODINGS: Final = frozenset(
    {"SJIS", "SHIFT_JIS_2004", "BIG5", "GBK", "UHC", "GB18030", "JOHAB"}
)
# A dollar that does not begin a parameter's number may quote.
_LITERAL: Final = re.compile(rb"'|\$[^0-9]")
_NULL: Final = re.compile(rb"\bnull\b", re.IGNORECASE)
# In a literal, these are times from when it is read on; now() is read whenever it runs.
_MOMENT: Final = re.compile(
    rb"['$][^'$]*\b(?:now|today|tomorrow|yesterday)\b(?!\s*\()", re.IGNORECASE
)


class Reading(NamedTuple):
    """The settings by which PostgreSQL reads the bytes of a text."""

    client_encoding: str
    standard_conforming_strings: bool

    @property
    def is_ambiguous(self) -> bool:
        """Whether a byte that looks like ASCII may be half of a character."""
        return self.client_encoding in AMBIGUOUS_ENCODINGS


STANDARD: Final = Reading("UTF8", True)


class Traits(NamedTuple):
    """What a text depends on."""

    literals: bool  # it has some, or nulls: settings decide which date '1.2.2024' is
    raw: bool  # a Reading: that decides which characters its bytes are
    moment: bool  # the time at which it is read


def traits(text: bytes) -> Traits:
    """What the text of a statement may depend on."""
    literals = _LITERAL.search(text) is not None
    return Traits(
        literals or _NULL.search(text) is not None,
        b"\\" in text or not text.isascii(),
        literals and _MOMENT.search(text) is not None,
    )


def reread(text: bytes, before: Reading, now: Reading) -> bytes:
    """Returns the text that means, read as `now`, what `text` means read as `before`.

    Raises ValueError if there is no such text, or none is known.
    """
    if before.standard_conforming_strings != now.standard_conforming_strings:
        text = _requoted(text, before.standard_conforming_strings)
    if before.client_encoding == now.client_encoding or text.isascii():
        return text
    codecs = _CODECS.get(before.client_encoding), _CODECS.get(now.client_encoding)
    if codecs[0] is None or codecs[1] is None:
        raise ValueError(f"from {before.client_encoding} to {now.client_encoding}")
    return text.decode(codecs[0]).encode(codecs[1])


def in_utf8(name: bytes, reading: Reading) -> bytes | None:
    """Returns a name, from a text that was read as `reading`, in UTF-8; None if that is not
    known."""
    codec = _CODECS.get(reading.client_encoding)
    if name.isascii() or codec == "utf-8":
        return name
    try:
        return None if codec is None else name.decode(codec).encode()
    except ValueError:
        return None


def _requoted(text: bytes, conforming: bool) -> bytes:
    """Returns the text written for the other value of standard_conforming_strings. `conforming` is
    the value for which it is written now. Raises ValueError if it cannot be written so."""
    lexed = lex(text, standard_conforming_strings=conforming, ambiguous_encoding=True)
    if lexed.trouble is not None:
        raise ValueError(lexed.trouble.value)
    parts = []
    at = 0
    for kind, start, end, _ in lexed.tokens:
        raw = text[start:end]
        if kind in (Kind.UNICODE_STRING, Kind.UNICODE_NAME):
            raise ValueError("U& is only for strings that conform to the standard")
        if kind not in (Kind.STRING, Kind.NATIONAL_STRING) or b"\\" not in raw:
            continue
        if kind is Kind.NATIONAL_STRING:
            raise ValueError("a national string has no other form")
        parts += [text[at:start], b" E", raw.replace(b"\\", b"\\\\") if conforming else raw]
        at = end
    return b"".join([*parts, text[at:]])
