"""What others want to know of a running node: its figures, who holds and waits, its clients.

However many look at it, the worker is asked no more often than the answers' ages below say; and of
clients and connections, which may be thousands, it tells a few at a time.
"""

import os
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from forebay.channel import (
    ClientRow,
    Clients,
    ClientsRequest,
    ConnectionRow,
    Connections,
    ConnectionsRequest,
    Done,
    Figures,
    FiguresRequest,
    Looking,
    PoolAction,
    PoolCommand,
    ProxyView,
    View,
    ViewRequest,
)
from forebay.node.errors import WorkerUnavailableError
from forebay.node.processes import NodeFigures, process_figures
from forebay.node.reconciler import Reconciler
from forebay.node.shared import Shared
from forebay.node.standing import figures_of
from forebay.node.target_status import target_figures
from forebay.node.worker_process import WorkerError

T = TypeVar("T")

ANSWER_TIMEOUT_S = 5.0
# For as long an answer serves all who ask for the same.
FIGURES_AGE_S = 0.25
VIEW_AGE_S = 0.5
# Of holders, waiters and kinds of pins so many are told.
VIEW_LIMIT = 50
# Clients or connections told at once, and in all.
ROWS_AT_ONCE = 200
ROWS_LIMIT = 100_000


class Observer:
    """Looks at one node. All that asks the worker raises WorkerUnavailableError."""

    def __init__(self, reconciler: Reconciler, started_at: float) -> None:
        self._reconciler = reconciler
        self._started_at = started_at
        self._figures = Shared(self._ask_figures, FIGURES_AGE_S)
        self._figures_with_pools = Shared(lambda: self._ask_figures(pools=True), FIGURES_AGE_S)
        self._view = Shared(self._ask_view, VIEW_AGE_S)
        self.events = reconciler.events

    async def figures(self, *, pools: bool = False) -> NodeFigures:
        """What was counted until now, or until a moment ago; with that of each micro-pool if
        ``pools``."""
        return await (self._figures_with_pools if pools else self._figures).get()

    async def view(self) -> Mapping[str, ProxyView]:
        """Who holds and waits, and what pins, by proxy: now, or a moment ago."""
        return await self._view.get()

    async def clients(self, proxy: str) -> AsyncIterator[ClientRow]:
        """The clients of a proxy, one after the other. They come and go meanwhile: each is told
        once."""
        seen: set[int] = set()
        offset, is_first = 0, True
        while (offset or is_first) and len(seen) < ROWS_LIMIT:
            request = ClientsRequest(proxy=proxy, offset=offset, limit=ROWS_AT_ONCE)
            part = await self.ask(request, Clients)
            for row in part.rows:
                if row.id not in seen:
                    seen.add(row.id)
                    yield row
            offset, is_first = part.next_offset, False

    async def connections(self, proxy: str) -> AsyncIterator[ConnectionRow]:
        """As `clients`, of database connections."""
        seen: set[int] = set()
        offset, is_first = 0, True
        while (offset or is_first) and len(seen) < ROWS_LIMIT:
            request = ConnectionsRequest(proxy=proxy, offset=offset, limit=ROWS_AT_ONCE)
            part = await self.ask(request, Connections)
            for row in part.rows:
                if row.id not in seen:
                    seen.add(row.id)
                    yield row
            offset, is_first = part.next_offset, False

    async def command(self, proxy: str, action: PoolAction, database: str) -> int:
        """Reconnect or kill (see PoolCommand); returns how many connections are left. Where there
        is no worker there are none, and the next one is told what is paused."""
        if self._reconciler.supervisor.worker is None:
            return 0
        request = PoolCommand(proxy=proxy, action=action, database=database)
        left = (await self.ask(request, Done)).left
        for each in (self._figures, self._figures_with_pools, self._view):
            each.forget()  # whoever has given a command sees what has come of it
        return left

    async def ask(
        self, request: Looking, expected: type[T], timeout_s: float = ANSWER_TIMEOUT_S
    ) -> T:
        """Ask the worker."""
        worker = self._reconciler.supervisor.worker
        if worker is None:
            raise WorkerUnavailableError("no worker is running at the moment")
        try:
            return await worker.ask(request, expected, timeout_s)
        except WorkerError as error:
            raise WorkerUnavailableError(str(error)) from None

    async def _ask_figures(self, *, pools: bool = False) -> NodeFigures:
        worker = self._reconciler.supervisor.worker
        if worker is None:
            raise WorkerUnavailableError("no worker is running at the moment")
        counted = (await self.ask(FiguresRequest(pools=pools), Figures)).worker
        secrets, now = self._reconciler.kept.figures(), datetime.now(UTC)
        for name in counted.proxies.keys() & self._reconciler.materials.keys():
            settings = self._reconciler.config.proxies[name]
            material = self._reconciler.materials[name]
            counted.proxies[name].numbers.update(figures_of(settings, material, secrets, now))
        for name, status in self._reconciler.watching.statuses().items():
            if name in counted.proxies:
                numbers, parts = target_figures(status)
                counted.proxies[name].numbers.update(numbers)
                counted.proxies[name].parts.update(parts)
        return NodeFigures(
            at=time.time(),
            node=process_figures(os.getpid(), self._started_at),
            worker=process_figures(worker.pid, worker.started_at),
            worker_restarts=self._reconciler.supervisor.restarts,
            counted=counted,
        )

    async def _ask_view(self) -> Mapping[str, ProxyView]:
        return (await self.ask(ViewRequest(limit=VIEW_LIMIT), View)).proxies
