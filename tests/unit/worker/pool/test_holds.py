"""Databases that a statement needs for itself are held back, and for no longer than it lasts."""

import logging
from typing import Any, cast

import pytest

from forebay.protocol.errors import PgError, Severity
from forebay.sql.databases import DatabaseUse
from forebay.worker.pool.holds import HOLD_LIMIT_S, name_of
from tests.unit.worker.clock import Gate
from tests.unit.worker.pool.pools import World

SHOP = DatabaseUse(frozenset({b"shop"}))
GONE = PgError(Severity.FATAL, "3D000", 'database "shop" does not exist')


def test_idle_connections_are_closed_and_the_others_as_they_come_free(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "forebay.pool")
    world = World(limit=4)
    idle, busy = world.clients(2)
    world.done(idle)
    one, other = world.connections
    world.manager.holds.begin("key", SHOP)
    world.settle()
    assert (one.reason, other.is_closed) == ("a statement needs the database alone", False)
    world.done(busy)
    assert other.is_closed
    (record,) = [each for each in caplog.records if "held back" in each.getMessage()]
    assert vars(record)["fields"] == {"database": "shop", "closed": 1}


def test_the_connection_of_the_client_that_needs_it_stays() -> None:
    world = World(limit=4)
    mine, _ = world.clients(2)
    world.manager.holds.begin("key", SHOP, cast(Any, mine.server))
    assert [each.retired for each in world.connections] == [False, True]


def test_nobody_gets_another_until_it_is_over() -> None:
    world = World(limit=4)
    world.done(world.client("early"))
    world.manager.holds.begin("key", SHOP)
    late = world.client("late")  # whose micro-pool was not there
    client = world.client("early")
    world.pass_time(HOLD_LIMIT_S / 2)
    assert (client.server, late.server, world.asked) == (None, None, 1)
    world.manager.holds.end("key")
    world.settle()
    assert None not in (client.server, late.server)


def test_other_databases_are_not_held_back() -> None:
    world = World(limit=4)
    other = world.pool(database="other")
    world.manager.holds.begin("key", SHOP)
    assert world.manager.holds.covers(world.pool())
    assert not world.manager.holds.covers(other)
    assert not other.held_back


def test_what_is_being_opened_is_not_used() -> None:
    world = World(limit=4)
    world.opening = Gate()
    client = world.client()
    world.manager.holds.begin("key", SHOP)
    world.opening.open()
    world.settle()
    assert world.connections[0].is_closed
    assert client.server is None


def test_of_two_that_need_it_both_must_be_over() -> None:
    world = World()
    holds = world.manager.holds
    holds.begin(1, SHOP)
    holds.begin(2, SHOP)
    holds.end(1)
    holds.end(1)
    holds.end("nobody's")
    assert world.pool().held_back
    assert holds.covers(world.pool())
    holds.end(2)
    assert not world.pool().held_back


def test_a_hold_ends_after_its_time_whatever_became_of_the_statement(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.manager.holds.begin("key", SHOP)
    client = world.client()
    world.pass_time(HOLD_LIMIT_S - 1)
    assert client.server is None
    assert not caplog.records
    world.pass_time(2)
    assert client.server is not None
    assert "is not over; it is not held back any more" in caplog.text


def test_one_that_is_over_in_time_is_not_told_of(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.manager.holds.begin("key", SHOP)
    world.manager.holds.end("key")
    world.pass_time(2 * HOLD_LIMIT_S)
    assert not caplog.records


def test_what_was_known_of_the_databases_is_forgotten_twice() -> None:
    """When it begins, as others hear of its end only late, and when it is over."""
    world = World()
    forgotten: list[list[str]] = []
    names = ("shop", "copy", "other")
    world.manager.holds.forget = lambda is_meant: forgotten.append([*filter(is_meant, names)])
    use = DatabaseUse(frozenset({b"shop"}), frozenset({b"copy"}))
    pools = [world.pool(database=name) for name in names]
    before = [pool.schema for pool in pools]
    world.manager.holds.begin("key", use)
    world.manager.holds.end("key")
    assert forgotten == [["shop", "copy"], ["shop", "copy"]]
    assert [pool.schema - old for pool, old in zip(pools, before, strict=True)] == [2, 2, 0]


def test_what_the_database_has_refused_may_be_there_now() -> None:
    world = World()
    world.failures = [GONE]
    assert world.client().error is not None
    assert world.client().error is not None
    assert world.asked == 1, "it is known"
    world.manager.holds.begin("key", DatabaseUse(made=frozenset({b"shop"})))
    world.manager.holds.end("key")
    assert world.client().server is not None


@pytest.mark.parametrize(
    ("given", "kept"),
    [("x" * 70, b"x" * 63), ("ä" * 40, ("ä" * 31).encode()), ("a\udcff", b"a\xff")],
)
def test_names_are_compared_as_postgresql_keeps_them(given: str, kept: bytes) -> None:
    assert name_of(given) == kept
