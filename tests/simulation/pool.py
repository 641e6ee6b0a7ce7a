"""A proxy's pool in a virtual world: the real PoolManager, MicroPools and Janitor before databases,
clients and a clock that are played. The same seed gives the same history.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from forebay.config.settings import LimitSettings, ProxySettings, TargetSettings
from forebay.net.connector import ConnectError
from forebay.protocol.errors import PgError, Severity
from forebay.relay import Waiter
from forebay.relay.census import OPENING_LIMIT
from forebay.relay.statements.statement import Account
from forebay.session.settings import InternTable
from forebay.worker.pool.chores import Chores, Timeouts
from forebay.worker.pool.janitor import Janitor
from forebay.worker.pool.manager import Limits, PoolManager

TIMEOUT_S = 20.0
# The janitor looks every 0.1 s.
LATE_S = 0.25


class WrongError(AssertionError):
    """Something happened that must not."""


class Sleep:
    """Lets a coroutine of the simulation wait."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s

    def __await__(self) -> Any:
        yield self


class Clock:
    """An Agenda whose time passes from one event to the next."""

    def __init__(self) -> None:
        self.time_s = 0.0
        self._events: list[tuple[float, int, Callable[..., object], tuple[object, ...]]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self.time_s

    def soon(self, function: Callable[..., object], *arguments: object) -> None:
        self.later(0.0, function, *arguments)

    def later(self, delay_s: float, function: Callable[..., object], *arguments: object) -> None:
        event = (self.time_s + delay_s, next(self._numbers), function, arguments)
        heapq.heappush(self._events, event)

    def spawn(self, coroutine: Coroutine[Any, Any, object], name: str) -> None:
        self.soon(self._step, coroutine)

    def _step(self, coroutine: Coroutine[Any, Any, object]) -> None:
        try:
            sleep = coroutine.send(None)
        except StopIteration:
            return
        self.later(sleep.delay_s, self._step, coroutine)

    def step(self) -> bool:
        """The next event; False when there is none."""
        if not self._events:
            return False
        self.time_s, _, function, arguments = heapq.heappop(self._events)
        function(*arguments)
        return True


@dataclass
class World:
    """How rough it is, per second of virtual time or as a share of all cases."""

    pools: int = 4
    clients: int = 60
    limit: int = 4
    hold_s: float = 0.1
    think_s: float = 0.2
    opening_s: float = 0.05
    openings_fail: float = 0.0
    openings_refused: float = 0.0
    connections_die: float = 0.0
    clients_die: float = 0.0
    limits_change: float = 0.0
    duration_s: float = 30.0
    # `pools` users, each in so many databases, with limits of their own if these are given.
    databases: int = 1
    user_limit: int | None = None
    database_limit: int | None = None


ROUGH = World(
    hold_s=1.0,
    openings_fail=0.2,
    openings_refused=0.02,
    connections_die=2.0,
    clients_die=0.05,
    limits_change=0.5,
)


class Connection:
    """As much of a Server as the pool sees."""

    def __init__(self, simulation: "Simulation", pool: Any) -> None:
        self.simulation = simulation
        self.pool = pool
        self.pid = next(simulation.numbers)
        self.settings = simulation.intern.none
        self.retired = False
        self.retirements = 0  # how often all had been retired when its opening began
        self.is_closed = False
        self.age_jitter = 1.0
        self.renew_at = math.inf
        self.opened_at = self.idle_since = self.lent_at = simulation.clock.now()
        self.ledger = SimpleNamespace(action=lambda: 0, count=0)  # what is asked is answered
        self.in_transaction = True
        self.status = ord("T")
        self.client: Client | None = None

    def start(self) -> None:
        limit = self.simulation.manager.budget
        self.go_free()
        if self.is_closed and not self.retired and limit == self.simulation.manager.budget:
            self.simulation.wasted += 1

    def go_free(self) -> None:
        if self.is_closed:
            return
        self.client = None
        self.idle_since = self.simulation.clock.now()
        place = self.pool.give_back(self, self.retired, self.idle_since)
        if place is not None:
            place.borrower.served(self)

    def run(self, sql: bytes, done: Callable[..., None]) -> None:
        """Only the limits are ever asked for."""
        self.simulation.clock.later(0.01, self.go_free)

    def shut(self, reason: str) -> None:
        self.lost(reason)

    def lost(self, reason: str) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        client, self.client = self.client, None
        self.simulation.manager.server_lost(cast(Any, self), reason)
        if client is not None:
            client.server_lost()


class Client:
    """Asks, waits, holds a connection for a while, thinks; or dies."""

    greeted = is_closed = True  # it has no socket
    pinned = is_stalled = False
    process_id = 0
    settings = SimpleNamespace(values=())

    def __init__(self, simulation: "Simulation", pool: Any) -> None:
        self.simulation = simulation
        self.pool = pool
        self.last_progress = simulation.clock.now()
        self.place: Any = None
        self.connection: Connection | None = None

    def ask(self) -> None:
        simulation = self.simulation
        if simulation.ending:
            return
        connection = self.pool.borrow(simulation.intern.none)
        if connection is not None:
            if self.pool.first_waiter is not None:
                raise WrongError("a connection was idle while others waited")
            self.hold(connection)
            return
        self.place = simulation.place(self)
        simulation.queues.setdefault(self.pool, []).append(self.place)
        self.pool.wait(self.place, simulation.clock.now())
        if simulation.random.random() < simulation.world.clients_die:
            simulation.clock.later(simulation.random.uniform(0, 2), self.die_waiting, self.place)

    def hold(self, connection: Connection) -> None:
        simulation = self.simulation
        if connection.retirements != simulation.retirements:
            raise WrongError("a connection is used that was opened before all were retired")
        self.connection = connection
        connection.client = self
        hold_s = simulation.random.expovariate(1 / simulation.world.hold_s)
        simulation.clock.later(
            min(hold_s, 10 * simulation.world.hold_s), self.give_back, connection
        )

    def give_back(self, connection: Connection) -> None:
        if self.connection is not connection:
            return  # it was lost
        self.connection = None
        self.simulation.done += 1
        connection.go_free()
        self.think()

    def think(self) -> None:
        simulation = self.simulation
        think_s = simulation.random.expovariate(1 / simulation.world.think_s)
        simulation.clock.later(think_s, self.ask)

    def _out_of_queue(self) -> Any:
        place, self.place = self.place, None
        if place is None:
            raise WrongError("a client got what it did not wait for")
        self.simulation.queues[self.pool].remove(place)
        return place

    def served(self, connection: Connection) -> None:
        if connection.is_closed or connection.pool is not self.pool:
            raise WrongError("a closed connection, or another pool's, was handed over")
        first = self.simulation.queues[self.pool][0]
        place = self._out_of_queue()
        if place is not first:
            raise WrongError("somebody was overtaken in the queue")
        self.hold(connection)

    def refuse(self, error: bytes) -> None:
        place = self.place
        if place is None:
            return
        self.pool.leave(place)
        self._out_of_queue()
        waited_s = self.simulation.clock.now() - place.waits_since
        if waited_s > TIMEOUT_S + LATE_S:
            raise WrongError(f"refused only after {waited_s:.2f} s")
        self.simulation.refused += 1
        self.think()

    def die_waiting(self, place: object) -> None:
        if self.place is place:
            self.pool.leave(place)
            self._out_of_queue()
            self.think()  # somebody like it comes

    def server_lost(self) -> None:
        self.connection = None
        self.think()


class Simulation:
    """One history. ``run`` raises WrongError, with the seed, for what must not happen.

    waiter: the class of places in queues, if not the compiled one.
    """

    def __init__(self, seed: int, world: World, waiter: Any = Waiter) -> None:
        class Place(waiter):  # type: ignore[misc]
            """A client's place in a queue."""

            def __init__(self, borrower: Client) -> None:
                super().__init__()
                self.borrower = borrower

        self.place = Place
        self.seed = seed
        self.world = world
        self.random = Random(seed)
        self.clock = Clock()
        self.intern = InternTable()
        self.numbers = itertools.count(1)
        self.limit = world.limit
        self.queues: dict[Any, list[Any]] = {}
        self.ending = False
        self.done = self.refused = 0
        self.retirements = 0
        self.wasted = 0  # connections that were closed as soon as they were open
        agenda = cast(Any, self.clock)
        self.manager = PoolManager(
            agenda, Limits(100, 50, 100_000, ""), self.intern, cast(Any, self._open), self._cancel
        )
        self.manager.groups.apply(self._settings(world.user_limit, world.database_limit))
        timeouts = Timeouts(TIMEOUT_S, 1800.0, 86400.0, 2.0, 10.0)
        texts = SimpleNamespace(account=Account(0))
        sessions = cast(Any, SimpleNamespace(clients={}, texts=texts))
        self.janitor = Janitor(agenda, timeouts, [Chores(agenda, self.manager)], sessions)

    def _settings(self, user_limit: int | None, database_limit: int | None) -> ProxySettings:
        """The limits of every user and of every database."""
        users = {f"user{n}": user_limit for n in range(self.world.pools)}
        databases = {f"app{n}": database_limit for n in range(self.world.databases)}
        return ProxySettings(
            target=TargetSettings(hosts=["db"]),
            users={name: LimitSettings(max_connections=n) for name, n in users.items()},
            databases={name: LimitSettings(max_connections=n) for name, n in databases.items()},
        )

    async def _open(self, pool: Any) -> tuple[Connection, tuple[int, int]]:
        budget = self.manager.budget
        if self.manager.size > (budget.limit if budget else 1):
            raise WrongError("the limit is exceeded")
        if self.manager.census.is_over_for(pool):
            raise WrongError("the limit of a user or a database is exceeded")
        retirements = self.retirements
        await Sleep(self.random.uniform(0.2, 2) * self.world.opening_s)
        chance = self.random.random()
        if not self.ending and chance < self.world.openings_fail:
            raise ConnectError("no luck", transient=True)
        if not self.ending and chance < self.world.openings_fail + self.world.openings_refused:
            raise PgError(Severity.FATAL, "28P01", "password authentication failed")
        connection = Connection(self, pool)
        connection.retirements = retirements
        return connection, (self.limit, 0)

    async def _cancel(self, server: object, is_meant: object) -> None:
        raise WrongError("nobody asked for a cancel")

    def run(self) -> None:
        try:
            self._run()
        except AssertionError as error:
            raise WrongError(f"seed {self.seed}, at {self.clock.now():.3f} s: {error}") from error

    def _run(self) -> None:
        for number in range(self.world.clients):
            database = number // self.world.pools % self.world.databases
            pool = self.manager.pool(f"app{database}", f"user{number % self.world.pools}")
            pool.note_clients(1)
            self.clock.later(self.random.uniform(0, 1), Client(self, pool).ask)
        self._tick()
        if self.world.connections_die:
            self.clock.later(1.0, self._kill)
        if self.world.limits_change:
            self.clock.later(1.0, self._change_limit)
        while self.clock.step():
            self.check()
            self.ending = self.clock.now() > self.world.duration_s
            if self.clock.now() > self.world.duration_s + 2 * TIMEOUT_S:
                break
        pools = self.manager.pools.values()
        if any(pool.waiting or pool.borrowed or pool.opening for pool in pools):
            raise WrongError("it does not come to an end")

    def _tick(self) -> None:
        self.janitor.tick(self.clock.now())
        self._check_waits()
        self.clock.later(0.1, self._tick)

    def _kill(self) -> None:
        if self.manager.servers:
            victim: Any = self.random.choice(sorted(self.manager.servers, key=lambda s: s.pid))
            victim.lost("it died")
        if not self.ending:
            self.clock.later(self.random.expovariate(self.world.connections_die), self._kill)

    def _change_limit(self) -> None:
        self.limit = self.random.randint(1, 2 * self.world.limit)
        if self.random.random() < 0.2:
            self.retirements += 1
            self.manager.retire_all()
        most = self.world.user_limit, self.world.database_limit
        limits = [None if each is None else self.random.randint(1, 2 * each) for each in most]
        self.manager.groups.apply(self._settings(*limits))
        self.manager.note_limits(self.limit, 0)
        self.manager.schedule()
        if not self.ending:
            self.clock.later(self.random.expovariate(self.world.limits_change), self._change_limit)

    def check(self) -> None:
        """What holds after every event."""
        manager = self.manager
        manager.assert_counts()
        in_use = 0
        for pool in manager.pools.values():
            waiting = self.queues.get(pool, [])
            if pool.waiting != len(waiting) or min(pool.borrowed, pool.opening) < 0:
                raise WrongError(f"{pool.waiting} of {len(waiting)} wait, {pool.borrowed} borrowed")
            if pool.waiting and pool.idle:
                raise WrongError("somebody waits beside an idle connection")
            in_use += pool.borrowed
        if any(server.is_closed for server in manager.servers):
            raise WrongError("a closed connection is counted")

    def _check_waits(self) -> None:
        """What holds at every tick: nobody waits too long, or while something could be done."""
        manager, now = self.manager, self.clock.now()
        opening = sum(pool.opening for pool in manager.pools.values())
        for pool in manager.pools.values():
            first: Any = pool.first_waiter
            if first is None:
                continue
            if now - first.waits_since > TIMEOUT_S + LATE_S:
                raise WrongError("a client waits longer than its timeout")
            backoff = manager.openings.backoffs.get(pool)
            tries = backoff is not None and now < backoff.retry_at + LATE_S
            groups = [each for each in (pool.user_group, pool.database_group) if each is not None]
            room = manager.budget is not None and manager.size < manager.budget.limit
            room = room and not any(group.is_full(pool) for group in groups)
            hindered = not all(group.has_room(pool) for group in groups)
            waits_for_opening = pool.waiting <= pool.opening or opening >= OPENING_LIMIT
            idle_s = now - first.waits_since
            if tries or manager._scheduled or idle_s <= LATE_S:
                continue
            if room and not opening:
                raise WrongError("there is room, somebody waits, and nothing is opened")
            if hindered or waits_for_opening:
                continue
            if any(each.idle for each in manager.pools.values()):
                raise WrongError("there is an idle connection while somebody waits elsewhere")
