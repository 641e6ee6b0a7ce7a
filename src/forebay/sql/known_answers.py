"""Whether this interpreter reads SQL as the lexer's patterns say: texts whose tokens are known.

Python's regular expressions have had errors that no test run elsewhere can see (before 3.11.5 they
misread possessive quantifiers). A lexer that overlooks a SET gives one client's settings to the
next, so a worker asks first and serves only if every answer is right.
"""

import platform
from typing import Final

from forebay.sql.effects import effects
from forebay.sql.lexer import STRINGS, Kind, lex, string_value

_LETTERS: Final = dict(zip(Kind, "WPNSOQEUVBHDAC?$.:", strict=True))

# A text, whether standard_conforming_strings is on, and its tokens: the letter of the kind and what
# stands in the text. Between them nothing but blanks and comments.
_TOKENS: Final[tuple[tuple[bytes, bool, tuple[bytes, ...]], ...]] = (
    (
        b"/* plain */ SET x.y = 1; -- end\r\n/* a /* nested */ one */ b /***/ / 2 /* * / */",
        True,
        (b"WSET", b"Wx", b"P.", b"Wy", b"O=", b"N1", b"P;", b"Wb", b"O/", b"N2"),
    ),
    (b" \t\n\f\v-- it's\r0--\n/**//* x **/--\n- 1", True, (b"N0", b"O-", b"N1")),
    (
        b"S\xc3\xa9_1$b[a]:=(c)::d:e,..\\{",
        True,
        (
            *(b"WS\xc3\xa9_1$b", b"P[", b"Wa", b"P]", b"::=", b"P(", b"Wc", b"P)", b":::", b"Wd"),
            *(b"::", b"We", b"P,", b"P..", b".\\", b".{"),
        ),
    ),
    (
        b"12 0x1F 0o17 0b01 0X_f_f 1_000.5_0e+1_0 .5 1. 1..2 3.e5 1_ 2into 0x1Fg 1_0a 1ea 4.5E",
        True,
        (
            *(b"N12", b"N0x1F", b"N0o17", b"N0b01", b"N0X_f_f", b"N1_000.5_0e+1_0", b"N.5", b"N1."),
            *(b"N1", b"P..", b"N2", b"N3.e5", b"N1", b"W_", b"N2", b"Winto", b"N0", b"Wx1Fg"),
            *(b"N1", b"W_0a", b"N1", b"Wea", b"N4.5", b"WE"),
        ),
    ),
    (
        b"a@>-- x\n<=+-/*y*/* ->> @- || -1 */",
        True,
        (b"Wa", b"O@>", b"O<=", b"O+", b"O-", b"O*", b"O->>", b"O@-", b"O||", b"O-", b"N1", b"O*/"),
    ),
    (
        b"'it''s' '' 'a\\' 'b' -- it's\n \n--\n 'c''' /* */\n 'd'\n\n--'\n;",
        True,
        (b"S'it''s'", b"S''", b"S'a\\'", b"S'b' -- it's\n \n--\n 'c'''", b"S'd'", b"P;"),
    ),
    (
        b"'a\\'b''' 'c'\n'\\\\' n'\\''",
        False,
        (b"S'a\\'b'''", b"S'c'\n'\\\\'", b"Hn'\\''"),
    ),
    (
        b"E'a\\'b\\\\' e'''' E'c\\n'\n'\\'' N'd\\' ee'' b'01'\n'1' X'1f' U&'a\\0062'\r'c'u&''",
        True,
        (
            *(b"EE'a\\'b\\\\'", b"Ee''''", b"EE'c\\n'\n'\\''", b"HN'd\\'", b"Wee", b"S''"),
            *(b"Bb'01'\n'1'", b"BX'1f'", b"UU&'a\\0062'\r'c'", b"Uu&''"),
        ),
    ),
    (
        b'"a""b" "\'" U&"d!0061" uescape \'!\' u&"x" """"',
        True,
        (b'Q"a""b"', b'Q"\'"', b"VU&\"d!0061\" uescape '!'", b'Vu&"x"', b'Q""""'),
    ),
    (
        b"$$a'$b$ $$ $b_1$ $$ $b$ $b_1$ a$$ $12 $3",
        True,
        (b"D$$a'$b$ $$", b"D$b_1$ $$ $b$ $b_1$", b"Wa$$", b"A$12", b"A$3"),
    ),
    (b"'' 'a''b", True, (b"S''", b"?'a''b")),
    (b"E'a\\'", True, (b"?E'a\\'",)),
    (b"'a'\n'b", True, (b"S'a'", b"?'b")),
    (b'u&"a""', True, (b'?u&"a""',)),
    (b"$a$ $b$", True, (b"?$a$ $b$",)),
    (b"a /* /* */", True, (b"Wa",)),
    (b"1 $", True, (b"N1", b"$$")),
    (b"'" + 600 * b"''" + b"\\'" + 600 * b"--\n/**/", True, (b"S'" + 600 * b"''" + b"\\'",)),
)

