"""A process full of clients: ``python -m forebay.demo.clients``, one for each group.

Connects all its clients at once, says so, waits for "go", works, and reports.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator

import msgspec

from forebay.demo.client_process import serve
from forebay.demo.reports import Order, Report
from forebay.demo.workload import GROUPS, Group, pauses
from forebay.net.connector import (
    ConnectError,
    DatabaseConnection,
    Target,
    connect,
    simple_query,
)
from forebay.net.queries import Rows
from forebay.net.tasks import spawn
from forebay.net.tls import ClientContexts
from forebay.protocol.errors import PgError

CONNECT_TIMEOUT_S = 30.0
TRANSACTION_TIMEOUT_S = 30.0
LAG_INTERVAL_S = 0.02
TOO_MANY_CONNECTIONS = "53300"


class Crowd:
    """All clients of one process and what has become of them."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.report = Report()
        self.go = asyncio.Event()
        self._group = next(group for group in GROUPS if group.name == order.group)
        self._errors: Counter[str] = Counter()
        self._contexts = ClientContexts()
        self._target = Target(host=order.host, port=order.port, sslmode=order.sslmode)
        self._started_s = 0.0
        self._pending = order.clients

    async def run(self) -> None:
        """Everything, from connecting to the last answer."""
        lag = spawn(self._measure_lag())
        async with asyncio.TaskGroup() as clients:
            for number in range(self.order.clients):
                clients.create_task(self._client(random.Random(self.order.seed + number)))  # noqa: S311
        lag.cancel()
        self.report.errors = dict(self._errors)
        self.report.is_finished = True

    def start(self) -> None:
        """Lets the clients work, from now for ``work_s``."""
        self._started_s = time.perf_counter()
        self.go.set()

    def stop(self) -> None:
        """They stop by themselves, when the order's time is up."""

    def interim(self) -> Report:
        return msgspec.structs.replace(self.report, latencies_us=[], lag_us=[])

    def final(self) -> Report:
        return self.report

    async def _client(self, choice: random.Random) -> None:
        try:
            async with self._connection() as connection:
                await self.go.wait()
                await self._work(connection, self._group, choice)
        except (PgError, ConnectError, OSError, TimeoutError) as error:
            self._errors[f"{self._group.label}: {str(error) or type(error).__name__}"] += 1

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[DatabaseConnection]:
        order = self.order
        try:
            connection = await connect(
                self._target,
                user=order.user,
                password=order.password,
                database=order.database,
                parameters={"application_name": order.group},
                connect_timeout_s=CONNECT_TIMEOUT_S,
                tls_contexts=self._contexts,
            )
        except PgError as error:
            self.report.refused += error.sqlstate == TOO_MANY_CONNECTIONS
            self.report.unconnected += error.sqlstate != TOO_MANY_CONNECTIONS
            raise
        except Exception:
            self.report.unconnected += 1
            raise
        finally:
            self._pending -= 1
            self.report.is_connected = self._pending == 0
        self.report.connected += 1
        try:
            yield connection
        finally:
            self.report.connected -= 1
            connection.close()

    async def _work(
        self, connection: DatabaseConnection, group: Group, choice: random.Random
    ) -> None:
        """Transactions until the time is up; ends early if one fails."""
        waited_s = 0.0

        async def ask(sql: str) -> Rows:
            nonlocal waited_s
            asked_s = time.perf_counter()
            rows = await simple_query(connection.stream, sql)
            waited_s += time.perf_counter() - asked_s
            return rows

        end_s = self._started_s + self.order.work_s
        for pause_s, is_relative in pauses(group, choice):
            now_s = time.perf_counter()
            begin_s = (now_s if is_relative else self._started_s) + pause_s
            if max(begin_s, now_s) >= end_s:
                return
            await asyncio.sleep(begin_s - now_s)
            waited_s = 0.0
            try:
                async with asyncio.timeout(TRANSACTION_TIMEOUT_S):
                    await group.transaction(ask, asyncio.sleep, choice)
            except TimeoutError:
                self.report.failed += 1
                raise TimeoutError(f"no answer within {TRANSACTION_TIMEOUT_S:.0f} s") from None
            except BaseException:
                self.report.failed += 1
                raise
            self.report.transactions += 1
            self.report.latencies_us.append(round(waited_s * 1e6))

    async def _measure_lag(self) -> None:
        while True:
            due_s = time.perf_counter() + LAG_INTERVAL_S
            await asyncio.sleep(LAG_INTERVAL_S)
            if self.go.is_set():
                self.report.lag_us.append(max(0, round((time.perf_counter() - due_s) * 1e6)))


if __name__ == "__main__":
    asyncio.run(serve(lambda order: Crowd(msgspec.json.decode(order, type=Order))))
