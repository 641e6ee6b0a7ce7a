"""Files of SQL as psql runs them: cut at semicolons, each statement sent by itself."""

import re
import sys
from pathlib import Path
from typing import Final

import msgspec

from forebay.cli.explanation import Explanation, Reader, explain_text, lines_of
from forebay.sql.lexer import Trouble, lex
from forebay.sql.names import as_understood
from forebay.sql.split import statements

MAX_TEXT_BYTES: Final = 1 << 24
"""More is not read: a text is explained as a whole, in memory."""

STANDARD_INPUT: Final = "<stdin>"

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
# psql's own commands, on lines of their own; those, anywhere, that send what stands before them.
_META_COMMAND: Final = re.compile(rb"^\\(?:[A-Za-z]\w*\+?|[!?;])(?=\s|$)[^\n]*", re.MULTILINE)
_SENDING: Final = re.compile(rb"\\(?:g|gx|gset|gexec|gdesc|crosstabview|watch)\b")
# COPY ... FROM STDIN is followed by rows up to \\. or the end. (A COPY is not longer than that.)
_COPY: Final = re.compile(rb"^[ \t]*COPY\b([^;]{1,20000});[^\n]*(?:\n|\Z)", re.I | re.MULTILINE)
_FROM_STDIN: Final = re.compile(rb"\bFROM\s+STDIN\b", re.I)
_END_OF_ROWS: Final = re.compile(rb"^\\\.\r?$|\Z", re.MULTILINE)


class InputError(Exception):
    """What was given can't be read as SQL; the text names it."""


def read_file(path: str) -> tuple[str, bytes]:
    """The name of a file, and its text; ``-`` is standard input. Raises InputError."""
    name = STANDARD_INPUT if path == "-" else path
    try:
        if path == "-":
            text = sys.stdin.buffer.read(MAX_TEXT_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                text = file.read(MAX_TEXT_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{name}: can't be read: {reason}") from None
    return name, checked(name, text)


def checked(name: str, text: bytes) -> bytes:
    """A text that a database would read as UTF-8, without a byte order mark. Raises InputError."""
    if len(text) > MAX_TEXT_BYTES:
        raise InputError(f"{name}: more than {MAX_TEXT_BYTES} bytes; split it")
    if text.startswith(_UTF_16):
        raise InputError(f"{name}: is UTF-16; convert it to UTF-8")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{name}:{line}: is not UTF-8 (byte 0x{text[error.start]:02x}); convert it"
        ) from None
    return text.removeprefix(_BYTE_ORDER_MARK)


def explain_script(name: str, text: bytes, reader: Reader) -> list[Explanation]:
    """One Explanation for each statement of a file, in order, with its line.

    psql's own commands at the beginnings of lines, and the rows of COPY, are passed over. A
    statement that does not end takes the rest of the file with it.
    """
    text = _with_ends(_only_sql(text))
    lexed = lex(text)
    parts = [(part[0].start, part[-1].end) for part in statements(as_understood(lexed.tokens))]
    if lexed.trouble is Trouble.UNTERMINATED:
        start = parts.pop()[0] if parts else 0
        parts.append((start, len(text)))
    found = []
    for (start, end), line in zip(parts, lines_of(text, tuple(parts)), strict=True):
        for each in explain_text(text[start:end], reader):
            at = line + each.line - 1
            found.append(msgspec.structs.replace(each, file=name, line=at))
    return found


def _only_sql(text: bytes) -> bytes:
    """The text without what is psql's; lines keep their numbers."""
    return _META_COMMAND.sub(
        lambda found: b";" if _SENDING.match(found[0]) else b"", _without_rows(text)
    )


def _with_ends(text: bytes) -> bytes:
    r"""The text with a semicolon for what sends the statement before it on its line: ``\gset``.
    A backslash outside of quotes means nothing else."""
    kept: list[bytes] = []
    position = 0
    for token in lex(text).tokens:
        if token.start >= position and _SENDING.match(text, token.start):
            kept += text[position : token.start], b";"
            end = text.find(b"\n", token.start)
            position = len(text) if end < 0 else end
    kept.append(text[position:])
    return b"".join(kept)


def _without_rows(text: bytes) -> bytes:
    kept: list[bytes] = []
    position = 0
    while copy := _COPY.search(text, position):
        kept.append(text[position : copy.end()])
        position = copy.end()
        if _FROM_STDIN.search(copy[1]):
            end = _END_OF_ROWS.search(text, position)
            after = len(text) if end is None else end.end()
            kept.append(b"\n" * text.count(b"\n", position, after))
            position = after
    kept.append(text[position:])
    return b"".join(kept)
