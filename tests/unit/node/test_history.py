"""The last minutes, second by second."""

from typing import Any

import pytest

from forebay.channel import Histogram, ProxyFigures, WorkerFigures
from forebay.node.history import PROXIES_LIMIT, History, sample
from forebay.node.processes import NodeFigures, ProcessFigures


def figures(
    at: float, cpu_s: float = 0.0, started_at: float = 1.0, proxies: int = 1, **proxy: Any
) -> NodeFigures:
    process = ProcessFigures(pid=1, cpu_s=cpu_s)
    counted = {f"p{n}": ProxyFigures(target="db:5432", **proxy) for n in range(proxies)}
    return NodeFigures(
        at=at,
        node=process,
        worker=process,
        worker_restarts=0,
        counted=WorkerFigures(started_at=started_at, proxies=counted),
    )


def test_counts_become_rates_and_gauges_stay() -> None:
    before = figures(100.0, 5.0, numbers={"queries": 100, "client_connections": 7})
    after = figures(102.0, 6.0, numbers={"queries": 300, "client_connections": 9})
    found = sample(before, after)
    assert (found.at, found.worker_cpu) == (102.0, 0.5)
    assert found.proxies["p0"].queries_s == 100.0
    assert found.proxies["p0"].clients == 9


def test_latencies_are_of_the_interval_alone() -> None:
    slow, fast = Histogram(1000, 1e9, {400: 1000}), Histogram(10, 100.0, {10: 10})
    before = figures(1.0, histograms={"query": slow})
    after = figures(2.0, histograms={"query": slow + fast})
    assert sample(before, after).proxies["p0"].query_p99_ms == pytest.approx(0.0105)


async def nothing() -> NodeFigures:
    raise AssertionError


def test_the_newest_are_kept() -> None:
    history = History(nothing, kept=3)
    for second in range(6):
        history.add(figures(float(second)))
    assert [each.at for each in history.since()] == [3.0, 4.0, 5.0]
    assert [each.at for each in history.since(4.0)] == [5.0]


def test_another_worker_begins_anew() -> None:
    history = History(nothing)
    history.add(figures(1.0, numbers={"queries": 100}))
    history.add(figures(2.0, started_at=2.0, numbers={"queries": 5}))
    assert history.since() == []
    history.add(figures(3.0, started_at=2.0, numbers={"queries": 6}))
    assert [each.proxies["p0"].queries_s for each in history.since()] == [1.0]


def test_of_many_proxies_some_have_a_history() -> None:
    history = History(nothing)
    history.add(figures(1.0, proxies=PROXIES_LIMIT + 10))
    history.add(figures(2.0, proxies=PROXIES_LIMIT + 10))
    assert len(history.since()[0].proxies) == PROXIES_LIMIT


def test_a_proxy_that_is_new_has_none_yet() -> None:
    history = History(nothing)
    history.add(figures(1.0, proxies=1))
    history.add(figures(2.0, proxies=2))
    assert history.since()[0].proxies.keys() == {"p0"}
