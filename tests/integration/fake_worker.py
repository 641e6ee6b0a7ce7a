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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import msgspec

from forebay import logs
from forebay.channel import (
    Apply,
    Begin,
    Figures,
    FiguresRequest,
    Hint,
    Looking,
    ProxyFigures,
    ProxyView,
    Routes,
    View,
    ViewRequest,
    WorkerAnswer,
    WorkerFigures,
    WorkerProxy,
)
from forebay.relay import Poller
from forebay.worker import main
from forebay.worker.agenda import Agenda
from forebay.worker.evacuation import Evacuator

STEERING = Path(os.environ["FOREBAY_TEST_DIR"])


class ToyPlane:
    """Answers ``pid``, ``percent``, ``users``, ``signals``; holds a drain until clients left."""

    def __init__(self, loop: asyncio.AbstractEventLoop, _: object) -> None:
        self._loop = loop
        self._servers: dict[int, asyncio.Server] = {}
        self._clients: set[asyncio.StreamWriter] = set()
        self._proxies: dict[str, WorkerProxy] = {}
        self.evacuator = Evacuator(Agenda(loop, cast(Poller, None)))
        self.hint: Callable[[Hint], bool] = lambda _: False

    def begin(self, begin: Begin) -> None:
        self._number = begin.worker_number

    def route(self, routes: Routes) -> None:
        """It has no connections to lead anywhere."""

    async def apply(self, steps: Apply, passed: Mapping[int, socket.socket]) -> None:
        if (STEERING / "refuse").exists():
            raise ValueError("told to refuse")
        for name in steps.close:
            del self._proxies[name]
        for proxy in (*steps.open, *steps.change):
            self._proxies[proxy.name] = proxy
        for change in steps.credentials:
            users = {each.username: each for each in self._proxies[change.proxy].credentials}
            users.update((each.username, each) for each in change.users)
            kept = [each for name, each in users.items() if name not in change.gone]
            self._proxies[change.proxy] = msgspec.structs.replace(
                self._proxies[change.proxy], credentials=kept
            )
        for number, sock in passed.items():
            self._servers[number] = await asyncio.start_server(self._serve, sock=sock)
        wanted = {number for each in self._proxies.values() for number in each.listeners}
        for number in self._servers.keys() - wanted:
            self._servers.pop(number).close()

    async def drain(self, timeout_s: float) -> None:
        for server in self._servers.values():
            server.close()
        if (STEERING / "hang").exists():
            await asyncio.sleep(3600)
        deadline = self._loop.time() + timeout_s
        while self._clients and self._loop.time() < deadline:  # noqa: ASYNC110 - a toy
            await asyncio.sleep(0.01)
        for client in list(self._clients):
            client.close()

    async def answer(self, request: Looking) -> WorkerAnswer:
        limits = {
            "max_database_connections_allowed": 40,
            "server_max_connections": 48,
            "server_reserved_connections": 3,
        }
        proxies = {
            each.name: ProxyFigures(
                target=each.settings.target.hosts[0],
                numbers={"client_connections": len(self._clients), **limits},
            )
            for each in self._proxies.values()
        }
        match request:
            case FiguresRequest():
                return Figures(worker=WorkerFigures(proxies=proxies))
            case ViewRequest():
                return View(proxies=dict.fromkeys(proxies, ProxyView()))
            case _:
                raise ValueError("a toy")

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
        proxy = next(iter(self._proxies.values()))
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
    sys.exit(
        main.run(*map(int, sys.argv[1:]), make_loop=asyncio.SelectorEventLoop, make_plane=ToyPlane)
    )
