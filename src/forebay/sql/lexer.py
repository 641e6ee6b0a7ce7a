"""PostgreSQL's lexical rules: statement text in, tokens out.

The rules are those of the manual's "Lexical Structure" and of the server's own scanner, for every
version from 12 on. Where versions differ (``1into t`` was two tokens until 15, ``0x1F`` is one
since 16) the text is cut so that no word that any version would see is hidden.

The lexer works on bytes, runs once over the text without recursion, takes time in proportion to
its length, and never raises. What cannot be read (an unterminated string, a stray ``$``) ends up as
``Lexed.trouble``: the tokens are then only a guess.
"""

import re
from enum import Enum, IntEnum
from typing import Final, NamedTuple

from forebay.sql.literals import (
    CONTINUATION,
    INSIDE_ESCAPE,
    INSIDE_PLAIN,
    dollar_string,
    escape_string,
    inside,
    plain_string,
    quoted_name,
    repeated,
    unicode_name,
)


class Kind(IntEnum):
    """What a token is. The order is that of the groups in the master pattern."""

    WORD = 1  # a keyword or an unquoted identifier; value: folded to lower case
    PUNCTUATION = 2  # ( ) , ; [ ] . and the like; value: itself
    NUMBER = 3
    STRING = 4  # '...', backslashes as standard_conforming_strings says
    OPERATOR = 5
    QUOTED_NAME = 6  # "..."; value: the name
    ESCAPE_STRING = 7  # E'...'
    UNICODE_STRING = 8  # U&'...'
    UNICODE_NAME = 9  # U&"..."; value: the name; includes its UESCAPE clause
    BIT_STRING = 10  # B'...' and X'...'
    NATIONAL_STRING = 11  # N'...'
    DOLLAR_STRING = 12  # $$...$$ and $tag$...$tag$
    PARAMETER = 13  # $1
    COMMENT = 14  # only within the lexer: comments never become tokens
    UNTERMINATED = 15  # from its opening to the end of the text
    STRAY_DOLLAR = 16
    OTHER = 17  # a byte that begins nothing
    COLON = 18  # : := ::


class Trouble(Enum):
    """Why a text cannot be read with certainty."""

    UNTERMINATED = "a string, quoted name, dollar quote or comment does not end"
    STRAY_DOLLAR = "a $ that begins nothing"
    NUL = "a zero byte"
    ESCAPE = "an invalid Unicode escape in a quoted name"
    ENCODING = "in this client encoding a byte may be half of a character"


class Token(NamedTuple):
    """One token: ``text[start:end]``, in bytes. ``value`` is set for names and punctuation."""

    kind: Kind
    start: int
    end: int
    value: bytes


class Lexed(NamedTuple):
    """A text, its tokens in order without comments, and what was wrong with it, if anything."""

    text: bytes
    tokens: list[Token]
    trouble: Trouble | None
    standard_conforming_strings: bool


STRINGS: Final = frozenset(
    {
        Kind.STRING,
        Kind.ESCAPE_STRING,
        Kind.UNICODE_STRING,
        Kind.NATIONAL_STRING,
        Kind.DOLLAR_STRING,
    }
)
NAMES: Final = frozenset({Kind.WORD, Kind.QUOTED_NAME, Kind.UNICODE_NAME})

# No text can make matching slow: what could match in more than one way is atomic, `(?>...)`, or has
# nothing behind it that could fail. No quantifier is possessive, as `*+`: Python before 3.11.5
# misreads those. A lookahead before `repeated` is for speed: mostly nothing is repeated.
_SPACE: Final = rb"[ \t\n\r\f\v]*"
_COMMENT: Final = (
    rb"(?:--[^\n\r]*|/\*[^*/]*(?:\*/|" + repeated(rb"(?:\*(?!/)|/(?!\*))[^*/]*") + rb"\*/))"
)
_BLANK: Final = _SPACE + rb"(?:(?=[-/])" + repeated(_COMMENT + _SPACE) + rb"|)"
_START: Final = rb"[A-Za-z_\x80-\xff]"
_WORD: Final = rb"(?![eEbBxXnN]'|[uU]&['\"])" + _START + rb"[A-Za-z0-9_$\x80-\xff]*"


