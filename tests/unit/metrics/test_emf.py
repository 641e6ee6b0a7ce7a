"""CloudWatch's embedded metric format, held against its specification."""

import json
from typing import Any

from forebay.metrics import emf
from forebay.metrics.intervals import Intervals, Sample
from forebay.metrics.metric import PROXY, Kind, Metric
from tests.unit.metrics.made import node_figures, proxy_figures

AT = 1_700_000_040.0


def read(samples: list[Sample]) -> list[dict[str, Any]]:
    """The lines, each held to what the specification demands."""
    found = []
    for line in emf.lines(samples, "Forebay", AT):
        assert line.endswith(b"}\n")
        assert line.count(b"\n") == 1
        assert len(line) < emf.MAX_LINE_BYTES
        document = json.loads(line)
        assert document["_aws"]["Timestamp"] == AT * 1000
        (directive,) = document["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "Forebay"
        assert 1 <= len(directive["Metrics"]) <= 100
        for names in directive["Dimensions"]:
            assert len(names) <= 30
            assert all(document[name] and isinstance(document[name], str) for name in names)
        for each in directive["Metrics"]:
            assert isinstance(document[each["Name"]], int | float)
            assert each["Unit"] in ("Count", "Percent", "Microseconds", "Seconds", "Bytes")
        found.append(document)
    return found


def metrics_of(document: dict[str, Any]) -> set[str]:
    return {each["Name"] for each in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]}


def test_what_has_the_same_dimensions_is_in_one_line() -> None:
    found = read(Intervals().next(node_figures()))
    (clients,) = [each for each in found if "ClientConnections" in metrics_of(each)]
    assert clients["ClientConnections"] == 7
    assert clients["ProxyName"] == "app"
    assert clients["EndpointName"] == "default"
    assert clients["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [
        ["ProxyName"],
        ["ProxyName", "EndpointName"],
    ]
    assert {"QueryRequests", "ClientConnectionsClosed", "QueryResponseLatency"} <= metrics_of(
        clients
    )


def test_each_proxy_and_each_word_has_lines_of_its_own() -> None:
    found = read(Intervals().next(node_figures({"a": proxy_figures(), "b": proxy_figures()})))
    clients = [each for each in found if "ClientConnections" in metrics_of(each)]
    assert [each["ProxyName"] for each in clients] == ["a", "b"]
    logins = [each for each in found if "Method" in each and each["ProxyName"] == "a"]
    assert {each["Method"]: each["ClientLogins"] for each in logins} == {
        "password": 3,
        "certificate": 1,
    }


def test_more_than_100_metrics_are_several_lines() -> None:
    samples = [
        Sample(
            Metric(f"M{number}", Kind.GAUGE, lambda _: 0, ""), number, (PROXY,), {"ProxyName": "a"}
        )
        for number in range(250)
    ]
    found = read(samples)
    assert [len(metrics_of(each)) for each in found] == [100, 100, 50]
    assert {name for each in found for name in metrics_of(each)} == {f"M{n}" for n in range(250)}


def test_names_that_are_no_ascii_become_so() -> None:
    words = {'a"\\\n': 1, "\udcffü": 2, "x" * 500: 3}
    found = read(Intervals().next(node_figures({"app": proxy_figures(parts={"logins": words})})))
    told = {each["Method"]: each["ClientLogins"] for each in found if "Method" in each}
    assert told == {'a"\\\\x0a': 1, "\\udcff\\xfc": 2, "x" * 128: 3}


def test_nothing_has_no_lines() -> None:
    assert read([]) == []
