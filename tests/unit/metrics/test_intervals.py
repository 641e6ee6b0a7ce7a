"""What happened from one look to the next."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.channel.figures import Histogram
from forebay.metrics.intervals import Intervals, Sample, between, risen
from forebay.metrics.metric import Kind, Metric
from forebay.node.processes import NodeFigures
from tests.unit.metrics.made import node_figures, proxy_figures

PROXY = {"ProxyName": "app"}


def app(at: float, started_at: float = 900.0, **changed: object) -> NodeFigures:
    """A node with one proxy, with these numbers, parts or histograms."""
    proxy = proxy_figures(**{"numbers": {}, "parts": {}, "histograms": {}, **changed})
    return node_figures({"app": proxy}, at=at, worker_started_at=started_at)


def values(samples: list[Sample], name: str) -> list[float]:
    return [each.value for each in samples if each.metric.name == name]


def value(samples: list[Sample], name: str) -> float:
    (only,) = values(samples, name)
    return only


def metric(kind: Kind) -> Metric:
    return Metric("A", kind, lambda _: 0, "")


def test_gauges_are_as_they_are_now() -> None:
    intervals = Intervals()
    intervals.next(app(1000.0, numbers={"client_connections": 7}))
    found = intervals.next(app(1060.0, numbers={"client_connections": 3}))
    assert value(found, "ClientConnections") == 3


def test_counters_are_differences_and_begin_with_the_node() -> None:
    intervals = Intervals()
    assert value(intervals.next(app(1000.0, numbers={"queries": 5})), "QueryRequests") == 5
    assert value(intervals.next(app(1060.0, numbers={"queries": 12})), "QueryRequests") == 7
    assert value(intervals.next(app(1120.0, numbers={"queries": 12})), "QueryRequests") == 0


def test_a_new_worker_has_counted_from_0() -> None:
    intervals = Intervals()
    waits = {"histograms": {"query": Histogram(2, 100.0, {10: 2})}}
    intervals.next(app(1000.0, numbers={"queries": 5}, **waits))
    waits = {"histograms": {"query": Histogram(4, 800.0, {10: 4})}}
    found = intervals.next(
        app(1060.0, 1010.0, numbers={"queries": 8, "available_s": 30.0}, **waits)
    )
    assert value(found, "QueryRequests") == 8
    assert value(found, "QueryResponseLatency") == 200.0
    assert value(found, "AvailabilityPercentage") == 50.0
    assert values(found, "ProcessCPUTime") == [0.0, 3.5]  # the node's is the same


def test_a_proxy_that_went_and_came_has_counted_from_0() -> None:
    intervals = Intervals()
    intervals.next(app(1000.0, numbers={"queries": 5}))
    assert value(intervals.next(app(1060.0, numbers={"queries": 2})), "QueryRequests") == 2
    intervals.next(node_figures({}, at=1120.0))
    assert value(intervals.next(app(1180.0, numbers={"queries": 9})), "QueryRequests") == 9


def test_latencies_are_means_of_what_came() -> None:
    intervals = Intervals()
    intervals.next(app(1000.0, histograms={"query": Histogram(2, 100.0, {10: 2})}))
    found = intervals.next(app(1060.0, histograms={"query": Histogram(5, 700.0, {10: 5})}))
    assert value(found, "QueryResponseLatency") == 200.0
    found = intervals.next(app(1120.0, histograms={"query": Histogram(5, 700.0, {10: 5})}))
    assert values(found, "QueryResponseLatency") == []  # no query: nothing to tell


def test_availability_is_a_part_of_the_interval() -> None:
    intervals = Intervals()
    first = intervals.next(app(1000.0, numbers={"available_s": 25.0}))
    assert value(first, "AvailabilityPercentage") == 25.0
    found = intervals.next(app(1060.0, numbers={"available_s": 70.0}))
    assert value(found, "AvailabilityPercentage") == 75.0
    found = intervals.next(app(1120.0, numbers={"available_s": 130.1}))  # clocks differ a little
    assert value(found, "AvailabilityPercentage") == 100.0


def test_parts_have_a_sum_and_one_sample_for_each_word_that_is_not_0() -> None:
    intervals = Intervals()
    intervals.next(app(1000.0, parts={"pins": {"LISTEN": 2, "CURSOR": 1}}))
    found = intervals.next(app(1060.0, parts={"pins": {"LISTEN": 5, "CURSOR": 1}}))
    pins = [each for each in found if each.metric.name == "SessionPins"]
    assert [(each.value, each.sets) for each in pins] == [
        (3, (("ProxyName",),)),
        (3, (("ProxyName", "Reason"),)),
    ]
    assert pins[1].dimensions["Reason"] == "LISTEN"


def test_dimensions_are_rds_proxys() -> None:
    found = Intervals().next(app(1000.0, numbers={"database_connections": 1}))
    (connections,) = [each for each in found if each.metric.name == "DatabaseConnections"]
    assert connections.sets == (
        ("ProxyName",),
        ("ProxyName", "TargetGroup", "Target"),
        ("ProxyName", "TargetGroup", "TargetRole"),
    )
    assert connections.dimensions == {
        **PROXY,
        "EndpointName": "default",
        "TargetGroup": "default",
        "Target": "db.internal:5432",
        "TargetRole": "READ_WRITE",
    }


def test_micro_pools_and_what_says_no_dimensions_stay_away_from_cloudwatch() -> None:
    found = Intervals().next(node_figures())
    names = {each.metric.name for each in found}
    assert not any(name.startswith("MicroPool") for name in names)
    assert not names & {"BuildInfo", "ProcessStartTime"}
    assert {"WorkerRestarts", "ProcessCPUTime"} <= names


@pytest.mark.parametrize("kind", [Kind.COUNTER, Kind.SHARE, Kind.GAUGE])
def test_what_is_not_known_is_not_told(kind: Kind) -> None:
    assert between(metric(kind), 1, None, 60.0) is None


def test_no_time_has_no_share() -> None:
    assert between(metric(Kind.SHARE), 1.0, 2.0, 0.0) is None


NUMBERS = st.integers(0, 1000)


@given(NUMBERS, NUMBERS)
def test_nothing_is_ever_below_0(was: int, is_: int) -> None:
    assert risen(was, is_) >= 0
    for kind in (Kind.COUNTER, Kind.SHARE):
        told = between(metric(kind), was, is_, 60.0)
        assert isinstance(told, int | float)
        assert told >= 0
    words = between(metric(Kind.COUNTER), {"a": was}, {"a": is_, "b": 1}, 60.0)
    assert isinstance(words, Mapping)
    assert min(words.values()) >= 0


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_no_mean_is_ever_below_0(was: int, was_us: int, is_: int, is_us: int) -> None:
    mean = between(metric(Kind.MEAN), Histogram(was, was_us), Histogram(is_, is_us), 60.0)
    assert mean is None or (isinstance(mean, float) and mean >= 0)
