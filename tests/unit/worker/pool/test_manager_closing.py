"""When the manager closes connections, and which. (Opening, limits and counts: test_manager.py.)"""

import logging
from typing import Any, cast

import pytest

from forebay.worker.pool.manager import ABANDONED_S, UNANSWERED_S
from tests.unit.worker.clock import Gate
from tests.unit.worker.pool.pools import World


def test_all_are_retired_those_that_are_being_opened_too() -> None:
    world = World(limit=4)
    world.done(world.client("bob"))
    busy = world.client()
    world.opening = Gate()
    waits = world.client()
    world.manager.retire_all()
    idle, lent = world.connections
    assert (idle.reason, lent.is_closed) == ("it was retired", False)
    world.opening.open()
    world.settle()
    opened, again = world.connections[2:]
    assert opened.is_closed, "its opening began before"
    assert waits.server is again
    world.done(busy)
    assert lent.is_closed
    assert world.open == [again]


def test_one_that_is_taken_away_leaves_room_for_who_waits() -> None:
    world = World(limit=1)
    busy, waits = world.clients(2)
    world.manager.retire_all()
    world.done(busy)
    old, new = world.connections
    assert old.reason == "it was retired"
    assert waits.server is new


def test_another_init_query_retires_and_other_limits_do_not() -> None:
    world = World(limit=2)
    world.done(*world.clients(2))
    world.manager.apply(world.limits())
    assert len(world.open) == 2
    world.manager.apply(world.limits(init_query="SET a.b = 1"))
    assert not world.open


def test_what_its_client_left_behind_is_cancelled_and_then_given_up() -> None:
    world = World(limit=2)
    vanished, parted = world.clients(2)
    one, other = world.connections
    for client in (vanished, parted):
        assert client.server is not None
        client.server.client = None
        client.server.ledger.count = 1
    world.manager.abandoned(cast(Any, one), True)
    world.manager.abandoned(cast(Any, other), False)
    world.settle()
    ((cancelled, is_meant),) = world.cancelled
    assert cancelled is one
    assert is_meant()
    world.pass_time(ABANDONED_S)
    assert one.reason == "what its client had asked did not end after the client was gone"
    assert not is_meant(), "it is over"
    assert not other.is_closed


def test_one_that_serves_the_next_client_by_then_is_neither_cancelled_nor_closed() -> None:
    world = World(limit=1)
    world.clients(1)
    (one,) = world.connections
    one.client = None
    one.ledger.count = 1
    world.manager.abandoned(cast(Any, one), True)
    world.settle()
    one.lease = object()  # it was answered, and somebody else has the connection
    ((_, is_meant),) = world.cancelled
    assert not is_meant()
    world.pass_time(10 * ABANDONED_S)
    assert not one.is_closed


def test_a_copy_that_does_not_end_is_given_up() -> None:
    world = World(limit=2)
    world.clients(2)
    for connection in world.connections:
        connection.client = None
        connection.ledger.count = 1
        world.manager.copy_failed(cast(Any, connection))
    slow, quick = world.connections
    world.pass_time(UNANSWERED_S - 1)
    assert not slow.is_closed
    quick.ledger.count = 0
    world.pass_time(1)
    assert (slow.is_closed, quick.is_closed) == (True, False)


def test_one_that_the_database_ends_is_told_of_and_replaced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "forebay.pool")
    world = World(limit=1)
    world.done(world.client())
    world.manager.ended(cast(Any, world.connections[0]), b"SFATAL\0C57P01\0Mgoodbye\0\0")
    assert "Reason: the database says: goodbye (SQLSTATE 57P01)" in caplog.text
    assert world.manager.size == 0
    assert world.client().server is world.connections[1]


def test_what_is_noticed_is_passed_on() -> None:
    world = World(limit=1)
    world.done(world.client())
    (server,) = world.connections
    world.manager.noticed(cast(Any, server), "terminated")  # nobody asks
    told: list[str] = []
    world.manager.hint = told.append
    world.manager.noticed(cast(Any, server), "crashed")
    server.shut("it does not answer")
    world.manager.noticed(cast(Any, server), "lost")
    assert told == ["crashed"]


def test_what_is_prepared_is_looked_at_again_in_that_database_only() -> None:
    world = World(limit=3)
    world.done(world.client("alice"), world.client("bob"))
    pools = [world.pool("alice"), world.pool("bob"), world.pool(database="other")]
    before = [pool.schema for pool in pools]
    world.manager.schema_changed(pools[0])
    assert [each.stale for each in world.connections] == [True, True]
    assert [pool.schema for pool in pools] == [before[0] + 1, before[1] + 1, before[2]]
