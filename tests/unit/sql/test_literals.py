"""The values of strings and quoted names."""

import re

import pytest

from forebay.sql import literals
from forebay.sql.literals import (
    dollar_string,
    escape_string,
    plain_string,
    quoted_name,
    unicode_name,
)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"'a'", b"a"),
        (b"'it''s'", b"it's"),
        (b"''", b""),
        (b"'a\\'", b"a\\"),
        (b"'a'\n'b'", b"ab"),
        (b"'a' -- and\n 'b'\n\t'c'", b"abc"),
    ],
)
def test_plain_strings(raw: bytes, value: bytes) -> None:
    assert plain_string(raw) == value


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (rb"'a'", b"a"),
        (rb"'it''s'", b"it's"),
        (rb"'it\'s''\\'", b"it's'\\"),
        (rb"'\b\f\n\r\t\v\q'", b"\b\f\n\r\t\x0bq"),
        (rb"'\101\7\x41\xa'", b"A\x07A\n"),
        (rb"'\u00e4\U0001F600'", "ä😀".encode()),
        (rb"'\uD83D\uDE00'", "😀".encode()),
        (rb"'\uD83D'", None),
        (rb"'\uD83Dx\uDE00'", None),
        (rb"'\uDE00'", None),
        (rb"'\u12'", None),
        (rb"'\u0000'", None),
        (rb"'\U00110000'", None),
    ],
)
def test_escape_strings(raw: bytes, value: bytes | None) -> None:
    assert escape_string(raw) == value


def test_names() -> None:
    assert quoted_name(b'"a""B"') == b'a"B'
    assert unicode_name(rb'U&"d\0061t\+000061"') == b"data"
    assert unicode_name(rb'u&"d!0061!!"', b"!") == b"da!"
    assert unicode_name(rb'U&"a""b"') == b'a"b'
    for wrong in (rb'U&"\00"', rb'U&"\D83D"', rb'U&"\D83D\\"', rb'U&"\DE00"'):
        assert unicode_name(wrong) is None
    assert unicode_name(rb'U&"\D83D\DE00"') == "😀".encode()


def test_dollar_strings() -> None:
    assert dollar_string(b"$$a'b$$") == b"a'b"
    assert dollar_string(b"$x$ $$ $x$") == b" $$ "


def test_patterns_take_time_in_proportion() -> None:
    """And have one way only to match."""
    inside = re.compile(b"'" + literals.INSIDE_PLAIN + b"'")
    for text in (b"'" + b"''" * 5000 + b"'", b"'" + b"a" * 10_000 + b"'"):
        assert inside.fullmatch(text)
        assert not inside.fullmatch(text[:-1] + b"x")