def _digits(digit: bytes) -> bytes:
    """Digits with underscores between them."""
    more = rb"_" + digit + rb"+"
    return digit + rb"+(?:(?=_)" + repeated(more) + rb"|)"


_DECIMAL: Final = _digits(rb"[0-9]")
_FRACTION: Final = rb"(?:\.(?!\.)(?:" + _DECIMAL + rb"|)|)"
# Since 16: other bases and underscores, if no letter follows. Before: digits; a word may follow.
_NUMBER: Final = (
    *(rb"(?>0[xX]_?", _digits(rb"[0-9A-Fa-f]")),
    *(rb"|0[oO]_?", _digits(rb"[0-7]")),
    *(rb"|0[bB]_?", _digits(rb"[01]")),
    *(rb"|(?:", _DECIMAL, _FRACTION, rb"|\.", _DECIMAL, rb")(?:[eE][+-]?", _DECIMAL, rb"|)"),
    *(rb")(?!", _START, rb")"),
    rb"|(?:[0-9]+(?:\.(?!\.)[0-9]*|)|\.[0-9]+)(?:[eE][+-]?[0-9]+|)",
)
_SIGN: Final = rb"[~!@#^&|`?+*%<>=]+"
_SIGNS: Final = rb"(?=[-/])" + repeated(_SIGN + rb"|-(?!-)|/(?!\*)")
_OPERATOR: Final = _SIGN + rb"(?:" + _SIGNS + rb"|)|" + _SIGNS
_PLAIN_BODY: Final = rb"'" + INSIDE_PLAIN + rb"'"
_ESCAPE_BODY: Final = rb"'" + INSIDE_ESCAPE + rb"'"
_BIT_BODY: Final = rb"'[^']*'"
_NAME_BODY: Final = rb'"' + inside(rb'[^"]*', rb'""') + rb'"'


def _continued(body: bytes) -> bytes:
    """A string and the parts that continue it on later lines."""
    part = CONTINUATION + body
    return body + rb"(?:(?=[ \t\f\v\n\r-])" + repeated(part) + rb"|)"


def _groups(plain_body: bytes) -> tuple[bytes, ...]:
    """The pattern of each kind, in their order."""
    return (
        _WORD,
        rb"[(),;\[\]]|\.\.|\.(?![0-9])",
        b"".join(_NUMBER),
        _continued(plain_body),
        _OPERATOR,
        _NAME_BODY,
        rb"[eE]" + _continued(_ESCAPE_BODY),
        rb"[uU]&" + _continued(_PLAIN_BODY),
        rb"[uU]&" + _NAME_BODY,
        rb"[bBxX]" + _continued(_BIT_BODY),
        rb"[nN]" + _continued(plain_body),
        rb"\$(?>(?:" + _START + rb"[A-Za-z0-9_\x80-\xff]*)?)\$",
        rb"\$[0-9]+",
        rb"/\*",
        rb"[eEbBxXnN]?'|(?:[uU]&)?['\"]",
        rb"\$",
        rb"[^:]",
        rb":[:=]?",
    )


def _master(groups: tuple[bytes, ...]) -> re.Pattern[bytes]:
    alternatives = b"|".join(b"(" + group + b")" for group in groups)
    return re.compile(_BLANK + b"(?:" + alternatives + rb"|\Z)", re.DOTALL)


