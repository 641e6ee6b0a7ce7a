"""What happened from one look to the next, as CloudWatch wants it: gauges as they are now, counters
as differences, latencies as means, shares in percent. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from forebay.channel.figures import Histogram, Number, ProxyFigures, WorkerFigures
from forebay.metrics.catalogue import CATALOGUE
from forebay.metrics.labels import ascii_only
from forebay.metrics.metric import DimensionSet, Kind, Metric, Scope, Value
from forebay.node.processes import NodeFigures, ProcessFigures

# What RDS Proxy calls the endpoint and target group that come with a proxy; here are no others.
DEFAULT: Final = "default"


class Sample(NamedTuple):
    """One value of one metric over an interval. ``sets``: the dimension sets under which it is
    told; ``dimensions``: the values of all names in them, fit for CloudWatch."""

    metric: Metric
    value: float
    sets: tuple[DimensionSet, ...]
    dimensions: Mapping[str, str]


class Intervals:
    """Remembers the last look. The first interval begins with the node."""

    def __init__(self) -> None:
        self._before: NodeFigures | None = None

    def next(self, figures: NodeFigures) -> list[Sample]:
        """What happened since the look before. A worker or proxy that is new has counted from 0,
        so no difference is below it."""
        before = self._before or _beginning(figures)
        self._before = figures
        if before.counted.started_at != figures.counted.started_at:
            # Its figures ended with the worker.
            before = msgspec.structs.replace(
                before, counted=WorkerFigures(), worker=ProcessFigures(pid=0)
            )
        return list(_samples(before, figures))


def _beginning(figures: NodeFigures) -> NodeFigures:
    return NodeFigures(
        at=figures.counted.started_at,
        node=ProcessFigures(pid=figures.node.pid),
        worker=ProcessFigures(pid=figures.worker.pid),
        worker_restarts=0,
        counted=WorkerFigures(started_at=figures.counted.started_at),
    )


def _samples(before: NodeFigures, now: NodeFigures) -> Iterator[Sample]:
    duration_s = now.at - before.at
    sources = _sources(before, now)
    for metric in CATALOGUE:
        if not metric.dimensions:
            continue
        for was, is_, dimensions in sources[metric.scope]:
            value = between(metric, metric.read(was), metric.read(is_), duration_s)
            if isinstance(value, Mapping):
                yield from _by_word(metric, value, dimensions)
            elif value is not None:
                yield Sample(metric, value, metric.dimensions, dimensions)


def _sources(
    before: NodeFigures, now: NodeFigures
) -> dict[Scope, list[tuple[object, object, Mapping[str, str]]]]:
    """By scope: what was, what is, and the values of all dimensions that it may have."""
    nothing = ProxyFigures(target="")
    return {
        Scope.NODE: [(before, now, {})],
        Scope.PROCESS: [
            (before.node, now.node, {"Process": "node"}),
            (before.worker, now.worker, {"Process": "worker"}),
        ],
        Scope.PROXY: [
            (
                before.counted.proxies.get(name, nothing),
                proxy,
                {
                    "ProxyName": name,
                    "EndpointName": DEFAULT,
                    "TargetGroup": DEFAULT,
                    "Target": ascii_only(proxy.target),
                    "TargetRole": proxy.target_role,
                },
            )
            for name, proxy in now.counted.proxies.items()
        ],
    }


def between(
    metric: Metric, was: Value, is_: Value, duration_s: float
) -> Number | Mapping[str, Number] | None:
    """The value of an interval that lasted ``duration_s``, with ``was`` at its beginning and
    ``is_`` at its end. None: there is nothing to tell."""
    if isinstance(is_, Histogram):
        return _mean(was if isinstance(was, Histogram) else Histogram(), is_)
    if isinstance(is_, Mapping):
        if metric.kind is Kind.GAUGE:
            return is_
        words = was if isinstance(was, Mapping) else {}
        return {word: risen(words.get(word, 0), value) for word, value in is_.items()}
    if is_ is None or metric.kind is Kind.GAUGE:
        return is_
    difference = risen(was if isinstance(was, int | float) else 0, is_)
    if metric.kind is Kind.COUNTER:
        return difference
    return min(100.0, 100.0 * difference / duration_s) if duration_s > 0 else None


def risen(was: Number, is_: Number) -> Number:
    """By how much a counter has risen; one that fell has begun again at 0."""
    return is_ - was if is_ >= was else is_


def _mean(was: Histogram, is_: Histogram) -> float | None:
    if is_.count < was.count:
        was = Histogram()
    count = is_.count - was.count
    return max(0.0, (is_.sum_us - was.sum_us) / count) if count else None


def _by_word(
    metric: Metric, words: Mapping[str, Number], dimensions: Mapping[str, str]
) -> Iterator[Sample]:
    """The sum, and of each word that is not 0 its own: CloudWatch bills by metric."""
    first = metric.dimensions[0]
    yield Sample(metric, sum(words.values()), (first,), dimensions)
    for word, value in words.items():
        if value:
            told = {**dimensions, metric.label: ascii_only(word)}
            yield Sample(metric, value, ((*first, metric.label),), told)
