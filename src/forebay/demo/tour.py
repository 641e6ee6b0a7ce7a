"""The tour: the demand straight at the database, then through Forebay, then what a statement costs.

The demand is that of ten web tasks with ten connections each and two functions with a hundred
instances each: 300 clients at once, on a database that allows its users 45.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from forebay.demo import proxy
from forebay.demo.crowd import Crowd
from forebay.demo.latency import added_latency_us
from forebay.demo.reports import Order, Report, percentile, total
from forebay.demo.result import Result
from forebay.demo.sampling import ConnectionSampler
from forebay.demo.view import Meter, Moment, View
from forebay.demo.workload import BOOKS_BALANCE, CLIENTS, GROUPS, SCHEMA
from forebay.embedded.postgres import Postgres
from forebay.net.connector import Target

USER_CONNECTIONS = 45  # what Aurora Serverless gives at half a capacity unit
RESERVED_CONNECTIONS = 3  # for superusers
USER = "app_user"
TITLE = "More clients than the database allows connections"
STORY = (
    f"{CLIENTS} clients come at once; the database allows {USER_CONNECTIONS} connections. First"
    " they go straight to it, then through Forebay, where they share connections and wait their"
    " turn."
)
# Worth nothing: it opens made-up rows on a loopback port for as long as the demo runs. Being always
# the same, the lines that the demo prints hold for the next run too.
PASSWORD = "forebay-demo"  # noqa: S105
DATABASE = "pikaia"
VIEW_INTERVAL_S = 0.2


@dataclass(frozen=True, slots=True)
class Plan:
    """How long the clients work, and where Forebay listens."""

    port: int | None  # None: the usual one if it can be had; 0: any
    direct_s: float = 2.0
    pooled_s: float = 6.0
    seed: int = 1


def make_server() -> Postgres:
    """The database: small, as the decision record's is. Not yet started."""
    return Postgres(
        max_connections=USER_CONNECTIONS + RESERVED_CONNECTIONS,
        settings={"superuser_reserved_connections": RESERVED_CONNECTIONS},
    )


def fill(server: Postgres) -> None:
    """Makes the user, the database and its tables."""
    server.create_user(USER, PASSWORD)
    server.create_database(DATABASE, owner=USER)
    server.sql(SCHEMA, database=DATABASE, user=USER, password=PASSWORD)


