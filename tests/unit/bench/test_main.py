from pathlib import Path

import pytest

from bench.__main__ import FULL, QUICK, choose_sides, options, parse_arguments
from bench.measures import MEASURES
from bench.sides import PgBouncer, Side, SideError
from bench.world import LoadError, parse_answer

PGBOUNCER = PgBouncer(Path("/nowhere"), "1.25.2")


def test_defaults_and_quick() -> None:
    assert options(parse_arguments([])).rounds == FULL.rounds
    assert options(parse_arguments(["--quick"])).seconds == QUICK.seconds
    assert options(parse_arguments(["--quick", "--rounds", "3"])).rounds == 3


@pytest.mark.parametrize("words", [["--rounds", "0"], ["--only", "nothing"], ["--side", "other"]])
def test_wrong_use_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(words)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_pgbouncer_is_named_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREBAY_BENCH_PGBOUNCER", "/opt/pgbouncer")
    assert parse_arguments([]).pgbouncer == "/opt/pgbouncer"


def test_sides() -> None:
    assert choose_sides(parse_arguments([]), PGBOUNCER) == tuple(Side)
    assert choose_sides(parse_arguments([]), None) == (Side.DIRECT, Side.FOREBAY)
    only = parse_arguments(["--side", "pgbouncer"])
    assert choose_sides(only, PGBOUNCER) == (Side.PGBOUNCER,)
    with pytest.raises(SideError, match="no PgBouncer"):
        choose_sides(only, None)


def test_every_measure_is_described() -> None:
    import sys

    for measure in MEASURES.values():
        assert sys.modules[measure.__module__].__doc__


def test_answers_of_a_load() -> None:
    text = '{"done": 3, "elapsed_s": 1.5, "errors": [], "latencies_us": [1]}'
    assert parse_answer(text, "").done == 3
    with pytest.raises(LoadError, match="refused"):
        parse_answer('{"errors": ["refused"]}', "")
    with pytest.raises(LoadError, match="ModuleNotFoundError"):
        parse_answer("", "Traceback\nModuleNotFoundError: no module\n")
    with pytest.raises(LoadError, match="no answer"):
        parse_answer("", "")