_CONFORMING: Final = _master(_groups(_PLAIN_BODY))
_BACKSLASHED: Final = _master(_groups(_ESCAPE_BODY))
_COMMENT_EDGE: Final = re.compile(rb"/\*|\*/")
_KINDS: Final = (Kind.OTHER, *Kind)  # by number of the group
_SPECIAL: Final = (
    *(Kind.OPERATOR, Kind.QUOTED_NAME, Kind.UNICODE_NAME, Kind.DOLLAR_STRING),
    *(Kind.COMMENT, Kind.UNTERMINATED, Kind.STRAY_DOLLAR),
)
_SIMPLE: Final = tuple(kind not in _SPECIAL for kind in _KINDS)  # their tokens have no value
# The second byte of a character in SJIS, BIG5, GBK, UHC and GB18030 may be one of these, which
# elsewhere is never part of a word.
_HALF_CHARACTER: Final = re.compile(rb"[\x80-\xff][@\[\\\]^`{|}~]")
_ESCAPE_CHARACTER: Final = re.compile(rb"[^0-9A-Fa-f+'\" \t\n\r\f\v]", re.DOTALL)
# A backslash that may be half a character; and two characters of SHIFT_JIS_2004 that the server
# turns into ASCII ones: 81 5F becomes a backslash, 81 B0 a tilde. No other encoding has such.
_ESCAPED_HALF: Final = re.compile(rb"[\x80-\xff]\\|\x81_")
_TILDE: Final = b"\x81\xb0"


def lex(
    text: bytes,
    *,
    standard_conforming_strings: bool = True,
    ambiguous_encoding: bool = False,
) -> Lexed:
    """Cut ``text`` into tokens.

    ``standard_conforming_strings`` is the server's setting of that name when it reads the text.
    ``ambiguous_encoding`` says that the client encoding is one in which a byte below 0x80 may be
    the second half of a character (BIG5, GB18030, GBK, JOHAB, SHIFT_JIS_2004, SJIS, UHC).
    """
    pattern = _CONFORMING if standard_conforming_strings else _BACKSLASHED
    tokens: list[Token] = []
    trouble: Trouble | None = None
    position, length = 0, len(text)
    while position < length:
        position, found = _run(pattern, text, position, tokens)
        trouble = trouble or found
    if trouble is None and b'&"' in text:
        trouble = _resolve_unicode_names(text, tokens, standard_conforming_strings)
    if b"\0" in text:
        trouble = Trouble.NUL
    elif ambiguous_encoding and trouble is None and not text.isascii():
        trouble = _encoding_trouble(text, tokens, standard_conforming_strings)
    return Lexed(text, tokens, trouble, standard_conforming_strings)


def _run(
    pattern: re.Pattern[bytes], text: bytes, position: int, tokens: list[Token]
) -> tuple[int, Trouble | None]:
    """Add tokens up to the end of ``text`` or to what a pattern cannot match; stop behind it."""
    # This loop is most of the cost of reading a statement: names are local, common kinds first.
    kinds, new, add, token_class = _KINDS, tuple.__new__, tokens.append, Token
    word, punctuation, simple = Kind.WORD, Kind.PUNCTUATION, _SIMPLE
    for match in pattern.finditer(text, position):
        group = match.lastindex
        if group is None:
            break
        kind = kinds[group]
        start, end = match.span(group)
        if kind is word:
            add(new(token_class, (word, start, end, text[start:end].lower())))
        elif kind is punctuation:
            add(new(token_class, (punctuation, start, end, text[start:end])))
        elif simple[group]:
            add(new(token_class, (kind, start, end, b"")))
        elif kind is Kind.QUOTED_NAME:
            add(new(token_class, (kind, start, end, quoted_name(text[start:end]))))
        elif kind is Kind.OPERATOR:
            _add_operators(text[start:end], start, tokens)
        elif kind is Kind.UNICODE_NAME:
            add(Token(kind, start, end, b""))  # resolved when what follows is known
        elif kind is Kind.DOLLAR_STRING:
            close = text.find(text[start:end], end)
            if close >= 0:
                close += end - start
                add(Token(kind, start, close, b""))
                return close, None
            add(Token(Kind.UNTERMINATED, start, len(text), b""))
            return len(text), Trouble.UNTERMINATED
        elif kind is Kind.COMMENT:
            after = _end_of_comment(text, end)
            return (len(text), Trouble.UNTERMINATED) if after < 0 else (after, None)
        elif kind is Kind.STRAY_DOLLAR:
            add(Token(kind, start, end, b""))
            return end, Trouble.STRAY_DOLLAR
        else:
            add(Token(Kind.UNTERMINATED, start, len(text), b""))
            return len(text), Trouble.UNTERMINATED
    return len(text), None


