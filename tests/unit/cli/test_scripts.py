"""Files of SQL are read as psql reads them."""

from pathlib import Path

import pytest

from forebay.cli.explanation import Reader
from forebay.cli.scripts import InputError, checked, explain_script, read_file

DUMP = rb"""-- a dump
\restrict abc'def
SET search_path = '';
\connect -reuse-previous=on "dbname='app'"
CREATE TABLE public.t (a text);
COPY public.t (a) FROM stdin;
it's; LISTEN a;
\N
\.

COPY public.t FROM STDIN WITH (FORMAT csv);
$$
\.
SELECT 1, ';' AS b
\gset
SELECT 2;
"""


def found(text: bytes, reader: Reader | None = None) -> list[tuple[int, str]]:
    return [(each.line, each.statement) for each in explain_script("a", text, reader or Reader())]


def test_a_dump() -> None:
    assert found(DUMP) == [
        (3, "set search_path = $1"),
        (5, "create table public.t (a text)"),
        (6, "copy public.t (a) from stdin"),
        (11, "copy public.t from stdin with (format csv)"),
        (14, "select $1, $2 as b"),
        (16, "select $1"),
    ]


def test_what_does_not_end_takes_the_rest_with_it() -> None:
    for text in (b"LISTEN a;\nSELECT 'x;\nLISTEN b;", b"LISTEN a;\nSELECT $$;\nLISTEN b;"):
        first, second = explain_script("a", text, Reader())
        assert (first.line, first.reason) == (1, "LISTEN")
        assert (second.line, second.reason) == (2, "UNREADABLE")
    for text in (b"/* ", b"SELECT 1; /* LISTEN a"):
        (each,) = explain_script("a", text, Reader())
        assert each.reason == "UNREADABLE"


def test_each_statement_is_a_message_of_its_own() -> None:
    text = b";".join([b"SELECT '%b'" % (b"x" * 9000)] * 2)
    assert {each.reason for each in explain_script("a", text, Reader("rds"))} == {None}


def test_psql_sends_a_statement_on_its_line() -> None:
    """Without a semicolon; the one behind it is not part of it."""
    text = b"SELECT 1 AS a \\gset my_\nLISTEN a;\nSELECT '\\g', 2 \\gx (x='y')\nLISTEN b \\g"
    assert found(text) == [
        (1, "select $1 as a"),
        (2, "listen a"),
        (3, "select $1, $2"),
        (4, "listen b"),
    ]


def test_rows_without_an_end() -> None:
    assert found(b"COPY t FROM STDIN;\nLISTEN a;\n") == [(1, "copy t from stdin")]
    assert found(b"COPY t FROM '/file';\nLISTEN a;\n")[1:] == [(2, "listen a")]


@pytest.mark.parametrize("text", [b"", b" ;\n;", b"-- nothing\n", b"\\echo only\n"])
def test_nothing_to_read(text: bytes) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"SELECT 1;\n-- caf\xe9", "a.sql:2: is not UTF-8 (byte 0xe9); convert it"),
        ("SELECT 1".encode("utf-16"), "a.sql: is UTF-16; convert it to UTF-8"),
        (b" " * ((1 << 24) + 1), "a.sql: more than 16777216 bytes; split it"),
    ],
)
def test_what_is_no_text(text: bytes, said: str) -> None:
    with pytest.raises(InputError, match=r"^a\.sql") as caught:
        checked("a.sql", text)
    assert str(caught.value) == said


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.sql"
    path.write_bytes(b"\xef\xbb\xbfSELECT 1 -- \xc3\xa9")
    assert read_file(str(path)) == (str(path), b"SELECT 1 -- \xc3\xa9")
    for wrong in (str(tmp_path), str(tmp_path / "missing"), "\0"):
        with pytest.raises(InputError, match="can't be read"):
            read_file(wrong)
