"""What the server makes of names."""

import pytest

from forebay.sql.lexer import lex
from forebay.sql.names import NAME_BYTES, as_understood, decoded, name_at


def understood(text: str) -> list[bytes]:
    return [token.value for token in as_understood(lex(text.encode()).tokens)]


def test_names_of_ascii_stay_as_they_are() -> None:
    tokens = lex(b"SELECT a.b").tokens
    assert as_understood(tokens) is tokens


def test_long_names_are_cut_between_characters() -> None:
    long = "x" * (NAME_BYTES - 1)
    assert understood(f'"{long}ab"') == [(long + "a").encode()]
    assert understood(f'"{long}ü"') == [long.encode()]


def test_letters_beyond_ascii_may_be_an_i_unless_quoted() -> None:
    assert understood("SET_CONF\u0130G") == [b"set_config"]
    assert understood('"SET_CONF\u0130G"') == ["SET_CONF\u0130G".encode()]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a", "a"),
        ("A.b", "b"),
        ('a."B c".d', "d"),
        ("a.b.c.d", "c"),
        ("a .b (c)", "b"),
        ("1", ""),
        ("'a'", ""),
        ("", ""),
    ],
)
def test_the_last_part_of_a_name(text: str, name: str) -> None:
    assert name_at(lex(text.encode()).tokens, 0) == name


def test_a_name_can_be_shown_whatever_its_bytes() -> None:
    assert decoded(b"a\xff") == "a\ufffd"
