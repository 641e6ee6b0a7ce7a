"""OpenTelemetry: what a collector gets."""

from collections.abc import Iterator
from typing import Any

import pytest

from forebay.channel.figures import PoolFigures
from forebay.metrics.catalogue import CATALOGUE
from forebay.metrics.lane import DeliveryError
from forebay.metrics.micropools import MicroPools
from forebay.metrics.otel import Collector, metrics_data
from tests.harness.otlp import OtlpReceiver, attributes
from tests.unit.metrics.made import node_figures, proxy_figures
from tests.unit.metrics.test_prometheus import full_figures

CUMULATIVE = 2  # AggregationTemporality of OTLP
POOL = {"db.client.connection.pool.name": "app"}


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as running:
        yield running


def send(receiver: OtlpReceiver, endpoint: str | None = None, **proxy: object) -> dict[str, Any]:
    collector = Collector(endpoint or receiver.url)
    figures = node_figures({"app": full_figures() if not proxy else proxy_figures(**proxy)})
    try:
        collector.deliver(figures)
    finally:
        collector.close()
    return receiver.metrics


def test_every_metric_of_the_catalogue_is_sent_and_no_other(receiver: OtlpReceiver) -> None:
    assert send(receiver).keys() == {each.opentelemetry for each in CATALOGUE}


def test_names_and_units_of_the_conventions(receiver: OtlpReceiver) -> None:
    found = send(receiver)
    counts = found["db.client.connection.count"]
    assert counts.unit == "{connection}"
    assert not counts.sum.is_monotonic
    states = {attributes(each)["db.client.connection.state"] for each in counts.sum.data_points}
    assert states == {"idle", "used"}
    assert all(POOL.items() <= attributes(each).items() for each in counts.sum.data_points)
    assert found["db.client.connection.max"].sum.data_points[0].as_int == 90
    assert found["db.client.connection.pending_requests"].unit == "{request}"
    waits = found["db.client.connection.wait_time"]
    assert waits.unit == "s"
    (point,) = waits.histogram.data_points
    assert (point.count, point.sum) == (5, pytest.approx(0.001))
    assert sum(point.bucket_counts) == 5
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    (duration,) = found["db.client.operation.duration"].histogram.data_points
    assert attributes(duration) == {**POOL, "db.system.name": "postgresql"}


def test_counters_are_cumulative_since_the_worker_started(receiver: OtlpReceiver) -> None:
    queries = send(receiver)["forebay.query_requests"]
    assert queries.sum.is_monotonic
    assert queries.sum.aggregation_temporality == CUMULATIVE
    (point,) = queries.sum.data_points
    assert attributes(point) == {"forebay.proxy": "app"}
    assert (point.as_int, point.start_time_unix_nano) == (8, 900 * 10**9)
    restarts = receiver.metrics["forebay.worker_restarts"].sum.data_points[0]
    assert restarts.start_time_unix_nano == 890 * 10**9  # the node's own
    cpu = receiver.metrics["forebay.process_cpu_time"]
    assert cpu.unit == "s"
    assert {
        attributes(each)["forebay.process"]: each.as_double for each in cpu.sum.data_points
    } == {
        "node": 1.25,
        "worker": 3.5,
    }


def test_gauges_words_and_means(receiver: OtlpReceiver) -> None:
    found = send(receiver)
    assert found["forebay.client_connections"].gauge.data_points[0].as_int == 7
    pins = found["forebay.session_pins"].sum.data_points
    assert {attributes(each)["forebay.reason"]: each.as_int for each in pins} == {
        "LISTEN": 2,
        "CURSOR": 0,
    }
    (mean,) = found["forebay.transaction_latency"].histogram.data_points
    assert (mean.count, list(mean.bucket_counts), list(mean.explicit_bounds)) == (4, [4], [])


def test_the_resource_is_this_node(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    send(receiver)
    assert receiver.resource["service.name"] == "forebay"
    assert receiver.resource["service.instance.id"].endswith("/10")


def test_names_of_clients_that_are_not_utf8(receiver: OtlpReceiver) -> None:
    pools = [PoolFigures(database="a\udcff", user='"\\\n', clients=2)]
    (point,) = send(receiver, pools=pools)["forebay.micro_pool_clients"].gauge.data_points
    assert attributes(point)["forebay.database"] == "a\\udcff"
    assert attributes(point)["forebay.user"] == '"\\\n'


@pytest.mark.parametrize(
    ("end", "path"), [("", "/v1/metrics"), ("/", "/v1/metrics"), ("/otlp/metrics", "/otlp/metrics")]
)
def test_a_base_url_or_a_whole_one(receiver: OtlpReceiver, end: str, path: str) -> None:
    send(receiver, receiver.url + end)
    assert receiver.paths == [path]


def test_headers_come_from_the_usual_variable(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=not-a-secret")
    send(receiver)
    assert receiver.headers[0]["api-key"] == "not-a-secret"


def test_a_collector_that_refuses_is_told(
    receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.status = 400
    with pytest.raises(DeliveryError, match="refuses"):
        send(receiver)
    assert caplog.records == []  # the lane tells it


def test_micro_pools_are_bounded_and_stay_told_apart() -> None:
    pools = [PoolFigures(database=name, user="u", queries=1) for name in "abc"]
    micro_pools = MicroPools(1)
    for given in (pools, pools[::-1]):
        data = metrics_data(node_figures({"app": proxy_figures(pools=given)}), micro_pools)
        (scope,) = data.resource_metrics[0].scope_metrics
        (told,) = [each for each in scope.metrics if each.name == "forebay.micro_pool_queries"]
        databases = [(each.attributes or {})["forebay.database"] for each in told.data.data_points]
        assert databases == ["a", "(others)"]
