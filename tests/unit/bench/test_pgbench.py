from pathlib import Path

import pytest

from bench.pgbench import (
    Load,
    Logged,
    PgbenchError,
    arguments,
    last_words,
    parse_log,
    parse_summary,
    settled,
)

OUTPUT = """pgbench (15.18)
transaction type: <builtin: select only>
number of clients: 16
duration: 4 s
number of transactions actually processed: 81234
number of failed transactions: 3 (0.004%)
latency average = 0.787 ms
initial connection time = 21.004 ms
tps = 20321.123456 (without initial connection time)
"""


def test_summary() -> None:
    summary = parse_summary(OUTPUT)
    assert (summary.transactions, summary.failed) == (81234, 3)
    assert summary.per_second == pytest.approx(20321.123456)


def test_summary_of_a_run_with_a_count_of_transactions() -> None:
    text = OUTPUT.replace("processed: 81234", "processed: 16/16")
    assert parse_summary(text).transactions == 16


def test_summary_of_a_version_without_failures() -> None:
    lines = [line for line in OUTPUT.splitlines() if "failed" not in line]
    assert parse_summary("\n".join(lines)).failed == 0


def test_no_summary() -> None:
    with pytest.raises(PgbenchError, match="connecting included"):
        parse_summary("number of transactions actually processed: 0\n")
    with pytest.raises(PgbenchError, match="no result"):
        parse_summary("pgbench (15.18)\n")


def test_log_is_sorted_and_without_failures() -> None:
    text = (
        "1 1 310 0 1700000001 20\n"
        "0 1 250 0 1700000000 999999\n"
        "0 2 skipped 0 1700000002 1\n"
        "2 1 400 0 1700000003 5 150\n"
        "broken\n"
    )
    assert parse_log(text) == [
        Logged(1700000000_999999, 250),
        Logged(1700000001_000020, 310),
        Logged(1700000003_000005, 400, 150),
    ]
    assert parse_log(text)[2].served_us == 250


def test_beginning_and_end_are_left_out() -> None:
    log = [Logged(at, 1) for at in range(0, 101, 10)]
    assert [entry.ended_us for entry in settled(log)] == list(range(10, 91, 10))
    assert settled([]) == []


def test_arguments(tmp_path: Path) -> None:
    words = arguments(Load(4, seconds=0.4, protocol="prepared", log=True, rate=1000), tmp_path)
    assert words[:8] == ["-n", "-c", "4", "-j", "1", "-M", "prepared", "-S"]
    assert words[8:] == ["-T", "1", "-R", "1000", "--log", "--log-prefix", str(tmp_path / "log")]


def test_arguments_with_a_script(tmp_path: Path) -> None:
    words = arguments(Load(4, transactions=1, script="SELECT 1;\n"), tmp_path)
    assert words[7:] == ["-f", str(tmp_path / "script.sql"), "-t", "1"]
    assert (tmp_path / "script.sql").read_text() == "SELECT 1;\n"


def test_arguments_with_variables(tmp_path: Path) -> None:
    load = Load(4, transactions=1, script="SELECT :n;\n", variables={"n": "0"})
    assert arguments(load, tmp_path)[-4:] == ["-D", "n=0", "-t", "1"]


def test_last_words_name_the_error() -> None:
    text = "pgbench: some hint\npgbench: error: client 0 aborted\nRun was aborted.\n"
    assert last_words(text) == "pgbench: error: client 0 aborted"
    assert last_words("just this\n\n") == "just this"
    assert last_words("") == ""
