"""What tells metrics by itself, once a minute: to CloudWatch, to an OpenTelemetry collector, to the
log. Begins and ends with the node; what it does is fixed at its start.
"""

import asyncio
import importlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from typing import Any, Final

from forebay.config.settings import CloudWatchSettings, NodeSettings, OtelSettings
from forebay.metrics import cloudwatch, emf, places, stats
from forebay.metrics.intervals import Intervals, Sample
from forebay.metrics.lane import Lane
from forebay.net.tasks import spawn
from forebay.node.errors import WorkerUnavailableError
from forebay.node.observer import Observer
from forebay.node.processes import NodeFigures

log = logging.getLogger("forebay.stats")

INTERVAL_S: Final = 60.0

Export = Callable[[], Awaitable[None]]


class ExporterError(Exception):
    """What is configured can't be done; the text says what is missing."""


class Exporters:
    """All that ``[node]`` asks for. Raises ExporterError."""

    def __init__(self, node: NodeSettings, observer: Observer, environ: Mapping[str, str]) -> None:
        self._observer = observer
        self._stats_period_s = node.stats_period
        self._tasks: list[asyncio.Task[None]] = []
        self._stats = _StatsLog() if node.log_stats else None
        self._cloudwatch = (
            _ToCloudWatch(node.cloudwatch, environ) if node.cloudwatch is not None else None
        )
        self._collector = _ToCollector(node.otel) if node.otel is not None else None

    def start(self) -> None:
        """Begin; the first minute ends with the next one of the clock."""
        if self._cloudwatch is not None or self._collector is not None:
            self._tasks.append(spawn(_each(INTERVAL_S, self.export), "export of metrics"))
        if self._stats is not None:
            self._tasks.append(spawn(_each(self._stats_period_s, self.tell), "stats in the log"))

    def stop(self) -> None:
        """End; what has not been delivered yet is lost."""
        for task in self._tasks:
            task.cancel()
        for each in (self._cloudwatch, self._collector):
            if each is not None:
                each.close()

    async def export(self) -> None:
        """One minute, to CloudWatch and the collector. Nothing while there is no worker."""
        try:
            figures = await self._observer.figures(pools=self._collector is not None)
        except WorkerUnavailableError:
            return
        for each in (self._cloudwatch, self._collector):
            if each is not None:
                each.take(figures)

    async def tell(self) -> None:
        """One line for each proxy, to the log."""
        if self._stats is None:
            return
        try:
            self._stats.take(await self._observer.figures())
        except WorkerUnavailableError:
            return


async def _each(period_s: float, do: Export) -> None:
    """Do it whenever a period of the clock ends: so CloudWatch has one sample of each minute."""
    while True:
        await asyncio.sleep(period_s - time.time() % period_s)
        try:
            await do()
        except Exception:
            log.exception("A period was not told")  # the next one may be


class _StatsLog:
    def __init__(self) -> None:
        self._before: NodeFigures | None = None

    def take(self, figures: NodeFigures) -> None:
        before, self._before = self._before, figures
        started_at = figures.counted.started_at
        is_same = before is not None and before.counted.started_at == started_at
        known = before.counted.proxies if before is not None and is_same else {}
        began_at = before.at if before is not None else started_at
        for name, proxy in figures.counted.proxies.items():
            duration_s = figures.at - began_at
            found = stats.stats(known.get(name), proxy, duration_s)
            fields = stats.fields(name, found, duration_s)
            log.info("%s", stats.line(found), extra={"fields": fields})


class _ToCloudWatch:
    def __init__(self, settings: CloudWatchSettings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._intervals = Intervals()
        self._lines: Lane[list[bytes]] | None = None
        self._data: Lane[list[cloudwatch.Datum]] | None = None
        if settings.put_metric_data and find_spec("botocore") is None:
            raise ExporterError(f"node.cloudwatch.put_metric_data: {cloudwatch.MISSING}")
        if settings.emf:
            self._lines = Lane(*places.place_of(settings.emf))
        if settings.put_metric_data:
            client = cloudwatch.CloudWatch(settings, environ)
            self._data = Lane("CloudWatch", client.deliver)

    def take(self, figures: NodeFigures) -> None:
        samples = [each for each in self._intervals.next(figures) if self._is_wanted(each)]
        begin = minute_of(figures.at)
        if self._lines is not None:
            self._lines.offer([list(emf.lines(samples, self._settings.namespace, begin))])
        if self._data is not None:
            self._data.offer(cloudwatch.data(samples, begin))

    def _is_wanted(self, sample: Sample) -> bool:
        return self._settings.metrics == "all" or sample.metric.is_rds

    def close(self) -> None:
        for lane in (self._lines, self._data):
            if lane is not None:
                lane.close()


class _ToCollector:
    def __init__(self, settings: OtelSettings) -> None:
        try:
            otel: Any = importlib.import_module("forebay.metrics.otel")
        except ImportError:
            text = 'node.otel needs OpenTelemetry: pip install "forebay[otel]"'
            raise ExporterError(text) from None
        self._collector = otel.Collector(settings.endpoint)
        self._lane: Lane[NodeFigures] = Lane("the OpenTelemetry collector", self._collector.deliver)

    def take(self, figures: NodeFigures) -> None:
        self._lane.offer([figures])

    def close(self) -> None:
        self._lane.close()
        self._collector.close()


def minute_of(at: float) -> float:
    """The minute that has ended at about this time, by its beginning, as CloudWatch calls it."""
    return (round(at / INTERVAL_S) - 1) * INTERVAL_S
