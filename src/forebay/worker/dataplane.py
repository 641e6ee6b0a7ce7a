"""The data plane of one worker: its proxies, as the node wants them."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec

from forebay.channel import (
    Apply,
    Begin,
    ClientsRequest,
    ConnectionsRequest,
    Credential,
    CredentialChange,
    Done,
    Figures,
    FiguresRequest,
    Hint,
    Looking,
    PoolCommand,
    Route,
    Routes,
    View,
    ViewRequest,
    WorkerAnswer,
    WorkerFigures,
    WorkerProxy,
)
from forebay.worker.agenda import Agenda
from forebay.worker.asking import AskNode
from forebay.worker.evacuation import Evacuator
from forebay.worker.figures import figures_of, histogram_of
from forebay.worker.lateness import Lateness
from forebay.worker.prepared import Prepared, prepare
from forebay.worker.proxy import Proxy, Surroundings
from forebay.worker.views import clients_of, connections_of, view_of


class DataPlane:
    """All proxies of this process. `loop` runs on a Relay; `ask` is how the node is asked."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ask: AskNode) -> None:
        self._agenda = Agenda(loop, loop._selector.poller)  # type: ignore[attr-defined]  # noqa: SLF001
        self._proxies: dict[str, Proxy] = {}
        self._routes: dict[str, Route] = {}
        self.hint: Callable[[Hint], bool] = lambda _: False  # tells the node
        self._closing: set[Proxy] = set()
        self._ask = ask
        self._begin = Begin(worker_number=0, cancel_secret=b"")
        self._started_at = time.time()
        self._lateness = Lateness(self._agenda)
        self.evacuator = Evacuator(self._agenda)

    def begin(self, begin: Begin) -> None:
        """What makes the cancel keys of clients; comes before the first steps."""
        self._begin = begin
        self._lateness.start()

    def route(self, routes: Routes) -> None:
        """Which servers write now."""
        self._routes = routes.routes
        for name, route in routes.routes.items():
            if name in self._proxies:
                self._proxies[name].route(route)

    async def apply(self, steps: Apply, passed: Mapping[int, socket.socket]) -> None:
        """Take all steps, or none: raises ValueError with the reason then. One at a time.

        `passed` are listening sockets that are new here; those that are not used are closed.
        """
        try:
            prepared = await self._prepare(steps)
        except BaseException:
            for sock in passed.values():
                sock.close()
            raise
        for name in steps.close:
            self._close(name, steps.drain_timeout_s)
        for name, change in prepared.items():
            proxy = self._proxies.get(name)
            if proxy is None:
                around = Surroundings(
                    self._agenda, self.evacuator, self._ask, self._begin, self.hint
                )
                route = self._routes.get(name)
                self._proxies[name] = Proxy.start(around, change, passed, route)
            else:
                proxy.change(change, passed)
        _log_in_detail(any(each.is_logged_in_detail for each in self._proxies.values()))

    async def _prepare(self, steps: Apply) -> dict[str, Prepared]:
        """Everything that takes time or may fail; nothing is different yet."""
        wanted = {given.name: given for given in (*steps.open, *steps.change)}
        for change in steps.credentials:
            wanted[change.proxy] = _with_users(self._proxies[change.proxy].prepared.given, change)
        prepared: dict[str, Prepared] = {}
        for name, given in wanted.items():
            try:
                old = self._proxies.get(name)
                prepared[name] = await prepare(given, old.prepared if old else None)
            except ValueError as error:
                raise ValueError(f"proxies.{name}: {error}") from None
        return prepared

    def _close(self, name: str, drain_timeout_s: float) -> None:
        """Nobody can connect to it any more; those who are there have time to finish."""
        proxy = self._proxies.pop(name)
        self._closing.add(proxy)
        self._agenda.spawn(self._drain_one(proxy, drain_timeout_s), f"close {name}")

    async def _drain_one(self, proxy: Proxy, timeout_s: float) -> None:
        try:
            await proxy.drain(self._agenda.now() + timeout_s)
        finally:
            self._closing.discard(proxy)

    async def drain(self, timeout_s: float) -> None:
        """Finish transactions and close everything within `timeout_s` seconds."""
        deadline = self._agenda.now() + timeout_s
        proxies = [*self._proxies.values(), *self._closing]
        await asyncio.gather(*(proxy.drain(deadline) for proxy in proxies))

    async def answer(self, request: Looking) -> WorkerAnswer:
        """What is so now. Raises ValueError if there is no such proxy."""
        match request:
            case FiguresRequest(pools=pools):
                return Figures(worker=await self._figures(pools))
            case ViewRequest(limit=limit):
                views = {name: view_of(proxy, limit) for name, proxy in self._proxies.items()}
                return View(proxies=views)
            case ClientsRequest(proxy=name, offset=offset, limit=limit):
                return clients_of(self._proxy(name), offset, limit)
            case ConnectionsRequest(proxy=name, offset=offset, limit=limit):
                return connections_of(self._proxy(name), offset, limit)
            case PoolCommand(proxy=name, action=action, database=database):
                return Done(left=self._proxy(name).command(action, database))

    async def _figures(self, pools: bool) -> WorkerFigures:
        proxies = list(self._proxies.items())
        return WorkerFigures(
            started_at=self._started_at,
            lateness=histogram_of(self._lateness.histogram),
            proxies={name: await figures_of(proxy, pools=pools) for name, proxy in proxies},
        )

    def _proxy(self, name: str) -> Proxy:
        found = self._proxies.get(name)
        if found is None:
            raise ValueError(f"there is no proxy {name!r}")
        return found


def _with_users(given: WorkerProxy, change: CredentialChange) -> WorkerProxy:
    users: dict[str, Credential] = {each.username: each for each in given.credentials}
    for name in change.gone:
        with suppress(KeyError):
            del users[name]
    users.update((each.username, each) for each in change.users)
    return msgspec.structs.replace(given, credentials=list(users.values()))


def _log_in_detail(wanted: bool) -> None:
    """``debug_logging``: tell of clients that go, too; else as the log's own level has it."""
    logging.getLogger("forebay").setLevel(logging.DEBUG if wanted else logging.NOTSET)