# A text, and the values of the strings and names in it.
_VALUES: Final[tuple[tuple[bytes, tuple[bytes, ...]], ...]] = (
    (b"'it''s' '' 'a' -- it's\n \n 'b'''", (b"it's", b"", b"ab'")),
    (
        b"E'a\\'b''\\\\' E'\\n'\n'\\x41\\101' E'\\u00e9\\U00000042'",
        (b"a'b'\\", b"\nAA", b"\xc3\xa9B"),
    ),
    (b"N'n' $$d'$$ $x$ $$ $x$", (b"n", b"d'", b" $$ ")),
    (b'"a""b" U&"d\\0061\\+000062" SeT', (b'a"b', b"dab", b"set")),
)

# A text, and what it does to the session.
_EFFECTS: Final[tuple[tuple[bytes, tuple[str, ...]], ...]] = (
    (b"/* plain */ SET x.y = 1", ("SETTING",)),
    (b"SELECT 'a' -- '\n 'b', set_config('a.b', '1', false)", ("SETTING",)),
    (b"SELECT '/*', 1 -- set_config('a.b', '1', false)\n", ()),
    (b"SELECT E'\\'', $$ SET a.b = 1 $$, \"set_config\"", ()),
    (b"SELECT 'a''b'; /* /* */ */ LISTEN c; SELECT 1", ("LISTEN",)),
    (b"SELECT 'a''b", ("UNREADABLE",)),
)


class MisreadError(ValueError):
    """This Python reads SQL wrongly; the text says which Python, and the way out."""


def misread() -> list[bytes]:
    """The texts that this interpreter reads wrongly: none, if all is well."""
    wrong = [
        text for text, conforming, expected in _TOKENS if _tokens(text, conforming) != expected
    ]
    wrong += [text for text, expected in _VALUES if _values(text) != expected]
    wrong += [
        text
        for text, expected in _EFFECTS
        if tuple(each.reason.name for each in effects(text)) != expected
    ]
    return wrong


def require_right_reading() -> None:
    """Raises MisreadError unless every answer is right. Takes a millisecond or two."""
    if wrong := misread():
        raise MisreadError(
            f"Python {platform.python_version()} ({platform.python_implementation()}) reads SQL"
            f" wrongly, so that what a client sets could reach another ({len(wrong)} of"
            f" {len(_TOKENS) + len(_VALUES) + len(_EFFECTS)} known answers are wrong, the first of"
            f" {wrong[0][:40]!r}): run Forebay with Python 3.11.5 or later, or another build of it"
        )


def _tokens(text: bytes, conforming: bool) -> tuple[bytes, ...]:
    lexed = lex(text, standard_conforming_strings=conforming)
    return tuple(_LETTERS[kind].encode() + text[start:end] for kind, start, end, _ in lexed.tokens)


def _values(text: bytes) -> tuple[bytes | None, ...]:
    return tuple(
        string_value(text, token, True) if token.kind in STRINGS else token.value
        for token in lex(text).tokens
    )
