"""The lexical rules, one by one."""

import pytest

from forebay.sql.lexer import Kind, Trouble, lex, string_value

W, P, N, S, O = Kind.WORD, Kind.PUNCTUATION, Kind.NUMBER, Kind.STRING, Kind.OPERATOR  # noqa: E741
E, D, Q = Kind.ESCAPE_STRING, Kind.DOLLAR_STRING, Kind.QUOTED_NAME


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\r\n\f\v", []),
        ("-- only a comment", []),
        ("-- one\r1", [(N, "1")]),
        ("/* a /* nested */ one */ x", [(W, "x")]),
        ("/* a *//**/ x /***/", [(W, "x")]),
        ("SeLeCT", [(W, "SeLeCT")]),
        ("a$b $1", [(W, "a$b"), (Kind.PARAMETER, "$1")]),
        ("1a 1into", [(N, "1"), (W, "a"), (N, "1"), (W, "into")]),
        (
            "0x1F 0o17 0b01 1_000 1_0.5_0e1_0",
            [(N, w) for w in ["0x1F", "0o17", "0b01", "1_000", "1_0.5_0e1_0"]],
        ),
        ("0x1Fg 1_000a", [(N, "0"), (W, "x1Fg"), (N, "1"), (W, "_000a")]),
        (
            "1..2 .5 1. 1e5x",
            [(N, "1"), (P, ".."), (N, "2"), (N, ".5"), (N, "1."), (N, "1e5"), (W, "x")],
        ),
        ("'it''s' 'a\\'", [(S, "'it''s'"), (S, "'a\\'")]),
        ("'a' -- it's\n  'b' 'c'", [(S, "'a' -- it's\n  'b'"), (S, "'c'")]),
        ("'a' /* */ \n 'b'", [(S, "'a'"), (S, "'b'")]),
        ("E'a\\'b' e'\\\\'", [(E, "E'a\\'b'"), (E, "e'\\\\'")]),
        ("E'a'\n'\\''", [(E, "E'a'\n'\\''")]),
        ("ae'a\\'", [(W, "ae"), (S, "'a\\'")]),
        (
            "B'01' X'1f' n'x'",
            [
                (Kind.BIT_STRING, "B'01'"),
                (Kind.BIT_STRING, "X'1f'"),
                (Kind.NATIONAL_STRING, "n'x'"),
            ],
        ),
        ("b'0''x'", [(Kind.BIT_STRING, "b'0'"), (S, "'x'")]),
        ("U&'a' u&'b'", [(Kind.UNICODE_STRING, "U&'a'"), (Kind.UNICODE_STRING, "u&'b'")]),
        ("u & 'a'", [(W, "u"), (O, "&"), (S, "'a'")]),
        ("$$a'$b$ $$ $b$ $$ $b$", [(D, "$$a'$b$ $$"), (D, "$b$ $$ $b$")]),
        ("a$$ $$b$$", [(W, "a$$"), (D, "$$b$$")]),
        ("1$$x$$", [(N, "1"), (D, "$$x$$")]),
        ('"a""b" "x y"', [(Q, '"a""b"'), (Q, '"x y"')]),
        ("@>-- x\n+-/*y*/*", [(O, "@>"), (O, "+"), (O, "-"), (O, "*")]),
        (
            "a=-1 @- ->> <=+",
            [(W, "a"), (O, "="), (O, "-"), (N, "1"), (O, "@-"), (O, "->>"), (O, "<="), (O, "+")],
        ),
        (
            "a::b := c:d",
            [
                (W, "a"),
                (Kind.COLON, "::"),
                (W, "b"),
                (Kind.COLON, ":="),
                (W, "c"),
                (Kind.COLON, ":"),
                (W, "d"),
            ],
        ),
        ("größe", [(W, "größe")]),
        ("\\ {", [(Kind.OTHER, "\\"), (Kind.OTHER, "{")]),
    ],
)
def test_tokens(text: str, expected: list[tuple[Kind, str]]) -> None:
    raw = text.encode()
    lexed = lex(raw)
    found = [(kind, raw[start:end].decode()) for kind, start, end, _ in lexed.tokens]
    assert found == expected
    assert lexed.trouble is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NextVal", b"nextval"),
        ("GRÖSSE", "grÖsse".encode()),
        ('"NextVal"', b"NextVal"),
        ('"a""b"', b'a"b'),
        ('U&"nextv\\0061l"', b"nextval"),
        ('u&"nextv\\+000061l"', b"nextval"),
        ("U&\"d!0061t!!\" /* x */ UESCAPE '!'", b"dat!"),
        ("U&\"d!0061\" uescape E'\\x21'", b"da"),
        ('U&"\\d83d\\de00"', "\U0001f600".encode()),
        ('U&"a\\\\b"', b"a\\b"),
    ],
)
def test_names(text: str, value: bytes) -> None:
    lexed = lex(text.encode())
    assert [token.value for token in lexed.tokens] == [value]
    assert lexed.trouble is None


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        (b"select 'a", Trouble.UNTERMINATED),
        (b"select 'a''", Trouble.UNTERMINATED),
        (b"select E'a\\'", Trouble.UNTERMINATED),
        (b"select E'\\", Trouble.UNTERMINATED),
        (b"select B'1", Trouble.UNTERMINATED),
        (b"select U&'1", Trouble.UNTERMINATED),
        (b'select "a', Trouble.UNTERMINATED),
        (b'select U&"a""', Trouble.UNTERMINATED),
        (b"select $a$ $b$ $$", Trouble.UNTERMINATED),
        (b"select /* /* */ ", Trouble.UNTERMINATED),
        (b"select $", Trouble.STRAY_DOLLAR),
        (b"select $a; listen x", Trouble.STRAY_DOLLAR),
        (b"select '\x00'", Trouble.NUL),
        (b'select U&"\\00"', Trouble.ESCAPE),
        (b'select U&"\\0000"', Trouble.ESCAPE),
        (b'select U&"\\d83d"', Trouble.ESCAPE),
        (b'select U&"\\d83dx\\de00"', Trouble.ESCAPE),
        (b'select U&"\\de00"', Trouble.ESCAPE),
        (b'select U&"\\+110000"', Trouble.ESCAPE),
        (b"select U&\"a\" uescape 'ab'", Trouble.ESCAPE),
        (b"select U&\"a\" uescape '+'", Trouble.ESCAPE),
        (b'select U&"a" uescape x', Trouble.ESCAPE),
    ],
)
def test_trouble(text: bytes, trouble: Trouble) -> None:
    assert lex(text).trouble is trouble
    assert lex(text, ambiguous_encoding=True).trouble is trouble


