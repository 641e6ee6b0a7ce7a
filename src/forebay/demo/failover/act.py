"""The second act: the server that writes is killed under 300 clients, and its standby promoted.

Twice, with the same clients and the same two servers: straight at them, and through Forebay. What
clients were told is compared with what the new writer has.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from forebay.demo import proxy
from forebay.demo.crowd import Crowd
from forebay.demo.failover import books
from forebay.demo.failover.operator import fail_over
from forebay.demo.failover.reports import Order, Report, Role, total
from forebay.demo.failover.result import Outcome, Part
from forebay.demo.failover.view import Moment
from forebay.demo.tour import DATABASE, PASSWORD, USER, VIEW_INTERVAL_S
from forebay.demo.view import View
from forebay.demo.workload import SCHEMA
from forebay.embedded.pair import Pair

GROUPS: dict[Role, int] = {"idle": 100, "web": 100, "function": 100}
CLIENTS = sum(GROUPS.values())
TITLE = "The server that writes dies"
STORY = (
    f"{CLIENTS} clients work on two servers, a writer and its standby. The writer is killed, and"
    " the standby promoted. First clients are connected straight to them and reconnect by"
    " themselves; then through Forebay, which holds their requests (HOLD) until a server writes."
)
# So many that clients can do without Forebay: it takes one for seven or eight of them.
DATABASE_CONNECTIONS = 330
MAX_CONNECTIONS_PERCENT = 12
CALM_S = 2.0  # work before the writer is killed
AFTER_S = 4.0  # ... and after its successor can write
CLIENTS_TIMEOUT_S = 60.0
STATE_INTERVAL_S = 0.01
PROGRAM = "forebay.demo.failover.clients"


@dataclass(frozen=True, slots=True)
class Plan:
    """Where Forebay listens (None: the usual port if it can be had; 0: any), and with what seed
    clients choose."""

    port: int | None
    seed: int = 1


def make_pair() -> Pair:
    """A writer and a synchronous standby. Not yet started."""
    return Pair(max_connections=DATABASE_CONNECTIONS)


def fill(pair: Pair) -> None:
    """Makes the user, the database and its tables; the first act's too, to play with."""
    pair.writer.create_user(USER, PASSWORD)
    pair.writer.create_database(DATABASE, owner=USER)
    for schema in (SCHEMA, books.SCHEMA):
        pair.writer.sql(schema, database=DATABASE, user=USER, password=PASSWORD)


class Act:
    """One run; ``outcome`` grows as it goes. ``show_page`` makes the node's page."""

    def __init__(self, pair: Pair, plan: Plan, view: View, show_page: proxy.Beside) -> None:
        self.outcome = Outcome(clients=CLIENTS, idle_clients=GROUPS["idle"])
        self.port, self.page = 0, ""
        self._pair = pair
        self._plan = plan
        self._view = view
        self._show_page = show_page

    async def run(self, tell: Callable[[Act], None], keep: bool) -> None:
        """The whole act; ``tell`` gets it when it is over. With ``keep`` it stays, until cancelled.

        Raises SetupError where the servers or the clients cannot be had.
        """
        self._view.act(TITLE, STORY)
        servers = self._pair.servers
        direct = [(server.host, server.port) for server in servers]
        self._view.stage(f"{CLIENTS} clients straight at a writer and its standby")
        sslmode = "require" if servers[0].tls else "disable"
        self.outcome.direct = await self._part(direct, sslmode, None)
        await self._bring_back()
        databases = proxy.Databases(
            servers, USER, PASSWORD, DATABASE, max_connections_percent=MAX_CONNECTIONS_PERCENT
        )
        # That a server is away is no news here, and the view says it.
        running = proxy.running(databases, self._plan.port, self._show_page, level="error")
        async with running as front:
            self.port, self.page = front.port, front.page
            self._view.stage(f"{CLIENTS} clients through Forebay at a writer and its standby")
            through = [(servers[0].host, front.port)]
            self.outcome.forebay = await self._part(through, "require", front)
            self.outcome.worker_restarts = front.worker_restarts
            self._view.close()
            tell(self)
            if keep:
                await self._bring_back()
                await asyncio.Event().wait()

    async def _bring_back(self) -> None:
        """The server that was killed follows the one that writes now."""
        (dead,) = (server for server in self._pair.servers if not server.is_running)
        await asyncio.to_thread(self._pair.rejoin, dead)

    async def _part(
        self, hosts: list[tuple[str, int]], sslmode: str, front: proxy.Front | None
    ) -> Part:
        """All clients connect and work; the writer is killed under them, and they work on."""
        self._ask(books.EMPTY)
        crowd = Crowd(self._orders(hosts, sslmode), PROGRAM, Report, CLIENTS_TIMEOUT_S)
        states: list[str] = []
        async with crowd:
            async with self._watching(crowd, front, states):
                await crowd.connected()
                crowd.start()
                await asyncio.sleep(CALM_S)
                switched = await fail_over(self._pair, self._view.stage)
                await asyncio.sleep(AFTER_S)
            ended_at = time.monotonic()
            crowd.stop()
            await crowd.finished()
            report = total(crowd.reports)
        if front is not None:
            times = [at for at in report.written_at if switched.writer_at < at < ended_at]
            self.outcome.is_writing_again = bool(times)
        found = books.check(report, await asyncio.to_thread(self._ask, books.ALL_WRITES))
        return Part.of(report, found, switched, ended_at, states)

    def _ask(self, sql: str) -> list[tuple[str | None, ...]]:
        return self._pair.writer.sql(sql, database=DATABASE)

    def _orders(self, hosts: list[tuple[str, int]], sslmode: str) -> list[Order]:
        orders = []
        for number, (role, clients) in enumerate(GROUPS.items()):
            order = Order(
                role=role,
                clients=clients,
                first=1000 * number,
                hosts=hosts,
                sslmode=sslmode,
                user=USER,
                password=PASSWORD,
                database=DATABASE,
                seed=self._plan.seed,
            )
            orders.append(order)
        return orders

    @contextlib.asynccontextmanager
    async def _watching(
        self, crowd: Crowd[Report], front: proxy.Front | None, states: list[str]
    ) -> AsyncIterator[None]:
        watches = [asyncio.ensure_future(self._watch(crowd, front))]
        if front is not None:
            watches.append(asyncio.ensure_future(_follow(front, states)))
        try:
            yield
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    async def _watch(self, crowd: Crowd[Report], front: proxy.Front | None) -> None:
        while True:
            report = total(crowd.reports)
            silent_s = time.monotonic() - report.last_write_at if report.writes else 0.0
            route, waiting = None, 0
            if front is not None:
                route = front.route()
                waiting = int((await front.figures()).get("clients_waiting", 0))
            self._view.show(Moment(report, silent_s, route, waiting).line())
            await asyncio.sleep(VIEW_INTERVAL_S)


async def _follow(front: proxy.Front, states: list[str]) -> None:
    """Notes each state that Forebay goes through, unless it is over before it is looked at."""
    while True:
        route = front.route()
        if route is not None and f"{route.state} {route.epoch}" not in states[-1:]:
            states.append(f"{route.state} {route.epoch}")
        await asyncio.sleep(STATE_INTERVAL_S)
