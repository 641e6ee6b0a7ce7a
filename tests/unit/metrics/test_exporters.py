"""What tells metrics by itself."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from forebay.config.settings import CloudWatchSettings, NodeSettings, OtelSettings
from forebay.metrics import exporters
from forebay.metrics.exporters import ExporterError, Exporters, minute_of
from forebay.metrics.lane import Lane
from forebay.node.errors import WorkerUnavailableError
from forebay.node.processes import NodeFigures
from tests.harness.otlp import OtlpReceiver
from tests.unit.metrics.made import node_figures, proxy_figures


class Observer:
    """A node's, with figures that the test gives; None: there is no worker."""

    def __init__(self, figures: NodeFigures | None) -> None:
        self.given = figures
        self.asked: list[bool] = []

    async def figures(self, *, pools: bool = False) -> NodeFigures:
        self.asked.append(pools)
        if self.given is None:
            raise WorkerUnavailableError("no worker is running at the moment")
        return self.given


def made(observer: Observer, **node: Any) -> Exporters:
    settings = NodeSettings(**{"log_stats": False, **node})
    return Exporters(settings, observer, {})  # type: ignore[arg-type]


async def delivered(exporters: Exporters) -> None:
    """All lanes have done what they had to do."""
    for way in (exporters._cloudwatch, exporters._collector):
        for lane in vars(way).values() if way is not None else ():
            if isinstance(lane, Lane):
                assert lane._task is not None
                await lane._task
                assert lane.dropped == 0


async def test_nothing_is_told_that_was_not_asked_for() -> None:
    observer = Observer(node_figures())
    quiet = made(observer)
    quiet.start()
    assert quiet._tasks == []
    await quiet.export()
    await quiet.tell()
    quiet.stop()


async def test_cloudwatch_gets_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    observer = Observer(node_figures(at=6_001.0))
    running = made(observer, cloudwatch=CloudWatchSettings(emf=f"file:{path}", namespace="N"))
    await running.export()
    await delivered(running)
    running.stop()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {each["_aws"]["Timestamp"] for each in lines} == {5_940_000}
    assert {each["_aws"]["CloudWatchMetrics"][0]["Namespace"] for each in lines} == {"N"}
    assert any(each.get("ClientConnections") == 7 for each in lines)
    assert any("ClientLogins" in each for each in lines)
    assert observer.asked == [False]


async def test_cloudwatch_gets_rds_proxys_alone_if_that_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    settings = CloudWatchSettings(emf=f"file:{path}", metrics="rds")
    running = made(Observer(node_figures()), cloudwatch=settings)
    await running.export()
    await delivered(running)
    running.stop()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert any("ClientConnections" in each for each in lines)
    assert not any("ClientLogins" in each or "WorkerRestarts" in each for each in lines)


async def test_cloudwatch_gets_data(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "forebay.metrics.cloudwatch.CloudWatch.deliver", lambda _, part: sent.extend(part)
    )
    running = made(Observer(node_figures()), cloudwatch=CloudWatchSettings(put_metric_data=True))
    await running.export()
    await delivered(running)
    running.stop()
    assert "ClientConnections" in {each["MetricName"] for each in sent}


async def test_a_collector_gets_all_with_micro_pools() -> None:
    observer = Observer(node_figures())
    with OtlpReceiver() as receiver:
        running = made(observer, otel=OtelSettings(endpoint=receiver.url))
        await running.export()
        await delivered(running)
        running.stop()
        assert "forebay.micro_pool_clients" in receiver.metrics
    assert observer.asked == [True]


async def test_without_a_worker_nothing_is_told(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    running = made(
        Observer(None), cloudwatch=CloudWatchSettings(emf=f"file:{path}"), log_stats=True
    )
    await running.export()
    await running.tell()
    running.stop()
    assert not path.exists()


async def test_the_log_has_a_line_for_each_proxy(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "forebay.stats")
    observer = Observer(node_figures({"a": proxy_figures(), "b": proxy_figures()}, at=1_000.0))
    running = made(observer, log_stats=True)
    await running.tell()
    more = proxy_figures(numbers={"queries": 128})
    observer.given = node_figures({"a": more}, at=1_060.0)
    await running.tell()
    observer.given = node_figures({"a": more}, at=1_120.0, worker_started_at=1_100.0)
    await running.tell()
    running.stop()
    told = [(each.__dict__["fields"]["proxy"], each.getMessage()) for each in caplog.records]
    assert [proxy for proxy, _ in told] == ["a", "b", "a", "a"]
    assert all(text.startswith("stats: ") for _, text in told)
    told_queries = [each.__dict__["fields"]["stats"]["queries_s"] for each in caplog.records]
    assert told_queries == [0, 0, 2, 2]


async def test_they_begin_and_end_with_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    told = asyncio.Event()
    periods: list[float] = []

    async def each(period_s: float, do: exporters.Export) -> None:
        periods.append(period_s)
        await do()
        told.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(exporters, "_each", each)
    running = made(
        Observer(None),
        log_stats=True,
        stats_period=30.0,
        cloudwatch=CloudWatchSettings(emf="stdout"),
    )
    running.start()
    await told.wait()
    running.stop()
    await asyncio.gather(*running._tasks, return_exceptions=True)
    assert all(task.cancelled() for task in running._tasks)
    assert sorted(periods) == [30.0, 60.0]


async def test_each_period_of_the_clock_is_done_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now, waits = 1_000.0, []

    async def sleep(delay_s: float) -> None:
        nonlocal now
        waits.append(delay_s)
        now += delay_s

    async def do() -> None:
        nonlocal now
        now += 1.5
        if len(waits) == 1:
            raise ValueError("the next period is another")
        if len(waits) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(exporters.asyncio, "sleep", sleep)
    monkeypatch.setattr(exporters.time, "time", lambda: now)
    with pytest.raises(asyncio.CancelledError):
        await exporters._each(60.0, do)
    assert waits == [20.0, 58.5, 58.5]
    assert [each.getMessage() for each in caplog.records] == ["A period was not told"]


def test_a_minute_is_called_by_its_beginning() -> None:
    assert minute_of(120.02) == minute_of(119.99) == 60.0


@pytest.mark.parametrize(
    ("missing", "settings", "text"),
    [
        (
            "botocore",
            {"cloudwatch": CloudWatchSettings(put_metric_data=True)},
            r"node\.cloudwatch\.put_metric_data: .*forebay\[aws\]",
        ),
        (
            "forebay.metrics.otel",
            {"otel": OtelSettings(endpoint="http://h")},
            r"node\.otel needs OpenTelemetry: .*forebay\[otel\]",
        ),
    ],
)
async def test_what_is_not_installed_is_told_at_the_start(
    missing: str, settings: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def import_module(name: str) -> None:
        assert name == missing
        raise ImportError(name)

    monkeypatch.setattr(exporters, "find_spec", lambda name: None)
    monkeypatch.setattr(exporters.importlib, "import_module", import_module)
    with pytest.raises(ExporterError, match=text):
        made(Observer(None), **settings)
