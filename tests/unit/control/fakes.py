"""A node that says what a test wants it to say."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from forebay.config import Address
from forebay.control import ControlServer, open_control_socket
from forebay.node import WorkerUnavailableError
from forebay.node.reloads import Reload, reloaded
from forebay.node.status import ProxyStatus, Status


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds; the test's own timeout bounds it."""
    while not condition():  # noqa: ASYNC110 - what is waited for knows no events
        await asyncio.sleep(0.001)


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
