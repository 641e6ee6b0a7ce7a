"""A process of the second act's clients: ``python -m forebay.demo.failover.clients``.

They behave as good applications do: web tasks write in transactions, functions in statements of
their own, others hold a connection and are idle. Who loses a connection opens another, a little
later if that fails; with several hosts it uses the one that writes, as libpq does with
``target_session_attrs=read-write``. Nobody sends a write again whose outcome is not known.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections import Counter
from collections.abc import Iterator

import msgspec

from forebay.demo.client_process import serve
from forebay.demo.failover.asking import Answer, statement
from forebay.demo.failover.reports import LISTS, Order, Report, write_id
from forebay.net.connector import ConnectError, DatabaseConnection, Target, connect, converse
from forebay.net.tls import ClientContexts
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.messages import MalformedMessageError

CONNECT_TIMEOUT_S = 10.0
STATEMENT_TIMEOUT_S = 15.0
MAX_MESSAGE_BYTES = 65_536
WEB_THINK_S = 0.4  # mean; exponential, as visitors come
COMPUTING_S = 0.004  # what a web task does between two statements of a transaction
BURST_INTERVAL_S = 1.0  # one event starts all functions
BURST_SPREAD_S = 0.2
FIRST_RETRY_S, LAST_RETRY_S = 0.1, 1.0
DONE = ("COMMIT", "INSERT 0 1")  # the tags of a write that was made
OUTCOME_UNKNOWN = "08007"
LOST = (PgError, ConnectError, MalformedMessageError, OSError, TimeoutError)


class Crowd:
    """All clients of one process and what has become of them."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.report = Report()
        self.errors: Counter[str] = Counter()
        self.go = asyncio.Event()
        self.enough = asyncio.Event()
        self.started_at = 0.0
        self._contexts = ClientContexts()
        self._pending = order.clients

    async def run(self) -> None:
        """Everything, from connecting to the last answer."""
        async with asyncio.TaskGroup() as clients:
            for index in range(self.order.clients):
                client = Client(self, self.order.first + index)
                clients.create_task(client.run())
        self.report.errors = dict(self.errors)
        self.report.is_finished = True

    def start(self) -> None:
        self.started_at = time.monotonic()
        self.go.set()

    def stop(self) -> None:
        self.enough.set()

    def interim(self) -> Report:
        return msgspec.structs.replace(self.report, **{name: [] for name in LISTS})

    def final(self) -> Report:
        return self.report

    def note_connected(self, is_so: bool) -> None:
        """One more client has its first connection, or knows that it gets none."""
        self._pending -= 1
        self.report.unconnected += not is_so
        self.report.is_connected = self._pending == 0

    async def connect(self) -> DatabaseConnection:
        """A connection to the server that writes. Raises what the last host said."""
        order, failure = self.order, ConnectError("no server writes", transient=True)
        for host, port in order.hosts:
            try:
                connection = await connect(
                    Target(host=host, port=port, sslmode=order.sslmode),
                    user=order.user,
                    password=order.password,
                    database=order.database,
                    parameters={"application_name": order.role},
                    connect_timeout_s=CONNECT_TIMEOUT_S,
                    tls_contexts=self._contexts,
                )
            except (PgError, ConnectError) as error:
                failure = ConnectError(str(error), transient=True)
                continue
            if len(order.hosts) == 1 or connection.parameters.get("in_hot_standby") != "on":
                return connection
            connection.close()
        raise failure


