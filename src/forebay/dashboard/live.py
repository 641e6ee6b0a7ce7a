"""What goes on, once a second, for all who look: asked once and encoded once for each proxy.

Whoever does not keep up loses messages: each viewer has room for the latest one, and no queue.
"""

import asyncio
import logging
from typing import Final

import msgspec

from forebay.dashboard.snapshot import Snapshot, snapshot_of
from forebay.dashboard.watched import Watched
from forebay.net.tasks import spawn
from forebay.node.errors import WorkerUnavailableError

log = logging.getLogger("forebay.dashboard")

INTERVAL_S: Final = 1.0
MAX_VIEWERS: Final = 100
"""Streams at once; further pages ask now and then instead. Each takes a connection (of 200)."""


class Viewer:
    """One who looks at a proxy."""

    def __init__(self, proxy: str) -> None:
        self.proxy = proxy
        self.has_left = False
        self._latest: bytes | None = None
        self._event = asyncio.Event()

    def show(self, message: bytes) -> None:
        """Take the place of a message that was not fetched."""
        self._latest = message
        self._event.set()

    def leave(self) -> None:
        """Look no more."""
        self.has_left = True
        self._event.set()

    async def next(self) -> bytes | None:
        """The latest message that was not fetched yet; None once it has left."""
        await self._event.wait()
        self._event.clear()
        message, self._latest = self._latest, None
        return None if self.has_left else message


class Live:
    """Asks the node as long as somebody looks."""

    def __init__(self, node: Watched) -> None:
        self._node = node
        self._viewers: set[Viewer] = set()
        self._latest: dict[str, tuple[float, bytes]] = {}
        self._asking = asyncio.Lock()
        self._telling: asyncio.Task[None] | None = None
        self._has_ended = False

    @property
    def viewers(self) -> int:
        """How many look."""
        return len(self._viewers)

    def join(self, proxy: str) -> Viewer | None:
        """One more, who must `leave`; None if there are too many."""
        if len(self._viewers) >= MAX_VIEWERS or self._has_ended:
            return None
        viewer = Viewer(proxy)
        self._viewers.add(viewer)
        if self._telling is None or self._telling.done():
            self._telling = spawn(self._tell(), "what the page shows")
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """It looks no more."""
        viewer.leave()
        self._viewers.discard(viewer)
        if not self._viewers:
            self._stop()

    def close(self) -> None:
        """End all."""
        self._has_ended = True
        for viewer in list(self._viewers):
            self.leave(viewer)
        self._stop()

    async def now(self, proxy: str) -> bytes:
        """What goes on, as JSON; at most a second old."""
        async with self._asking:
            now_s = asyncio.get_running_loop().time()
            told_at, message = self._latest.get(proxy, (float("-inf"), b""))
            if now_s - told_at < INTERVAL_S:
                return message
            return await self._ask(proxy)

    def _stop(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            for proxy in {viewer.proxy for viewer in self._viewers}:
                async with self._asking:
                    message = await self._ask(proxy)
                for viewer in self._viewers:
                    if viewer.proxy == proxy:
                        viewer.show(message)
            due_s = max(due_s + INTERVAL_S, loop.time())
            await asyncio.sleep(due_s - loop.time())

    async def _ask(self, proxy: str) -> bytes:
        message = encoded(await self._snapshot(proxy))
        self._latest[proxy] = asyncio.get_running_loop().time(), message
        for gone in self._latest.keys() - self._node.config.proxies.keys():
            del self._latest[gone]
        return message

    async def _snapshot(self, proxy: str) -> Snapshot:
        observer = self._node.observer
        status = await self._node.status()
        figures, view = None, None
        if status.state != "starting":
            try:
                figures = await observer.figures()
                view = (await observer.view()).get(proxy)
            except WorkerUnavailableError:
                pass  # the status says so
        return snapshot_of(
            proxy,
            self._node.config,
            status,
            figures,
            view,
            samples=self._node.history.since()[-1:],
            events=observer.events.since(),
        )


def encoded(message: msgspec.Struct) -> bytes:
    """As JSON. What was no text where it came from stands as question marks."""
    try:
        return msgspec.json.encode(message)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(message)
        return msgspec.json.encode(_encodable(plain))


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    return [_encodable(each) for each in value] if isinstance(value, list) else value
