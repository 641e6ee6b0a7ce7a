from io import StringIO

from rich.console import Console

from bench.figures import Limit, Verdict
from bench.results import Row, figure, limit_words, table
from bench.sides import Side


def row(limit: Limit | None = None, *, of_ratio: bool = True) -> Row:
    made = Row("transactions", "simple", "CPU", "µs", limit=limit, limit_of_ratio=of_ratio)
    for pgbouncer, forebay in ((10.0, 8.0), (20.0, 18.0), (11.0, 8.8)):
        made.add(Side.PGBOUNCER, pgbouncer)
        made.add(Side.FOREBAY, forebay)
    return made


def test_medians_and_ratio() -> None:
    made = row(Limit(1.0, 0.85))
    assert (made.value(Side.PGBOUNCER), made.value(Side.FOREBAY)) == (11.0, 8.8)
    assert made.value(Side.DIRECT) is None
    assert made.ratio == 0.8
    assert made.verdict is Verdict.GOAL


def test_a_limit_for_the_figure_itself() -> None:
    made = row(Limit(8.0, 2.0), of_ratio=False)
    assert made.judged == 8.8
    assert made.verdict is Verdict.MISSED


def test_no_verdict_without_limit_or_forebay() -> None:
    assert row().verdict is Verdict.NONE
    alone = Row("m", "c", "q", "u", limit=Limit(1.0))
    alone.add(Side.PGBOUNCER, 1.0)
    assert alone.verdict is Verdict.NONE


def test_json_holds_samples_and_verdict() -> None:
    made = row(Limit(1.0, 0.85)).as_json()
    assert made["samples"]["Forebay"] == [8.0, 18.0, 8.8]
    assert made["medians"] == {"PgBouncer": 11.0, "Forebay": 8.8}
    assert (made["sense"], made["bound"], made["goal"]) == ("≤", 1.0, 0.85)
    assert made["verdict"] == "goal"
    assert row().as_json()["bound"] is None


def test_figures_are_short() -> None:
    assert [figure(value) for value in (None, 0.123, 12.34, 123.4, 12345.6)] == [
        "–",
        "0.12",
        "12.3",
        "123",
        "12,346",
    ]
    assert limit_words(Limit(1.05, 0.85)) == "≤ 1.05 (0.85)"
    assert limit_words(Limit(1.5)) == "≤ 1.5"
    assert limit_words(None) == ""


def test_table_names_measure_once_and_verdict_in_words() -> None:
    console = Console(file=StringIO(), width=120, color_system=None)
    console.print(table([row(Limit(1.0, 0.85)), row(Limit(1.0), of_ratio=False)]))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("transactions") == 1
    assert "simple: CPU, µs" in text
    assert "goal" in text
    assert "≤ 1 *" in text
