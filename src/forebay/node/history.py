"""The last minutes, second by second: what a picture over time is drawn from.

Once a second the worker is asked for its figures, without those of micro-pools; what is between two
answers becomes one sample. What is kept is bounded, for any number of proxies.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec

from forebay.channel import Histogram, ProxyFigures
from forebay.channel.figures import wait_percentile_us
from forebay.net.tasks import spawn
from forebay.node.errors import WorkerUnavailableError
from forebay.node.processes import NodeFigures

INTERVAL_S = 1.0
KEPT = 300
# Of more proxies than these no history is kept; each has its figures all the same.
PROXIES_LIMIT = 50

_GAUGES = {
    "clients": "client_connections",
    "waiting": "clients_waiting",
    "waited_s": "clients_waiting_longest_s",
    "connections": "database_connections",
    "idle": "database_connections_idle",
    "opening": "database_connections_opening",
    "borrowed": "database_connections_borrowed",
    "in_transaction": "database_connections_in_transaction",
    "pinned": "clients_pinned",
    "limit": "max_database_connections_allowed",
}
_RATES = {
    "queries_s": "queries",
    "transactions_s": "transactions",
    "logins_s": "client_connections_setup_succeeded",
    "refused_s": "queries_refused",
}


class ProxySample(msgspec.Struct, frozen=True, kw_only=True):
    """One second of a proxy. Counts are as they were at its end; what ends with ``_s`` (but for
    ``waited_s``) is per second; latencies are those of the requests that were answered in it, 0.0
    if none was."""

    clients: int
    waiting: int
    waited_s: float  # for how long the first in the queue has waited
    connections: int
    idle: int
    opening: int
    borrowed: int
    in_transaction: int
    pinned: int
    limit: int
    queries_s: float
    transactions_s: float
    logins_s: float
    refused_s: float
    query_p50_ms: float
    query_p99_ms: float
    database_p50_ms: float
    database_p99_ms: float
    wait_p99_ms: float  # of all borrows, those that took no time included


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One second. ``worker_cpu``: the worker's part of one core (0 to 1, more with its threads);
    ``late_p99_ms``: by how much later than planned its loop did what was due."""

    at: float  # Unix time, s
    worker_cpu: float
    late_p99_ms: float
    proxies: dict[str, ProxySample]


def sample(before: NodeFigures, now: NodeFigures) -> Sample:
    """What is between two answers of the same worker."""
    time_s = max(now.at - before.at, 1e-3)
    known = before.counted.proxies
    names = list(now.counted.proxies)[:PROXIES_LIMIT]
    lateness = now.counted.lateness - before.counted.lateness
    return Sample(
        at=now.at,
        worker_cpu=max(0.0, now.worker.cpu_s - before.worker.cpu_s) / time_s,
        late_p99_ms=lateness.percentile_us(0.99) / 1e3,
        proxies={
            name: _proxy_sample(known[name], now.counted.proxies[name], time_s)
            for name in names
            if name in known
        },
    )


def _proxy_sample(before: ProxyFigures, now: ProxyFigures, time_s: float) -> ProxySample:
    numbers = now.numbers
    gauges = {field: numbers.get(name, 0) for field, name in _GAUGES.items()}
    rates = {
        field: max(0.0, numbers.get(name, 0) - before.numbers.get(name, 0)) / time_s
        for field, name in _RATES.items()
    }
    query, database, waits = (
        now.histograms.get(name, Histogram()) - before.histograms.get(name, Histogram())
        for name in ("query", "database", "borrow_wait")
    )
    borrows = int(numbers.get("borrows", 0) - before.numbers.get("borrows", 0))
    return msgspec.convert(
        {
            **gauges,
            **rates,
            "query_p50_ms": query.percentile_us(0.5) / 1e3,
            "query_p99_ms": query.percentile_us(0.99) / 1e3,
            "database_p50_ms": database.percentile_us(0.5) / 1e3,
            "database_p99_ms": database.percentile_us(0.99) / 1e3,
            "wait_p99_ms": wait_percentile_us(waits, borrows, 0.99) / 1e3,
        },
        ProxySample,
        strict=False,
    )


class History:
    """Of one node. ``figures`` is how it asks."""

    def __init__(self, figures: Callable[[], Awaitable[NodeFigures]], kept: int = KEPT) -> None:
        self._figures = figures
        self._samples: deque[Sample] = deque(maxlen=kept)
        self._before: NodeFigures | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take samples from now on."""
        self._task = spawn(self._run(), "history")

    def stop(self) -> None:
        """Take none any more."""
        if self._task is not None:
            self._task.cancel()

    def since(self, at: float = 0.0) -> list[Sample]:
        """The samples that are newer than this (Unix time), oldest first."""
        return [each for each in self._samples if each.at > at]

    def add(self, now: NodeFigures) -> None:
        """An answer of the worker's. The first one of a worker makes no sample."""
        before, self._before = self._before, now
        if before is not None and before.counted.started_at == now.counted.started_at:
            self._samples.append(sample(before, now))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            try:
                self.add(await self._figures())
            except WorkerUnavailableError:
                self._before = None
