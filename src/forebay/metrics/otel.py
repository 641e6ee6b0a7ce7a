"""OpenTelemetry: all metrics by OTLP over HTTP, as cumulative sums, gauges and histograms. What the
semantic conventions for database clients know has their names, the rest begins with ``forebay.``.

Only who has configured a collector imports this: it needs ``forebay[otel]``. The SDK's instruments
would count once more what is counted already, so its data points are made here.
"""

import logging
import socket
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from forebay import __version__
from forebay.channel import figures as counted
from forebay.metrics import metric as rows
from forebay.metrics.catalogue import CATALOGUE
from forebay.metrics.labels import clean
from forebay.metrics.lane import DeliveryError
from forebay.metrics.metric import Kind, Scope, snake
from forebay.metrics.micropools import MicroPools
from forebay.metrics.prometheus import BOUNDS_US
from forebay.metrics.sources import Source, sources
from forebay.node.processes import NodeFigures

TIMEOUT_S: Final = 10
_PATH: Final = "/v1/metrics"
_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE
_BOUNDS_S: Final = tuple(bound / 1e6 for bound in BOUNDS_US)
# UCUM, as the conventions want it.
_UNITS: Final = {"seconds": "s", "bytes": "By"}
_COUNTED: Final = {
    "db.client.connection.count": "{connection}",
    "db.client.connection.max": "{connection}",
    "db.client.connection.pending_requests": "{request}",
}
_POOL: Final = "db.client.connection.pool.name"


class Collector:
    """A collector at ``endpoint``: its base URL, or that of its metrics if that has a path. Headers
    for it come from OTEL_EXPORTER_OTLP_HEADERS. For one thread."""

    def __init__(self, endpoint: str) -> None:
        path = urlsplit(endpoint).path
        url = endpoint.rstrip("/") + _PATH if path in ("", "/") else endpoint
        # They log each failure, with what was answered; the lane tells it once.
        for name in ("opentelemetry.exporter", "opentelemetry.sdk"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._exporter = OTLPMetricExporter(endpoint=url, timeout=TIMEOUT_S)
        self._micro_pools = MicroPools()

    def deliver(self, figures: NodeFigures) -> None:
        """Send all metrics. Making them takes longer than a loop may stand still where there are
        hundreds of micro-pools. Raises DeliveryError."""
        data = metrics_data(figures, self._micro_pools)
        if self._exporter.export(data) is not MetricExportResult.SUCCESS:
            raise DeliveryError("the collector is away, or refuses them")

    def close(self) -> None:
        self._exporter.shutdown()


def metrics_data(figures: NodeFigures, micro_pools: MicroPools) -> MetricsData:
    """All metrics as they are now. ``micro_pools``: which were told apart before."""
    by_scope = sources(figures, micro_pools)
    by_name: dict[str, list[tuple[rows.Metric, list[Any]]]] = defaultdict(list)
    for row in CATALOGUE:
        points = [
            point for source in by_scope[row.scope] for point in _points(row, source, figures)
        ]
        if points:
            by_name[row.opentelemetry].append((row, points))
    metrics = [
        _metric(row[0][0], [point for _, points in row for point in points])
        for row in by_name.values()
    ]
    scope = ScopeMetrics(InstrumentationScope("forebay", __version__), metrics, "")
    return MetricsData([ResourceMetrics(_resource(figures.node.pid), [scope], "")])


@cache
def _resource(pid: int) -> Resource:
    """Who tells all this; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before it."""
    host = socket.gethostname()
    ours = {
        "service.name": "forebay",
        "service.version": __version__,
        "service.instance.id": f"{host}/{pid}",
        "host.name": host,
    }
    return Resource(ours).merge(OTELResourceDetector().detect())


def _metric(row: rows.Metric, points: list[Any]) -> Metric:
    data: Sum | Gauge | Histogram
    if row.kind in (Kind.LATENCY, Kind.MEAN):
        data = Histogram(points, _CUMULATIVE)
    elif row.kind is Kind.GAUGE and not row.otel:
        data = Gauge(points)
    else:  # what the conventions call an UpDownCounter is a sum that may fall
        data = Sum(points, _CUMULATIVE, is_monotonic=row.kind is not Kind.GAUGE)
    unit = _UNITS.get(row.base_unit) or _COUNTED.get(row.otel, "1")
    return Metric(row.opentelemetry, f"{row.meaning}.", unit, data)


def _points(row: rows.Metric, source: Source, figures: NodeFigures) -> Iterator[Any]:
    value = row.read(source.of)
    attributes = {**_attributes(row, source), **row.otel_attributes}
    begin_s = figures.node.started_at if _is_nodes(row, source) else figures.counted.started_at
    times = (int(begin_s * 1e9), int(figures.at * 1e9))
    if isinstance(value, counted.Histogram):
        yield _histogram(row, value, attributes, times)
    elif isinstance(value, Mapping):
        label = f"forebay.{snake(row.label)}"
        for word, count in value.items():
            yield NumberDataPoint({**attributes, label: word}, *times, count)
    elif value is not None:
        factor = row.in_base_units
        told = value if factor == 1.0 else value * factor
        yield NumberDataPoint(attributes, *times, told)


def _is_nodes(row: rows.Metric, source: Source) -> bool:
    """Whether it was counted by the node, not by the worker."""
    if row.scope is Scope.PROCESS:
        return source.labels["process"] == "node"
    return row.scope is Scope.NODE and row.kind is not Kind.LATENCY


def _attributes(row: rows.Metric, source: Source) -> dict[str, str]:
    labels = {name: clean(source.labels[name]) for name in row.labels}
    if row.otel:
        return {_POOL: labels["proxy"]}
    return {f"forebay.{name}": value for name, value in labels.items()}


def _histogram(
    row: rows.Metric,
    value: counted.Histogram,
    attributes: dict[str, str],
    times: tuple[int, int],
) -> HistogramDataPoint:
    bounds: tuple[float, ...] = ()
    counts = [value.count]
    if row.kind is Kind.LATENCY:
        bounds, below = _BOUNDS_S, [0, *value.cumulative(BOUNDS_US), value.count]
        counts = [after - before for before, after in pairwise(below)]
    shortest, longest = min(value.buckets, default=-1), max(value.buckets, default=-1)
    return HistogramDataPoint(
        attributes,
        *times,
        count=value.count,
        sum=value.sum_us / 1e6,
        bucket_counts=counts,
        explicit_bounds=bounds,
        min=counted.upper_bound_us(shortest - 1) / 1e6 if shortest > 0 else 0.0,
        max=counted.upper_bound_us(longest) / 1e6 if longest >= 0 else 0.0,
    )