def _end_of_comment(text: bytes, position: int) -> int:
    """The position behind a block comment whose opening ends at ``position``; -1 without an end."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, position):
        depth += 1 if edge[0] == b"/*" else -1
        if depth == 0:
            return edge.end()
    return -1


def _add_operators(run: bytes, start: int, tokens: list[Token]) -> None:
    """Cut a run of operator characters as the server does.

    An operator of several characters ends in + or - only if it holds one of ``~!@#^&|`?%``; what is
    cut off its end is then nothing but + and -, each an operator of its own.
    """
    size = len(run)
    if size > 1 and run[-1] in b"+-" and not any(sign in run for sign in b"~!@#^&|`?%"):
        size = max(1, len(run.rstrip(b"+-")))
    tokens.append(Token(Kind.OPERATOR, start, start + size, b""))
    signs = range(start + size, start + len(run))
    tokens.extend(Token(Kind.OPERATOR, sign, sign + 1, b"") for sign in signs)


def _resolve_unicode_names(
    text: bytes, tokens: list[Token], standard_conforming_strings: bool
) -> Trouble | None:
    """Give every ``U&"..."`` its value; a UESCAPE clause behind it becomes part of its token."""
    resolved: list[Token] = []
    position = 0
    trouble: Trouble | None = None
    while position < len(tokens):
        token = tokens[position]
        position += 1
        if token.kind is Kind.UNICODE_NAME:
            raw, escape, end = text[token.start : token.end], b"\\", token.end
            if position + 1 < len(tokens) and tokens[position].value == b"uescape":
                clause = tokens[position + 1]
                escape = string_value(text, clause, standard_conforming_strings) or b""
                end = clause.end
                position += 2
            name = unicode_name(raw, escape) if _ESCAPE_CHARACTER.fullmatch(escape) else None
            if name is None:
                trouble = Trouble.ESCAPE
            token = Token(token.kind, token.start, end, name or b"")
        resolved.append(token)
    tokens[:] = resolved
    return trouble


def string_value(text: bytes, token: Token, standard_conforming_strings: bool) -> bytes | None:
    """The value of a string token; None if it is no string or has an invalid escape.

    The value of ``U&'...'`` is given only if it holds no escape, as UESCAPE may follow.
    """
    raw = text[token.start : token.end]
    if token.kind in (Kind.STRING, Kind.NATIONAL_STRING):
        raw = raw.lstrip(b"nN")
        return plain_string(raw) if standard_conforming_strings else escape_string(raw)
    if token.kind is Kind.ESCAPE_STRING:
        return escape_string(raw[1:])
    if token.kind is Kind.DOLLAR_STRING:
        return dollar_string(raw)
    if token.kind is Kind.UNICODE_STRING and b"\\" not in raw:
        return plain_string(raw[2:])
    return None


def _encoding_trouble(
    text: bytes, tokens: list[Token], standard_conforming_strings: bool
) -> Trouble | None:
    """Whether half a character could change where a string ends or a word begins."""
    escaped = [Kind.ESCAPE_STRING, Kind.UNICODE_NAME]
    if not standard_conforming_strings:
        escaped += [Kind.STRING, Kind.NATIONAL_STRING]
    for kind, start, end, _ in tokens:
        if kind is Kind.WORD:
            if _HALF_CHARACTER.match(text, end - 1) or text.find(_TILDE, start, end) >= 0:
                return Trouble.ENCODING
        elif kind in escaped and _ESCAPED_HALF.search(text, start, end):
            return Trouble.ENCODING
    return None
