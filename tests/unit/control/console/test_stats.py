import msgspec
import pytest

from forebay.channel import PoolFigures, ProxyFigures
from forebay.control.console import stats
from forebay.control.console.stats import COUNTERS, Sample, averages, sample_of

POOLS = [
    PoolFigures(database="a", user="u", borrows=4, transactions=2, transaction_us=600.0),
    PoolFigures(database="a", user="v", borrows=6, queries=5, query_us=1000.4, sent_bytes=7),
    PoolFigures(database="b", user="u", wait_us=50.0, received_bytes=9),
]
GONE = [PoolFigures(database="b", user="", borrows=1)]


@pytest.fixture
def sample() -> Sample:
    figures = ProxyFigures(target="db:5432", pools=POOLS, gone=GONE)
    return sample_of(figures, 1010.0, 1000.0)


def test_micro_pools_count_together_and_those_that_are_gone_with_them(sample: Sample) -> None:
    assert {name: each["borrows"] for name, each in sample.databases.items()} == {"a": 10, "b": 1}


def test_averages_are_per_second_or_of_each(sample: Sample) -> None:
    found = averages(sample, None)["a"]  # since the worker's start
    assert (found["borrows"], found["queries"]) == (1, 0)
    assert (found["transaction_us"], found["query_us"]) == (300, 200)
    assert averages(sample, None)["b"]["wait_us"] == 50
    later = msgspec.structs.replace(
        sample, at=1012.0, databases={"a": {**sample.databases["a"], "borrows": 20}}
    )
    found = averages(later, sample)["a"]
    assert (found["borrows"], found["query_us"]) == (5, 0)


def test_another_worker_begins_anew(sample: Sample) -> None:
    other = msgspec.structs.replace(sample, worker_started_at=1005.0)
    assert averages(other, sample)["a"]["borrows"] == 2  # 10 in 5 s


def test_no_time_has_passed(sample: Sample) -> None:
    assert set(averages(sample, sample)["a"].values()) == {0}


def test_rows_fit_their_columns(sample: Sample) -> None:
    row = stats.stats_rows(sample, None)[0]
    names = [name for name, _ in stats.stats_columns()]
    shown = dict(zip(names, row, strict=True))
    assert shown["total_server_assignment_count"] == "10"
    assert (shown["total_sent"], shown["avg_sent"], shown["avg_query_time"]) == ("7", "0", "200")
    assert shown["total_query_time"] == "1000"
    names = [name for name, _ in stats.totals_columns()]
    shown = dict(zip(names, stats.totals_rows(sample)[1], strict=True))
    assert (shown["database"], shown["bytes_received"], shown["wait_time"]) == ("b", "9", "50")
    names = [name for name, _ in stats.averages_columns()]
    assert names[-1] == "avg_bind_count"
    assert len(stats.averages_rows(sample, None)[0]) == len(names)
    everything = dict(stats.all_rows(sample, None))
    assert everything["total_server_assignment_count"] == "11"
    assert everything["avg_wait_time"] == str(50 // 11)
    assert len(everything) == 2 * len(COUNTERS)


def test_pgbouncers_columns() -> None:
    names = [name for name, _ in stats.stats_columns()]
    assert names[5] == "total_sent"
    assert names[12:17] == [
        "avg_server_assignment_count",
        "avg_xact_count",
        "avg_query_count",
        "avg_recv",
        "avg_sent",
    ]
