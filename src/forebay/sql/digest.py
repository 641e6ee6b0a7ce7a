"""One short line that stands for all statements that differ only in their literals.

Used where a statement is named to people (the log line of a pin): it must show no value, as values
may be secret, and must fit a line.
"""

from typing import Final

from forebay.sql.lexer import STRINGS, Kind, Token, lex

MAX_DIGEST_CHARACTERS: Final = 1024
# Of a longer text only the beginning is read.
_MAX_READ_BYTES: Final = 16 * MAX_DIGEST_CHARACTERS

_VALUES: Final = (
    *STRINGS,
    *(Kind.NUMBER, Kind.BIT_STRING, Kind.PARAMETER, Kind.UNTERMINATED),
)
_TIGHT_BEFORE: Final = frozenset({",", ")", ";", ".", "..", "]", "[", "::"})
_TIGHT_AFTER: Final = frozenset({"(", ".", "..", "[", "::"})
_MERGING: Final = frozenset({".", "..", ":", "::", ":="})  # without a blank these become others
_CUT: Final = "…"


def digest(
    text: str | bytes,
    *,
    standard_conforming_strings: bool = True,
    max_characters: int = MAX_DIGEST_CHARACTERS,
) -> str:
    """``text`` with literals and parameters as $1, $2 ... in their order, without comments.

    Keywords and unquoted names are in lower case, blanks are made equal, and the words that SET
    gives to a setting count as literals. At most ``max_characters`` (at least 16) long; a digest
    that is cut ends in "…". Never raises. The digest of a digest is the same.
    """
    raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    tokens = lex(
        raw[:_MAX_READ_BYTES], standard_conforming_strings=standard_conforming_strings
    ).tokens
    line: list[str] = []
    length = values = 0
    setting = assigned = False  # within SET; behind its = or TO
    before = ""
    for position, token in enumerate(tokens):
        piece = _piece(raw, token)
        if position == 0 or before == ";":
            setting, assigned = piece == "set", False
        is_value = token.kind in _VALUES or (
            assigned
            and token.kind in (Kind.WORD, Kind.QUOTED_NAME, Kind.UNICODE_NAME)
            and piece not in ("default", _CUT)
        )
        if is_value:
            values += 1
            piece = f"${values}"
        elif setting and piece in ("=", "to"):
            assigned = True
        # Whether a call's parenthesis touches its name is taken from the text.
        called = piece == "(" and position > 0 and token.start == tokens[position - 1].end
        blank = "" if not line or called or _is_tight(before, piece) else " "
        if length + len(blank) + len(piece) > max_characters - len(_CUT) - 1:
            break
        line += (blank, piece)
        length += len(blank) + len(piece)
        before = piece
    else:
        if len(raw) <= _MAX_READ_BYTES:
            return "".join(line)
    blank = "" if not line or _is_tight(before, _CUT) else " "
    return "".join(line) + blank + _CUT


def _piece(text: bytes, token: Token) -> str:
    """How a token that is no literal is written."""
    if token.kind is Kind.WORD:
        return _printable(token.value, "_")
    if token.kind in (Kind.QUOTED_NAME, Kind.UNICODE_NAME):
        return '"' + _printable(token.value, " ").replace('"', '""') + '"'
    if token.kind is Kind.OTHER and not 0x20 < text[token.start] < 0x7F:
        return "?"
    return text[token.start : token.end].decode(errors="replace")


def _printable(name: bytes, instead: str) -> str:
    return "".join(c if c.isprintable() else instead for c in name.decode(errors="replace"))


def _is_tight(before: str, piece: str) -> bool:
    """Whether nothing stands between two pieces."""
    if before in _MERGING and piece in _MERGING:
        return False
    return piece in _TIGHT_BEFORE or before in _TIGHT_AFTER
