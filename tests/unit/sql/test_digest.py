"""The line that stands for a statement."""

import pytest

from forebay.sql.digest import digest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" -- nothing\n", ""),
        ("SELECT 1", "select $1"),
        ("SELECT  Count( * ),\n A . b FROM T -- c", "select count(*), a.b from t"),
        ("select 'a', E'b', $$c$$, B'1', 1.5, $7", "select $1, $2, $3, $4, $5, $6"),
        ("select x[1]::INT, y := 2", "select x[$1]::int, y := $2"),
        ("SET search_path TO a,\"B\",'c'", "set search_path to $1, $2, $3"),
        ("SET token = abc; select abc", "set token = $1; select abc"),
        ("SET LOCAL x TO DEFAULT", "set local x to default"),
        ("ALTER USER bob PASSWORD 'secret'", "alter user bob password $1"),
        ('select "A b", U&"\\0061"', 'select "A b", "a"'),
        ('select "a\nb"', 'select "a b"'),
        ("select 'secret", "select $1"),
        ("select \x01 \\", "select ? \\"),
        ("a..b : : c", "a..b : : c"),
        ("-1 + -2", "- $1 + - $2"),
    ],
)
def test_digest(text: str, expected: str) -> None:
    assert digest(text) == expected
    assert digest(expected) == expected


def test_digests_are_cut_between_tokens() -> None:
    text = "select " + ", ".join(f"column_{number}" for number in range(1000))
    short = digest(text, max_characters=40)
    assert short == "select column_0, column_1, column_2, …"
    assert digest(short, max_characters=40) == short


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    assert digest("select '" + "x" * 1_000_000 + "'") == "select $1 …"
    assert digest("x" * 1_000_000) == "…"


def test_backslashes_are_read_as_the_setting_says() -> None:
    assert digest("select '\\' secret '", standard_conforming_strings=False) == "select $1"
