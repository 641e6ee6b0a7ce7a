"""Answers the clients of the admin databases of one node: each is told of its own proxy alone."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from forebay.channel import (
    AdminQuery,
    AdminResult,
    Clients,
    ClientsRequest,
    ConnectionRow,
    Connections,
    ConnectionsRequest,
    PoolAction,
    ProxyView,
)
from forebay.config.addresses import Address
from forebay.config.settings import Config, ProxySettings
from forebay.control.console import sockets
from forebay.control.console.commands import HELP, entry_for, role_of
from forebay.control.console.grammar import Command, CommandError, parse
from forebay.control.console.samples import Samples
from forebay.control.console.stats import sample_of
from forebay.control.console.tables import COLUMNS, ROWS, Row, Subject
from forebay.control.looking import Observed
from forebay.net.tasks import spawn
from forebay.node import WorkerUnavailableError
from forebay.node.pausing import EVERYTHING, Pausing, PausingError
from forebay.node.reloads import Reload

log = logging.getLogger("forebay.control")

T = TypeVar("T")

# A part of an answer: encoding it holds up traffic for less than a millisecond or two.
ROWS_AT_ONCE = 200
ADMIN_DATABASES = frozenset({"forebay", "pgbouncer"})
ACTIONS: Mapping[str, PoolAction] = {
    "KILL": "kill",
    "PAUSE": "pause",
    "RECONNECT": "reconnect",
    "RESUME": "resume",
}


class ObservedInParts(Observed, Protocol):
    """`forebay.node.observer.Observer`."""

    def connections(self, proxy: str) -> AsyncIterator[ConnectionRow]:
        """The connections of one proxy."""

    async def ask(self, request: Any, expected: type[T]) -> T:
        """Ask the worker. Raises WorkerUnavailableError."""


class Commanded(Protocol):
    """What a console asks of a node (`forebay.node.Node`)."""

    pausing: Pausing

    @property
    def config(self) -> Config:
        """What is in force."""

    @property
    def observer(self) -> ObservedInParts:
        """Who looks at it."""

    @property
    def addresses(self) -> Mapping[str, Sequence[Address]]:
        """Where each proxy listens."""

    def users_of(self, proxy: str) -> list[str]:
        """Who may log in, as far as that is known."""

    async def reload(self) -> Reload:
        """Read the configuration again."""


class Console:
    """The console of one node. `answer` is what its workers' questions are answered by."""

    def __init__(self, node: Commanded) -> None:
        self._node = node
        self._samples = Samples(node.observer, self._used)
        self._sampling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take samples for averages from now on."""
        self._sampling = spawn(self._samples.run(), "samples for averages")

    def close(self) -> None:
        """Take none any more."""
        if self._sampling is not None:
            self._sampling.cancel()

    async def answer(self, query: AdminQuery) -> AdminResult:
        """What comes of a command."""
        try:
            return await self._answer(query)
        except CommandError as error:
            return AdminResult(error=str(error), sqlstate=error.sqlstate)
        except PausingError as error:
            return AdminResult(error=str(error), sqlstate="55000")
        except WorkerUnavailableError as error:
            return AdminResult(error=str(error), sqlstate="58000")

    async def _answer(self, query: AdminQuery) -> AdminResult:
        settings = self._settings(query.proxy)
        command = parse(query.text)
        entry = entry_for(command, role_of(settings, query.user), query.text)
        verb, _, shown = command.name.partition(" ")
        columns = COLUMNS[shown] if verb == "SHOW" else []
        if query.step == "describe":
            return AdminResult(columns=columns, tag=entry.tag)
        if command.name == "SHOW HELP":
            return AdminResult(notice="Console usage", notice_detail=HELP, tag=entry.tag)
        if verb == "SHOW":
            rows, next_offset = await self._show(shown, query.proxy, query.offset)
            return AdminResult(columns=columns, rows=rows, tag=entry.tag, next_offset=next_offset)
        if verb in ACTIONS:
            return await self._pool_command(query, command, entry.tag)
        if verb == "RELOAD":
            await self._reload(query.user)
        return AdminResult(tag=entry.tag)

    def _settings(self, proxy: str) -> ProxySettings:
        settings = self._node.config.proxies.get(proxy)
        if settings is None:
            raise CommandError("this proxy is no more", "57P01")
        return settings

    def _used(self) -> list[str]:
        """The proxies that somebody may ask about."""
        proxies = self._node.config.proxies.items()
        return [name for name, each in proxies if each.admin_users or each.stats_users]

    # ---- what is shown ----

    async def _show(self, shown: str, proxy: str, offset: int) -> tuple[list[Row], int]:
        """Some rows, and where the next ones begin; 0: those were all."""
        observer, now = self._node.observer, time.time()
        if shown == "CLIENTS":
            request = ClientsRequest(proxy=proxy, offset=offset, limit=ROWS_AT_ONCE)
            clients = await observer.ask(request, Clients)
            local = self._node.addresses[proxy][0]
            rows = [sockets.client_row(each, local, now) for each in clients.rows]
            return rows, clients.next_offset
        if shown == "SERVERS":
            wanted = ConnectionsRequest(proxy=proxy, offset=offset, limit=ROWS_AT_ONCE)
            found = await observer.ask(wanted, Connections)
            first = self._settings(proxy).target.addresses()[0]
            rows = [sockets.server_row(each, first, now) for each in found.rows]
            return rows, found.next_offset
        if shown == "HOLDERS":
            everyone = [each async for each in observer.connections(proxy)]
            rows = sockets.holders(everyone, now)
        else:
            rows = ROWS[shown](await self._subject(proxy))
        end = offset + ROWS_AT_ONCE
        return rows[offset:end], end if end < len(rows) else 0

    async def _subject(self, proxy: str) -> Subject:
        node = self._node
        figures = await node.observer.figures(pools=True)
        views = await node.observer.view()
        counted = figures.counted.proxies.get(proxy)
        if counted is None:
            raise WorkerUnavailableError("the worker does not serve this proxy yet")
        return Subject(
            settings=self._settings(proxy),
            figures=counted,
            view=views.get(proxy, ProxyView()),
            users=node.users_of(proxy),
            paused=node.pausing.of(proxy),
            now=sample_of(counted, figures.at, figures.counted.started_at),
            before=self._samples.before(proxy),
        )

    # ---- what is done ----

    async def _pool_command(self, query: AdminQuery, command: Command, tag: str) -> AdminResult:
        pausing, database = self._node.pausing, command.argument
        action = ACTIONS[command.name]
        if query.step == "undo":
            await pausing.undo(query.proxy, database)
            return AdminResult(tag=tag)
        if query.step == "wait":
            left = await pausing.left(query.proxy, database)
            return AdminResult(tag=tag, pending=left)
        if database in ADMIN_DATABASES:
            raise CommandError(f"cannot {action} admin db: {database}", "42501")
        log.info("%s by an admin user", command.name, extra={"fields": {"user": query.user}})
        left = await pausing.do(query.proxy, action, database)
        notice = ""
        if database != EVERYTHING and action in ("pause", "kill"):
            figures = await self._node.observer.figures(pools=True)
            counted = figures.counted.proxies.get(query.proxy)
            if counted is None or all(each.database != database for each in counted.pools):
                notice = f"no client uses a database named {database} at the moment"
        return AdminResult(tag=tag, pending=left, notice=notice)

    async def _reload(self, user: str) -> None:
        """What has changed may be other proxies', too: the log has it. Raises CommandError."""
        log.info("RELOAD by an admin user", extra={"fields": {"user": user}})
        if not (await self._node.reload()).ok:
            text = "RELOAD failed, see logs for additional details"
            raise CommandError(text, "F0000")
