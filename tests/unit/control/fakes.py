"""A node that says what a test wants it to say."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from forebay.channel import (
    ClientRow,
    PoolAction,
    PoolFigures,
    ProxyFigures,
    ProxyView,
    WorkerFigures,
)
from forebay.config import Address
from forebay.control import ControlServer, open_control_socket
from forebay.node import WorkerUnavailableError
from forebay.node.events import Events
from forebay.node.pausing import Pausing
from forebay.node.processes import NodeFigures, ProcessFigures
from forebay.node.reloads import Reload, reloaded
from forebay.node.status import ProxyStatus, Status


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds; the test's own timeout bounds it."""
    while not condition():  # noqa: ASYNC110 - what is waited for knows no events
        await asyncio.sleep(0.001)


class FakeObserver:
    """What there is to see: by proxy. ``failure``: why nothing is told; ``left``: how many
    connections are left, each time that it is asked (the last one from then on)."""

    def __init__(self) -> None:
        self.events = Events()
        self.failure: Exception | None = None
        self.views: dict[str, ProxyView] = {"app": ProxyView()}
        self.pools: dict[str, list[PoolFigures]] = {"app": []}
        self.numbers: dict[str, dict[str, int | float]] = {"app": {}}
        self.rows: dict[str, list[ClientRow]] = {"app": []}
        self.left = [0]
        self.commands: list[tuple[str, str, str]] = []

    async def figures(self, *, pools: bool = False) -> NodeFigures:
        self._fail()
        counted = {
            name: ProxyFigures(
                target="db:5432",
                numbers=self.numbers.get(name, {}),
                pools=each if pools else [],
            )
            for name, each in self.pools.items()
        }
        return NodeFigures(
            at=1000.0,
            node=ProcessFigures(pid=1),
            worker=ProcessFigures(pid=2),
            worker_restarts=0,
            counted=WorkerFigures(started_at=900.0, proxies=counted),
        )

    async def view(self) -> Mapping[str, ProxyView]:
        self._fail()
        return self.views

    async def clients(self, proxy: str) -> AsyncIterator[ClientRow]:
        self._fail()
        for row in self.rows[proxy]:
            yield row

    async def command(self, proxy: str, action: PoolAction, database: str) -> int:
        self._fail()
        self.commands.append((proxy, action, database))
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class FakeReconciler:
    """Where nothing is to be brought about."""

    def __init__(self) -> None:
        self.paused: Mapping[str, frozenset[str]] = {}

    async def pause(self, proxy: str, databases: frozenset[str]) -> None:
        self.paused = {**self.paused, proxy: databases}


class FakeWatching:
    """``watched``: the proxies that have several servers."""

    def __init__(self) -> None:
        self.watched = ["app"]
        self.expected: list[str] = []
        self.written: dict[str, str] = {}

    def expect(self, proxies: Iterable[str]) -> list[str]:
        found = [each for each in proxies if each in self.watched]
        self.expected += found
        return found

    def writers(self) -> dict[str, str]:
        return self.written


class FakeNode:
    """``gate``: while it is closed, no answer comes; ``clients``: None is a worker that is gone."""

    def __init__(self, source: str = "/etc/forebay.toml") -> None:
        self.source = source
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0
        self.reloads = 0
        self.failure: Exception | None = None
        self.clients: int | None = 3
        self.padding = ""
        self.stops: list[bool] = []
        self.observer = FakeObserver()
        self.pausing = Pausing(FakeReconciler(), self.observer)
        self.watching = FakeWatching()

    @property
    def addresses(self) -> Mapping[str, Sequence[Address]]:
        return {"app": [Address("127.0.0.1", 6432)]}

    async def status(self) -> Status:
        self.asked += 1
        await self.gate.wait()
        proxy = ProxyStatus(
            name="app", listen=[], target=[], max_client_connections=1, limit=self.padding
        )
        return Status(
            ok=True,
            problems=[],
            state="serving",
            version="1",
            pid=1,
            started_at=1.0,
            configuration=self.source,
            worker=None,
            worker_restarts=0,
            reload=None,
            proxies=[proxy],
        )

    async def stats(self) -> Mapping[str, Mapping[str, int | float]]:
        if self.clients is None:
            raise WorkerUnavailableError("gone")
        return {"app": {"client_connections": self.clients}, "other": {"client_connections": 1}}

    async def reload(self) -> Reload:
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.reloads += 1
        return reloaded(["a: 1 → 2"], [], [])


@asynccontextmanager
async def serving(node: FakeNode, path: Path) -> AsyncIterator[ControlServer]:
    """A server of this node at ``path``; the test may end it itself."""
    control = open_control_socket(str(path), {})
    assert control is not None
    server = ControlServer(node, node.stops.append)
    await server.start(control)
    try:
        yield server
    finally:
        if not server.has_finished:
            await server.finish(ok=True)