def test_without_standard_conforming_strings_a_backslash_escapes() -> None:
    text = b"'a\\' ; listen x; --'"
    plain = [token.kind for token in lex(text).tokens]
    assert plain == [Kind.STRING, Kind.PUNCTUATION, Kind.WORD, Kind.WORD, Kind.PUNCTUATION]
    escaped = lex(text, standard_conforming_strings=False)
    assert [token.kind for token in escaped.tokens] == [Kind.STRING]
    assert escaped.trouble is None


@pytest.mark.parametrize(
    ("text", "conforming", "certain"),
    [
        (b"select E'\x83\\'", True, False),  # a katakana in SJIS, or an escaped quote
        (b"select E'\x83\\''", True, False),
        (b"select '\x83\\'", True, True),
        (b"select '\x83\\''", False, False),
        (b"select E'\x81_'", True, False),  # a backslash, once the server has converted it
        (b"select a\x81@e'x'", True, False),  # where does the name end?
        (b"select \x81\xb0nextval('s')", True, False),  # the server makes it ~nextval('s')
        (b'select U&"nextv\x81_0061l"(1)', True, False),
        (b"select a\x83A, 'x\x81@', \"\x81@\"", True, True),
    ],
)
def test_half_characters_are_certain_only_where_they_cannot_matter(
    text: bytes, conforming: bool, certain: bool
) -> None:
    lexed = lex(text, standard_conforming_strings=conforming, ambiguous_encoding=True)
    assert (lexed.trouble is None) == certain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"'it''s'", b"it's"),
        ("'a'\n'b'", b"ab"),
        ("'a' -- it's\n'b'", b"ab"),
        (r"n'a'", b"a"),
        (r"'a\n'", rb"a\n"),
        (r"E'a\n\t\b\f\r\v\q\\\'''x'", b"a\n\t\b\f\r\vq\\''x"),
        (r"E'\101\x41\x4'", b"AA\x04"),
        (r"E'\u0041\U0001f600\ud83d\ude00'", "A\U0001f600\U0001f600".encode()),
        ("e'\\u0061'\n'\\u0062'", b"ab"),
        (r"E'\u00'", None),
        (r"E'\ud83d'", None),
        (r"E'\ud83dx\ude00'", None),
        (r"E'\ud83d\n'", None),
        (r"E'\U00110000'", None),
        ("$$a$$", b"a"),
        ("$tag$it's $$ \\ $tag$", b"it's $$ \\ "),
        ("U&'ab'", b"ab"),
        (r"U&'\0061'", None),
        ("B'01'", None),
        ("x", None),
    ],
)
def test_string_values(text: str, value: bytes | None) -> None:
    raw = text.encode()
    (token,) = lex(raw).tokens
    assert string_value(raw, token, standard_conforming_strings=True) == value


def test_string_values_without_standard_conforming_strings() -> None:
    lexed = lex(rb"'a\'b'", standard_conforming_strings=False)
    assert string_value(lexed.text, lexed.tokens[0], standard_conforming_strings=False) == b"a'b"
