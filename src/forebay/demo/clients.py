"""A process full of clients: ``python -m forebay.demo.clients``, one for each group.

Reads an Order, connects all its clients at once, says so, waits for "go", works, and reports. It
ends when its input does: when the demo that started it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator

import msgspec

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

REPORT_INTERVAL_S = 0.2
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


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    order = msgspec.json.decode(await reader.readline(), type=Order)
    crowd = Crowd(order)
    work = spawn(crowd.run())
    orders = spawn(_listen(reader, crowd, work))
    reports = spawn(_report(crowd))
    try:
        await work
    except asyncio.CancelledError:
        return  # the demo is gone
    finally:
        orders.cancel()
        reports.cancel()
        transport.close()
    _write(crowd.report)


async def _listen(reader: asyncio.StreamReader, crowd: Crowd, work: asyncio.Task[None]) -> None:
    if await reader.readline():
        crowd.start()
        await reader.read()
    work.cancel()


async def _report(crowd: Crowd) -> None:
    while True:
        report = crowd.report
        _write(msgspec.structs.replace(report, latencies_us=[], lag_us=[]))
        await asyncio.sleep(REPORT_INTERVAL_S)


def _write(report: Report) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(main())
