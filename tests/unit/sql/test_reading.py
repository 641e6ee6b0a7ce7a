"""What texts depend on, and the same text for other settings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.sql.lexer import lex, string_value
from forebay.sql.reading import Reading, Traits, reread, traits

UTF8 = Reading("UTF8", True)
LATIN1 = Reading("LATIN1", True)
ESCAPES = Reading("UTF8", False)


@pytest.mark.parametrize(
    ("text", "literals", "moment"),
    [
        ("SELECT 1, $1, now()", False, False),
        ("SELECT today FROM days", False, False),
        ("SELECT 1 = NULL", True, False),
        ("SELECT nullable FROM t", False, False),
        ("SELECT 'x'", True, False),
        ("SELECT $$x$$", True, False),
        ("SELECT 'now'::timestamp", True, True),
        ("SELECT date 'Tomorrow'", True, True),
        ("SELECT $a$ today $a$::date", True, True),
        ("SELECT timestamptz '04:05 yesterday'", True, True),
        ("SELECT 'a' || now() || 'b'", True, False),
        ("SELECT 'known', 'nowhere'", True, False),
    ],
)
def test_literals_and_moments(text: str, literals: bool, moment: bool) -> None:
    assert traits(text.encode()) == Traits(literals, False, moment)


@pytest.mark.parametrize(
    "text", ["SELECT 'z\xfcrich'", "SELECT z\xfcrich", r"SELECT '\'", r"SELECT '\\'"]
)
def test_bytes_matter_beyond_ascii_and_with_backslashes(text: str) -> None:
    assert traits(text.encode()).raw


def test_another_encoding() -> None:
    text = "SELECT 'Z\xfcrich'"
    assert reread(text.encode(), UTF8, LATIN1) == text.encode("latin-1")
    assert reread(text.encode("latin-1"), LATIN1, UTF8) == text.encode()


@pytest.mark.parametrize(
    ("before", "now"),
    [("UTF8", "SJIS"), ("SQL_ASCII", "UTF8"), ("MULE_INTERNAL", "LATIN1"), ("UTF8", "LATIN2")],
)
def test_an_encoding_without_the_character(before: str, now: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        reread("SELECT '\u0429'".encode(), Reading(before, True), Reading(now, True))
    assert reread(b"SELECT 1", Reading(before, True), Reading(now, True)) == b"SELECT 1"


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (r"SELECT 'a\b'", r"SELECT  E'a\\b'"),
        (r"SELECT'a\b''c', E'\n', $$\$$", r"SELECT E'a\\b''c', E'\n', $$\$$"),
        ("SELECT 'a' -- it's\n, 'b'", "SELECT 'a' -- it's\n, 'b'"),
        ("SELECT 'a\\'\n'\\b'", "SELECT  E'a\\\\'\n'\\\\b'"),
    ],
)
def test_strings_that_held_backslashes(text: str, other: str) -> None:
    assert reread(text.encode(), UTF8, ESCAPES) == other.encode()


@pytest.mark.parametrize("text", ["U&'\\0061'", "U&'d!0061' UESCAPE '!'", 'U&"a"', r"N'a\b'", "'"])
def test_strings_without_another_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        reread(b"SELECT " + text.encode(), UTF8, ESCAPES)


PIECES = st.sampled_from(["\\", "'", "''", "a", "n", " ", "\n", "E'", "$$", '"', "--", ",", "101"])


@given(st.lists(PIECES, max_size=12).map("".join), st.booleans())
def test_strings_keep_their_values(inner: str, conforming: bool) -> None:
    text = f"SELECT '{inner}'".encode()
    before, now = Reading("UTF8", conforming), Reading("UTF8", not conforming)
    try:
        other = reread(text, before, now)
    except ValueError:
        return
    assert values(other, now) == values(text, before)


def values(text: bytes, reading: Reading) -> list[bytes | None]:
    conforming = reading.standard_conforming_strings
    lexed = lex(text, standard_conforming_strings=conforming)
    return [
        string_value(text, t, conforming) if "STRING" in t.kind.name else t.value
        for t in lexed.tokens
    ]
