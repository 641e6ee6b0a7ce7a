"""A node that tells what a test wants, and clients that speak HTTP word by word."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from forebay.channel import ProxyFigures, ProxyView, WorkerFigures
from forebay.config.settings import AuthSettings, Config, ProxySettings, TargetSettings
from forebay.dashboard import HttpServer, Token, open_http_listener
from forebay.node.errors import WorkerUnavailableError
from forebay.node.events import Events
from forebay.node.history import ProxySample, Sample
from forebay.node.processes import NodeFigures, ProcessFigures
from forebay.node.status import State, Status, WorkerStatus, describe

APP = ProxySettings(
    auth=[AuthSettings(secret="env:A")], target=TargetSettings(hosts=["db.internal:5432"])
)
NUMBERS = {
    "client_connections": 7,
    "clients_waiting": 2,
    "clients_pinned": 1,
    "clients_waiting_longest_s": 1.5,
    "database_connections": 4,
    "database_connections_borrowed": 3,
    "database_connections_idle": 1,
    "max_database_connections_allowed": 40,
    "server_max_connections": 48,
    "server_reserved_connections": 3,
}


def moment(at: float, proxy: str = "app", **figures: float) -> Sample:
    """One second of history: all figures 0 but for these."""
    names = (each.name for each in msgspec.structs.fields(ProxySample))
    own = msgspec.convert(dict.fromkeys(names, 0) | figures, ProxySample, strict=False)
    return Sample(at=at, worker_cpu=0.25, late_p99_ms=1.0, proxies={proxy: own})


@dataclass
class FakeHistory:
    """A history."""

    samples: list[Sample] = field(default_factory=list)

    def since(self, at: float = 0.0) -> list[Sample]:
        return [each for each in self.samples if each.at > at]


@dataclass
class FakeObserver:
    """Says what it is given; `asked` counts how often the worker would have been asked."""

    views: dict[str, ProxyView] = field(default_factory=dict)
    events: Events = field(default_factory=Events)
    asked: int = 0
    is_silent: bool = False

    async def figures(self, *, pools: bool = False) -> NodeFigures:
        self.asked += 1
        await asyncio.sleep(0)
        if self.is_silent:
            raise WorkerUnavailableError("no worker is running at the moment")
        counted = WorkerFigures(
            proxies={"app": ProxyFigures(target="db.internal:5432", numbers=dict(NUMBERS))}
        )
        return NodeFigures(
            at=1e9 + self.asked,
            node=ProcessFigures(pid=1),
            worker=ProcessFigures(pid=2),
            worker_restarts=0,
            counted=counted,
        )

    async def view(self) -> Mapping[str, ProxyView]:
        if self.is_silent:
            raise WorkerUnavailableError("no worker is running at the moment")
        return self.views


@dataclass
class FakeNode:
    """A node with one proxy, or those of `config`."""

    observer: FakeObserver = field(default_factory=FakeObserver)
    history: FakeHistory = field(default_factory=FakeHistory)
    config: Config = field(default_factory=lambda: Config(proxies={"app": APP}))
    state: State = "serving"

    async def status(self) -> Status:
        silence = "no worker is running at the moment" if self.observer.is_silent else ""
        return describe(
            self.config,
            {},
            {} if silence else {"app": NUMBERS},
            silence,
            state=self.state,
            configuration="/etc/forebay.toml",
            started_at=1e9,
            worker=None if silence else WorkerStatus(pid=2, started_at=1e9),
            worker_restarts=0,
            reload=None,
            warnings={},
            paused={},
            servers={},
        )


async def soon(look: Callable[[], bool]) -> None:
    """Returns when it is so; the timeout only bounds a test that fails."""
    async with asyncio.timeout(30):
        while not look():  # noqa: ASYNC110 - of what is looked at nothing tells
            await asyncio.sleep(0.001)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class Site:
    """A server that runs, and how to ask it."""

    server: HttpServer
    port: int

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(
        self, path: str, method: str = "GET", body: bytes = b"", **headers: str
    ) -> Answer:
        reader, writer = await self.connect()
        try:
            writer.write(head(path, method, length=len(body) if body else None, **headers) + body)
            return parsed(await asyncio.wait_for(reader.read(), 30))
        finally:
            writer.close()


def head(path: str, method: str = "GET", *, length: int | None = None, **headers: str) -> bytes:
    """The head of a request, which closes its connection unless it says otherwise."""
    given = {"host": "localhost", "connection": "close"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    if length is not None:
        given["content-length"] = str(length)
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in given.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def parsed(answer: bytes) -> Answer:
    """A whole answer whose body is not in chunks."""
    top, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = top.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    return Answer(int(first.split()[1]), headers, body)


@contextlib.asynccontextmanager
async def site(node: FakeNode, token: Token | None = None) -> AsyncIterator[Site]:
    """A server for this node, on a port of its own."""
    settings = msgspec.structs.replace(node.config.node, control_listen="127.0.0.1:0")
    listener = open_http_listener(settings)
    assert listener is not None
    server = HttpServer(node, listener, token)
    server.start()
    try:
        yield Site(server, listener.address.port)
    finally:
        await server.finish()