class Tour:
    """One run; ``result`` grows as it goes. ``show_page`` makes the node's page."""

    def __init__(self, server: Postgres, plan: Plan, view: View, show_page: proxy.Beside) -> None:
        limit = USER_CONNECTIONS * proxy.MAX_CONNECTIONS_PERCENT // 100
        self.result = Result(
            clients=CLIENTS,
            database_connection_limit=USER_CONNECTIONS,
            pool_connection_limit=limit,
            database_tls=server.tls,
        )
        self._server = server
        self._plan = plan
        self._view = view
        self._show_page = show_page
        self._direct = Target(
            host=server.host, port=server.port, sslmode="require" if server.tls else "disable"
        )
        self._pooled = Target(host=server.host, port=plan.port or 0, sslmode="require")

    async def run(self, tell: Callable[[Result], None], keep: bool) -> None:
        """The whole tour; ``tell`` gets what came out. With ``keep`` it stays, until cancelled."""
        self._view.act(TITLE, STORY)
        async with ConnectionSampler(self._server) as sampler:
            await self._go_direct(sampler)
            await sampler.idle.wait()  # PostgreSQL needs a moment to see its clients go
            async with proxy.running(
                proxy.Databases([self._server], USER, PASSWORD, DATABASE),
                self._plan.port,
                self._show_page,
            ) as front:
                self.result.port, self.result.page = front.port, front.page
                self._pooled = dataclasses.replace(self._pooled, port=front.port)
                await self._go_through(front, sampler)
                await self._compare()
                self._check_books()
                self.result.worker_restarts = front.worker_restarts
                self._view.close()
                tell(self.result)
                if keep:
                    await asyncio.Event().wait()

    async def _go_direct(self, sampler: ConnectionSampler) -> None:
        encrypted = "" if self._server.tls else " (without TLS: this PostgreSQL has none)"
        self._view.stage(f"{CLIENTS} clients straight at the database{encrypted}")
        report = await self._demand(self._direct, self._plan.direct_s, sampler, None)
        self.result.direct_refused = report.refused
        self.result.direct_connected = CLIENTS - report.refused - report.unconnected
        self.result.direct_transactions = report.transactions

    async def _go_through(self, front: proxy.Front, sampler: ConnectionSampler) -> None:
        self._view.stage(f"{CLIENTS} clients through Forebay (TLS, SCRAM)")
        sampler.peak = 0
        report = await self._demand(self._pooled, self._plan.pooled_s, sampler, front)
        figures = await front.figures()
        result = self.result
        result.database_connections_peak = sampler.peak
        result.refused, result.unconnected = report.refused, report.unconnected
        result.failed_transactions, result.transactions = report.failed, report.transactions
        result.transactions_per_s = round(report.transactions / self._plan.pooled_s, 1)
        result.wait_ms_p50 = round(figures.get("borrow_wait_us_p50", 0) / 1000, 3)
        result.wait_ms_p99 = round(figures.get("borrow_wait_us_p99", 0) / 1000, 3)
        result.latency_ms_p50 = percentile(report.latencies_us, 0.5) / 1000
        result.latency_ms_p99 = percentile(report.latencies_us, 0.99) / 1000
        result.load_generator_lag_ms_p99 = percentile(report.lag_us, 0.99) / 1000
        result.errors = report.errors

    async def _demand(
        self,
        target: Target,
        work_s: float,
        sampler: ConnectionSampler,
        front: proxy.Front | None,
    ) -> Report:
        """All clients connect at once, work, and leave."""
        orders = [
            Order(
                group=group.name,
                clients=group.clients,
                host=target.host,
                port=target.port,
                sslmode=target.sslmode,
                user=USER,
                password=PASSWORD,
                database=DATABASE,
                work_s=work_s,
                seed=self._plan.seed + 1000 * number,
            )
            for number, group in enumerate(GROUPS)
        ]
        crowd = Crowd(orders, "forebay.demo.clients", Report, work_s)
        async with crowd, self._watching(crowd, sampler, front):
            await crowd.connected()
            crowd.start()
            await crowd.finished()
            return total(crowd.reports)

    @contextlib.asynccontextmanager
    async def _watching(
        self, crowd: Crowd[Report], sampler: ConnectionSampler, front: proxy.Front | None
    ) -> AsyncIterator[None]:
        meter = Meter()
        watch = asyncio.ensure_future(self._watch(crowd, sampler, front, meter))
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            self._view.show(meter.line(Moment.of(total(crowd.reports), sampler.now, 0)))

    async def _watch(
        self,
        crowd: Crowd[Report],
        sampler: ConnectionSampler,
        front: proxy.Front | None,
        meter: Meter,
    ) -> None:
        while True:
            waiting = 0
            if front is not None:
                waiting = int((await front.figures()).get("clients_waiting", 0))
            self._view.show(meter.line(Moment.of(total(crowd.reports), sampler.now, waiting)))
            await asyncio.sleep(VIEW_INTERVAL_S)

    async def _compare(self) -> None:
        self._view.stage("one client, a statement at a time, direct and through Forebay by turns")
        direct_us, added_us = await added_latency_us(
            self._direct, self._pooled, user=USER, password=PASSWORD, database=DATABASE
        )
        self.result.direct_latency_us_p50 = round(direct_us, 1)
        self.result.added_latency_us_p50 = round(added_us, 1)

    def _check_books(self) -> None:
        rows = self._server.sql(BOOKS_BALANCE, database=DATABASE)
        self.result.books_balance = rows == [("t",)]
