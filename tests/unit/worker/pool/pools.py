"""A pool manager with real micro-pools; databases, clients and the clock are played."""

import itertools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from forebay.protocol.errors import PgError
from forebay.relay import MicroPool, Waiter
from forebay.session.settings import InternTable
from forebay.worker.pool.manager import Limits, PoolManager
from tests.unit.worker.clock import Clock, Gate


class Place(Waiter):
    """A client's place in a queue."""

    def __init__(self, borrower: "Client") -> None:
        super().__init__()
        self.borrower = borrower


class Connection:
    """As much of a Server as the pool sees. ``ran``: what it was to run, and whom to tell."""

    def __init__(self, pool: Any, pid: int, now: Callable[[], float], settings: Any) -> None:
        self.pool = pool
        self.pid = pid
        self.settings = settings
        self.client: Client | None = None
        self.retired = self.stale = self.is_closed = False
        self.age_jitter = 1.0
        self.renew_at = math.inf
        self.made_by: object = "old"
        self.now = now
        self.opened_at = self.idle_since = self.lent_at = now()
        self.lease = object()
        self.owed = 0  # replies
        self.asked_at = 0.0
        self.timeouts_in_flight = 0
        self.ledger = SimpleNamespace(action=lambda: self.owed, count=0)
        self.in_transaction, self.status = False, ord("I")
        self.ran: list[tuple[bytes, Callable[..., None]]] = []
        self.reason = ""  # why it was closed

    def start(self) -> None:
        self.go_free()

    def go_free(self) -> None:
        self.client = None
        self.idle_since = self.now()
        place = self.pool.give_back(self, self.retired, self.idle_since)
        if place is not None:
            place.borrower.hold(self)

    def timeout_finished(self) -> None:
        self.timeouts_in_flight -= 1

    def run(self, sql: bytes, done: Callable[..., None]) -> None:
        self.ran.append((sql, done))

    def was_reset(self, settings: Any) -> None:
        self.settings = settings

    def shut(self, reason: str) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.reason = reason
            self.pool.manager.server_lost(self, reason)

    def cut(self, reason: str) -> None:
        self.shut(reason)


class Client:
    """Asks for a connection, and holds what it gets."""

    is_closed = True  # it has no socket
    pinned = is_stalled = is_busy = False
    notes = None
    process_id = 7

    def __init__(self, pool: Any, now: Callable[[], float], *, greeted: bool = True) -> None:
        self.pool = pool
        self.greeted = greeted
        self.now = now
        self.settings = SimpleNamespace(values=(("application_name", "web"),))
        self.place: Any = None
        self.server: Connection | None = None
        self.last_progress = self.last_active = now()
        self.error: PgError | None = None

    def ask(self, settings: Any) -> None:
        server = self.pool.borrow(settings)
        if server is not None:
            self.hold(server)
            return
        self.place = Place(self)
        self.pool.wait(self.place, self.now())

    def hold(self, server: Connection) -> None:
        self.place = None
        self.server = server
        server.client = self
        server.lent_at = self.now()

    def done(self) -> None:
        """Its transaction is over."""
        server, self.server = self.server, None
        assert server is not None
        server.go_free()

    def fail(self, error: bytes, reason: str) -> None:
        """Its transaction is rolled back, and the connection comes free."""
        self.error = PgError.parse(error[5:])
        self.done()

    def refuse(self, error: bytes) -> None:
        self.pool.leave(self.place)
        self.place = None
        self.error = PgError.parse(error[5:])


class World:
    """`limit`: as many connections the database allows. Openings succeed at once, but for those
    that ``failures`` is for; or they wait for ``opening``."""

    def __init__(self, limit: int = 2, *, queue: int = 100, idle_percent: int = 50) -> None:
        self.clock = Clock()
        self.intern = InternTable()
        self.limit, self.reserved = limit, 0
        self.queue, self.idle_percent = queue, idle_percent
        self.failures: list[BaseException] = []
        self.opening: Gate | None = None
        self.asked = 0  # for connections
        self.cancelled: list[tuple[Connection, Callable[[], bool]]] = []
        self.connections: list[Connection] = []
        self._pids = itertools.count(4711)
        self.manager = PoolManager(
            cast(Any, self.clock),
            self.limits(),
            self.intern,
            cast(Any, self._open),
            cast(Any, self._cancel),
        )

    def limits(self, percent: int = 100, init_query: str = "") -> Limits:
        return Limits(percent, self.idle_percent, self.queue, init_query)

    async def _open(self, pool: Any) -> tuple[Connection, tuple[int, int]]:
        self.asked += 1
        if self.opening is not None:
            await self.opening
        if self.failures:
            raise self.failures.pop(0)
        connection = Connection(pool, next(self._pids), self.clock.now, self.intern.none)
        self.connections.append(connection)
        return connection, (self.limit, self.reserved)

    async def _cancel(self, server: Connection, is_meant: Callable[[], bool]) -> None:
        self.cancelled.append((server, is_meant))

    def pool(self, user: str = "app", database: str = "shop") -> MicroPool:
        return self.manager.pool(database, user)

    def client(self, user: str = "app", database: str = "shop", *, greeted: bool = True) -> Client:
        """Somebody comes and asks for a connection, and all is done that can be done at once."""
        client = Client(self.pool(user, database), self.clock.now, greeted=greeted)
        client.pool.note_clients(1)
        client.ask(self.intern.none)
        self.settle()
        return client

    def clients(self, count: int, user: str = "app") -> list[Client]:
        return [self.client(user) for _ in range(count)]

    def done(self, *clients: Client) -> None:
        for client in clients:
            client.done()
        self.settle()

    def settle(self) -> None:
        self.clock.run()
        self.manager.assert_counts()

    def pass_time(self, seconds: float) -> None:
        self.clock.pass_time(seconds)
        self.settle()

    @property
    def open(self) -> list[Connection]:
        return [each for each in self.connections if not each.is_closed]
