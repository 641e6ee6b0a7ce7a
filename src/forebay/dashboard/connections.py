"""HTTP connections inside the node's own loop: uvicorn's protocol, with bounds on what it lets
others take their time for.

This is the only file that knows uvicorn. Of its server nothing is used, for that would take
signals and wake up ten times a second.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence
from typing import Final

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

MAX_CONNECTIONS: Final = 200
"""At once; one more is closed as soon as it comes. Of them streams may be half (live.py)."""
MAX_HEAD_BYTES: Final = 16_384
REQUEST_TIMEOUT_S: Final = 15.0
"""So long a connection may have no whole request: from its beginning, or from the last answer."""
STALL_TIMEOUT_S: Final = 10.0
"""A peer that does not read for so long is gone."""
KEEP_ALIVE_S: Final = 5
"""What is silent for so long between two requests is closed."""
SWEEP_INTERVAL_S: Final = 1.0
BACKLOG: Final = 128
# Answers that are under way when the node ends may get out within this time.
FAREWELL_S: Final = 0.5


class Connection(H11Protocol):
    """One connection. ``quiet_since``: since when there is no whole request, ``stuck_since``: since
    when the peer does not read (the loop's clock), None if it is not so."""

    def __init__(self, config: Config, state: ServerState) -> None:
        super().__init__(config, state, {})
        self.quiet_since: float | None = self.loop.time()
        self.stuck_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self.quiet_since = None

    def on_response_complete(self) -> None:
        self.quiet_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        self.stuck_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self.stuck_since = None
        super().resume_writing()

    def is_overdue(self, now_s: float) -> bool:
        """Whether the peer has taken more time than it may."""
        return (self.quiet_since is not None and now_s - self.quiet_since > REQUEST_TIMEOUT_S) or (
            self.stuck_since is not None and now_s - self.stuck_since > STALL_TIMEOUT_S
        )


class Connections:
    """All connections of some listening sockets."""

    def __init__(self, app: ASGIApp) -> None:
        # What others send wrongly is no news: each of them could fill the log.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._config = Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        )
        self._config.load()
        self._state = ServerState()
        self._servers: list[asyncio.Server] = []
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._state.connections)

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept from now on."""
        loop = asyncio.get_running_loop()
        for sock in sockets:
            server = await loop.create_server(self._connection, sock=sock, backlog=BACKLOG)
            self._servers.append(server)

    async def finish(self) -> None:
        """Close all, after a moment for the answers that are under way."""
        for server in self._servers:
            server.close()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=FAREWELL_S)
        if self._sweeping is not None:
            self._sweeping.cancel()
        for each in list(self._state.connections):
            each.transport.abort()

    def sweep(self, now_s: float) -> None:
        """Close what is overdue."""
        for each in list(self._state.connections):
            if isinstance(each, Connection) and each.is_overdue(now_s):
                each.transport.abort()

    def _connection(self) -> Connection:
        if self._sweeping is None:
            self._sweep_later()
        return Connection(self._config, self._state)

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    def _sweep(self) -> None:
        """Each second as long as there are some."""
        self._sweeping = None
        self.sweep(asyncio.get_running_loop().time())
        if self._state.connections:
            self._sweep_later()
