"""A worker whose data plane is a toy: each line a client sends is answered with facts about it.

Run by the node's tests in place of ``python -m forebay.worker``. It is steered by files in
FOREBAY_TEST_DIR: while ``refuse`` exists a configuration is refused, while ``hang`` exists a drain
never ends.
"""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import cast

from forebay import logs
from forebay.channel import Configure
from forebay.relay import Poller
from forebay.worker import main
from forebay.worker.agenda import Agenda
from forebay.worker.evacuation import Evacuator

STEERING = Path(os.environ["FOREBAY_TEST_DIR"])


class ToyPlane:
    """Answers ``pid``, ``percent``, ``users``, ``signals``; holds a drain until clients left."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._servers: list[asyncio.Server] = []
        self._clients: set[asyncio.StreamWriter] = set()
        self._message: Configure | None = None
        self.evacuator = Evacuator(Agenda(loop, cast(Poller, None)))

    async def configure(self, message: Configure) -> list[str]:
        if (STEERING / "refuse").exists():
            raise ValueError("told to refuse")
        first, self._message = self._message is None, message
        if first:
            for proxy in message.proxies:
                for descriptor in proxy.listen_fds:
                    sock = socket.socket(fileno=descriptor)
                    self._servers.append(await asyncio.start_server(self._serve, sock=sock))
            return []
        return ["proxies.app.target: this toy can't change it"]

    async def drain(self, timeout_s: float) -> None:
        for server in self._servers:
            server.close()
        if (STEERING / "hang").exists():
            await asyncio.sleep(3600)
        deadline = self._loop.time() + timeout_s
        while self._clients and self._loop.time() < deadline:  # noqa: ASYNC110 - a toy
            await asyncio.sleep(0.01)
        for client in list(self._clients):
            client.close()

    def stats(self) -> dict[str, dict[str, int | float]]:
        if self._message is None:
            return {}
        limits = {
            "max_database_connections_allowed": 40,
            "server_max_connections": 48,
            "server_reserved_connections": 3,
        }
        return {p.name: {"clients": len(self._clients), **limits} for p in self._message.proxies}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            while line := await reader.readline():
                writer.write(f"{self._answer(line.decode().strip())}\n".encode())
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self._clients.discard(writer)
            writer.close()

    def _answer(self, question: str) -> object:
        assert self._message is not None
        proxy = self._message.proxies[0]
        match question:
            case "pid":
                return os.getpid()
            case "percent":
                return proxy.settings.pool.max_connections_percent
            case "users":
                return ",".join(each.username for each in proxy.credentials)
            case "signals":
                ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
                return f"{ignored} {os.getsid(0) == os.getpid()}"
            case "environment":
                return ",".join(sorted(name for name in os.environ if "SECRET" in name))
            case other:
                return other


if __name__ == "__main__":
    logs.set_up()
    sys.exit(main.run(int(sys.argv[1]), make_loop=asyncio.SelectorEventLoop, make_plane=ToyPlane))