class Client:
    """One client: what it does, and what it keeps count of."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self._crowd = crowd
        self._number = number
        self._report = crowd.report
        self._choice = random.Random(crowd.order.seed + number)  # noqa: S311
        self._connection: DatabaseConnection | None = None
        self._sequence = 0
        self._was_dropped = False
        self._longest_wait_s = 0.0

    async def run(self) -> None:
        """Connects, works from "go" until it is enough, and leaves."""
        try:
            self._take(await self._crowd.connect())
        except ConnectError as error:
            self._crowd.errors[str(error)] += 1
        self._crowd.note_connected(self._connection is not None)
        await self._crowd.go.wait()
        if self._crowd.order.role == "idle":
            await self._be_idle()
        else:
            await self._work()
            self._report.waits_s.append(self._longest_wait_s)
        if self._connection is not None:
            self._connection.close()
            self._report.connected -= 1

    async def _work(self) -> None:
        wanted_at = math.inf  # the first of the writes that have not succeeded
        for begin_at in self._begins():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(begin_at):
                    await self._crowd.enough.wait()
                    return
            wanted_at = min(wanted_at, time.monotonic())
            connection = await self._connected()
            if connection is None or await self._write(connection):
                waited_s = time.monotonic() - wanted_at
                self._longest_wait_s, wanted_at = max(self._longest_wait_s, waited_s), math.inf
            if connection is None:
                return

    def _begins(self) -> Iterator[float]:
        """When to write next, by the loop's clock; bursts that were missed are left out."""
        choice, started_at = self._choice, self._crowd.started_at
        if self._crowd.order.role == "web":
            while True:
                pause_s = min(choice.expovariate(1 / WEB_THINK_S), 5 * WEB_THINK_S)
                yield time.monotonic() + pause_s
        burst = 0
        while True:
            yield started_at + burst * BURST_INTERVAL_S + choice.uniform(0, BURST_SPREAD_S)
            burst = max(burst, int((time.monotonic() - started_at) / BURST_INTERVAL_S)) + 1

    async def _write(self, connection: DatabaseConnection) -> bool:
        """One write, and what its client knows of it then. Whether it was acknowledged."""
        self._sequence += 1
        insert = f"INSERT INTO writes VALUES ({self._number}, {self._sequence})"  # noqa: S608
        *before, last = [insert]
        if self._crowd.order.role == "web":
            *before, last = ["BEGIN", "SELECT txid_current()", insert, "COMMIT"]
        known = await self._outcome(connection, before, last)
        known.append(write_id(self._number, self._sequence))
        if known is self._report.acknowledged:
            now = time.monotonic()
            self._report.written_at.append(now)
            self._report.writes += 1
            self._report.last_write_at = now
        return known is self._report.acknowledged

    async def _outcome(
        self, connection: DatabaseConnection, before: list[str], last: str
    ) -> list[int]:
        """Asks one statement after the other; to which of the report's lists the write belongs."""
        for text in before:
            answer = await self._ask(connection, text)
            if answer is None or answer.error is not None:
                await self._roll_back(connection, answer)
                return self._report.refused
            await asyncio.sleep(COMPUTING_S)
        answer = await self._ask(connection, last)
        if answer is None:
            return self._report.unknown
        if answer.error is not None:
            await self._roll_back(connection, answer)
            is_unknown = answer.error.sqlstate == OUTCOME_UNKNOWN
            return self._report.unknown if is_unknown else self._report.refused
        if answer.tag not in DONE:
            self._fail(f"{last} was answered by {answer.tag}")
            return self._report.refused
        return self._report.acknowledged

    async def _roll_back(self, connection: DatabaseConnection, answer: Answer | None) -> None:
        if answer is not None and answer.status != "I":
            await self._ask(connection, "ROLLBACK")

    async def _be_idle(self) -> None:
        """Holds a connection and asks for nothing; whether it still works shows at the end."""
        while not self._crowd.enough.is_set():
            connection = await self._connected()
            if connection is None:
                return
            reading = asyncio.ensure_future(_end_of(connection))
            ending = asyncio.ensure_future(self._crowd.enough.wait())
            await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                self._drop()
            for task in (reading, ending):
                task.cancel()
            await asyncio.gather(reading, ending, return_exceptions=True)
        if self._connection is not None:
            await self._ask(self._connection, "SELECT 1")

    async def _ask(self, connection: DatabaseConnection, sql: str) -> Answer | None:
        """Its answer; None if the connection was lost meanwhile."""
        try:
            async with asyncio.timeout(STATEMENT_TIMEOUT_S):
                answer = await converse(connection.stream, statement(sql))
        except LOST as error:
            self._fail(_words(error))
            self._drop()
            return None
        if answer.error is not None:
            self._fail(_words(answer.error))
        return answer

    async def _connected(self) -> DatabaseConnection | None:
        """The connection, or a new one; None if it is enough before there is one."""
        pause_s = FIRST_RETRY_S
        while self._connection is None and not self._crowd.enough.is_set():
            try:
                self._take(await self._crowd.connect())
                self._report.made_anew += 1
            except ConnectError:
                self._report.attempts_failed += 1
                await asyncio.sleep(pause_s * self._choice.uniform(0.5, 1.0))
                pause_s = min(2 * pause_s, LAST_RETRY_S)
        return self._connection

    def _take(self, connection: DatabaseConnection) -> None:
        self._connection = connection
        self._report.connected += 1

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.stream.close()
            self._connection = None
            self._report.connected -= 1
        if not self._was_dropped:
            self._was_dropped = True
            self._report.dropped += 1
            self._report.idle_dropped += self._crowd.order.role == "idle"

    def _fail(self, words: str) -> None:
        self._report.failed += 1
        self._crowd.errors[words] += 1


async def _end_of(connection: DatabaseConnection) -> None:
    """Returns when an idle connection ends, and passes over what the server tells unasked."""
    try:
        while True:
            kind, body = await connection.stream.read_message(MAX_MESSAGE_BYTES)
            if kind == ord("E") and PgError.parse(body).severity is not Severity.ERROR:
                return
    except LOST:
        return


def _words(error: BaseException) -> str:
    if isinstance(error, PgError):
        return f"{error.sqlstate} {error}"
    return str(error) or type(error).__name__


if __name__ == "__main__":
    asyncio.run(serve(lambda order: Crowd(msgspec.json.decode(order, type=Order))))
