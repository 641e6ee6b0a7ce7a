"""The node's HTTP: waits for the first connection, and serves from then on.

Until then nothing of what serves is in memory.
"""

import asyncio
import importlib
import logging
from typing import TYPE_CHECKING

from forebay.config.addresses import Address
from forebay.dashboard.gate import Gate
from forebay.dashboard.live import Live
from forebay.dashboard.token import Token
from forebay.dashboard.watched import Watched
from forebay.net.tasks import spawn
from forebay.node.listeners import Listener

if TYPE_CHECKING:
    from forebay.dashboard.connections import Connections

log = logging.getLogger("forebay.dashboard")


class HttpServer:
    """Serves a node's page on a listener that is open. ``start`` once, ``finish`` once."""

    def __init__(self, node: Watched, listener: Listener, token: Token | None) -> None:
        self._node = node
        self._listener = listener
        self._gate = Gate(token, listener.address.port)
        self._live = Live(node)
        self._opening: asyncio.Task[None] | None = None
        self._connections: Connections | None = None

    @property
    def address(self) -> str:
        """Where the page is, for people."""
        return address_of(self._listener.address)

    def start(self) -> None:
        """Accept connections as soon as somebody comes."""
        loop = asyncio.get_running_loop()
        for sock in self._listener.sockets:
            loop.add_reader(sock, self._open)

    async def finish(self) -> None:
        """Accept nobody, end all streams and close all connections."""
        self._stop_waiting()
        if self._opening is not None:
            await asyncio.wait([self._opening])
        self._live.close()
        if self._connections is not None:
            await self._connections.finish()
        self._listener.close()

    def _open(self) -> None:
        """Somebody has come."""
        self._stop_waiting()
        self._opening = spawn(self._serve(), "first HTTP connection")

    def _stop_waiting(self) -> None:
        if self._opening is None:
            loop = asyncio.get_running_loop()
            for sock in self._listener.sockets:
                loop.remove_reader(sock)

    async def _serve(self) -> None:
        # It takes a third of a second: the node has others to answer meanwhile.
        await asyncio.to_thread(_import)
        from forebay.dashboard.app import make_app
        from forebay.dashboard.connections import Connections

        self._connections = Connections(make_app(self._node, self._live, self._gate))
        await self._connections.start(self._listener.sockets)
        log.debug("Serving HTTP on %s", self.address)


def _import() -> None:
    importlib.import_module("forebay.dashboard.app")
    importlib.import_module("forebay.dashboard.connections")


def address_of(address: Address) -> str:
    """As a browser takes it; every interface's is this machine's."""
    host = address.host if address.host not in ("", "0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
    return f"http://{Address(host, address.port)}/"
