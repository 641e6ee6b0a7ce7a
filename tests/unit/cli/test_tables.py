import pytest

from forebay.cli.tables import Column, cut, span, table, write

COLUMNS = (Column("NAME"), Column("COUNT", is_number=True))


def test_columns_are_as_wide_as_their_cells() -> None:
    assert list(table(COLUMNS, [["a", "7"], ["longer", "1234567"]])) == [
        "NAME      COUNT",
        "a             7",
        "longer  1234567",
    ]


def test_what_clients_have_chosen_steers_no_terminal() -> None:
    name = "a\x1b[2J\n\u202eb\u200b[red]x[/red]"
    (_, line) = table(COLUMNS, [[name, "1"]])
    assert line == "a\\x1b[2J\\n\\u202eb\\u200b[red]x[/red]      1"
    assert line.isprintable()


def test_wide_characters_take_two_cells() -> None:
    assert list(table(COLUMNS, [["数据库", "1"], ["abcdef", "2"]])) == [
        "NAME    COUNT",
        "数据库      1",
        "abcdef      2",
    ]


def test_lines_are_cut_where_there_is_no_more_room() -> None:
    rows = [["x" * 100, "1"]]
    assert all(len(line) <= 20 for line in table(COLUMNS, rows, 20))
    (_, whole) = table(COLUMNS, rows)
    assert whole.startswith("x" * 100)


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("数据", 3, "数…"), ("ab", 0, "")],
)
def test_what_is_cut_is_marked(text: str, width: int, expected: str) -> None:
    assert cut(text, width) == expected


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.96, "10.0 s"), (10, "10 s"), (125.5, "2 min 5 s")]
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_it_is_written_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    write(["a", "b"])
    assert capsys.readouterr().out == "a\nb\n"
