"""PAUSE, RESUME, RECONNECT and KILL, as the micro-pools of a proxy take them."""

from typing import Any, cast

import pytest

from forebay.protocol.errors import PgError
from forebay.sql.databases import DatabaseUse
from forebay.worker.pool.pausing import EVERYTHING, PAUSED_DETAIL, PAUSED_HINT
from forebay.worker.pool.watch import Watch
from tests.unit.worker.clock import Gate
from tests.unit.worker.pool.pools import Client, World


class Ended(Client):
    """A client that can be ended."""

    farewell: PgError | None = None

    def fail(self, error: bytes, reason: str) -> None:
        self.farewell = PgError.parse(error[5:])
        if self.place is not None:
            self.pool.leave(self.place)


def test_a_pause_waits_for_transactions_and_lends_nothing() -> None:
    world = World(limit=4)
    idle, busy = world.clients(2)
    world.done(idle)
    pausing = world.manager.pausing
    pausing.apply(["shop"])
    assert [each.reason for each in world.connections] == ["the database is paused", ""]
    assert (pausing.left("shop"), pausing.left(EVERYTHING), pausing.left("other")) == (1, 1, 0)
    waits = world.client()
    world.done(busy)
    world.pass_time(60.0)
    assert (pausing.left("shop"), waits.server, world.asked) == (0, None, 2)
    pausing.apply([])
    world.settle()
    assert waits.server is not None


def test_what_is_being_opened_counts_and_is_not_used() -> None:
    world = World(limit=4)
    world.opening = Gate()
    client = world.client()
    world.manager.pausing.apply([EVERYTHING])
    assert world.manager.pausing.left(EVERYTHING) == 1
    world.opening.open()
    world.settle()
    assert (world.manager.pausing.left(EVERYTHING), client.server) == (0, None)


def test_all_are_those_that_come_later_too() -> None:
    world = World(limit=4)
    pausing = world.manager.pausing
    pausing.apply([EVERYTHING])
    assert pausing.covers(world.pool("late"))
    assert world.client("late").server is None


def test_other_databases_are_served() -> None:
    world = World(limit=4)
    world.manager.pausing.apply(["other"])
    assert world.client().server is not None
    assert not world.manager.pausing.covers(world.pool())
    assert world.pool(database="other").held_back


def test_what_a_statement_needs_alone_stays_held_back() -> None:
    world = World(limit=4)
    pool = world.pool()
    world.manager.holds.begin("key", DatabaseUse(frozenset({b"shop"})))
    world.manager.pausing.apply(["shop"])
    world.manager.holds.end("key")
    assert pool.held_back
    world.manager.holds.begin("key", DatabaseUse(frozenset({b"shop"})))
    world.manager.pausing.apply([])
    assert pool.held_back
    world.manager.holds.end("key")
    assert not pool.held_back


def test_the_same_again_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "forebay.pool")
    world = World()
    world.manager.pausing.apply([])
    world.manager.pausing.apply(["a", "a"])
    world.manager.pausing.apply(["a"])
    assert [each.getMessage() for each in caplog.records] == ["Databases are paused"]


def test_connections_are_made_anew() -> None:
    world = World(limit=4)
    idle, busy = world.clients(2)
    world.done(idle)
    one, other = world.connections
    world.manager.pausing.reconnect("other")
    assert not other.retired
    world.manager.pausing.reconnect("shop")
    assert (one.is_closed, other.is_closed) == (True, False)
    assert world.client().server not in (None, one, other)
    world.done(busy)
    assert other.is_closed
    world.manager.pausing.reconnect(EVERYTHING)
    assert all(each.retired for each in world.open)


def test_clients_and_connections_are_ended_at_once() -> None:
    world = World(limit=2)
    clients: list[Any] = []
    for _ in range(3):
        client = Ended(world.pool(), world.clock.now)
        client.ask(world.intern.none)
        world.settle()
        clients.append(client)
    spared = Ended(world.pool(database="other"), world.clock.now)
    world.manager.pausing.apply(["shop"])
    world.manager.pausing.kill("shop", cast(Any, [*clients, spared]))
    world.settle()
    assert [each.farewell.sqlstate for each in clients] == ["57P01"] * 3
    assert spared.farewell is None
    assert world.open == []
    assert world.manager.pausing.left(EVERYTHING) == 0
    assert world.client().server is None  # until it is resumed


def test_who_waits_in_vain_is_told_why() -> None:
    world = World()
    pool = world.pool()
    watch = Watch(world.manager)
    assert watch.timed_out(pool, 1.0).detail != PAUSED_DETAIL
    world.manager.pausing.apply(["shop"])
    error = watch.timed_out(pool, 1.0)
    assert (error.detail, error.hint) == (PAUSED_DETAIL, PAUSED_HINT)
