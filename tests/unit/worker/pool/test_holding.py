"""Hold and switch, as the micro-pools of a proxy take them."""

import struct
from types import SimpleNamespace

import pytest

from forebay.net.connector import ConnectError
from forebay.worker.pool.holding import (
    HOLD_HINT,
    NODE_ANSWERS_S,
    READ_ONLY_CAUSE,
    WRITES_QUERY,
)
from forebay.worker.pool.watch import Watch
from tests.unit.worker.clock import Gate
from tests.unit.worker.pool.pools import Client, Connection, World


def answer(server: Connection, value: str | None) -> None:
    """The database has answered what the connection was to run; None: with an error."""
    _, done = server.ran.pop()
    row = b"" if value is None else struct.pack("!HI", 1, len(value)) + value.encode()
    error = b"C57014\0\0" if value is None else None
    done(server, SimpleNamespace(error=error, rows=[row] if row else []))
    server.go_free()


def test_nobody_is_lent_a_connection_and_none_is_opened() -> None:
    world = World(limit=4)
    idle, busy = world.clients(2)
    world.done(idle)
    world.manager.holding.hold("the server is silent")
    waits = world.client()
    other = world.client("other")
    world.done(busy)
    world.pass_time(60.0)
    assert (waits.server, other.server, world.asked, len(world.open)) == (None, None, 2, 2)


def test_idle_connections_are_asked_before_they_are_lent_again() -> None:
    world = World(limit=2)
    one, other = world.clients(2)
    world.done(one, other)
    world.manager.holding.hold("the server is silent")
    first, second = world.clients(2)
    world.manager.holding.release()
    world.settle()
    assert [each.ran[0][0] for each in world.connections] == [WRITES_QUERY.encode()] * 2
    assert (first.server, second.server) == (None, None)
    writes, standby = world.connections
    answer(writes, "t")
    assert first.server is writes
    answer(standby, "f")
    world.settle()
    assert standby.is_closed
    assert second.server is world.connections[2]


@pytest.mark.parametrize("value", [None, "f", "nonsense"])
def test_a_connection_that_does_not_say_yes_goes(value: str | None) -> None:
    world = World(limit=1)
    world.done(world.client())
    world.manager.holding.hold("the server is silent")
    world.manager.holding.release()
    answer(world.connections[0], value)
    world.settle()
    assert world.connections[0].is_closed


def test_behind_a_switch_only_new_connections_serve_in_the_order_of_the_queue() -> None:
    world = World(limit=2)
    busy, idle = world.clients(2)
    world.done(idle)
    holding = world.manager.holding
    holding.hold("the server is silent")
    waiting = world.clients(3)
    holding.switch("another server writes")
    assert [each.reason for each in world.connections] == ["another server writes"] * 2
    assert world.manager.census.on_hold
    holding.release()
    world.settle()
    assert [each.server is not None for each in waiting] == [True, True, False]
    assert waiting[0].server in world.connections[2:]
    assert world.manager.record.switches == 1
    assert isinstance(busy.server, Connection)  # what it is told is the relay's to say


def test_what_is_being_opened_meanwhile_is_not_used() -> None:
    world = World(limit=4)
    world.opening = Gate()
    client = world.client()
    holding = world.manager.holding
    holding.hold("the server is silent")
    holding.switch("another server writes")
    gate, world.opening = world.opening, None
    holding.release()
    gate.open()
    world.settle()
    assert world.connections[0].is_closed
    assert client.server is world.connections[1]


def test_nobody_is_refused_because_no_connection_can_be_opened_meanwhile() -> None:
    world = World(limit=4)
    world.opening = Gate()
    client = world.client()
    world.manager.holding.hold("the server is silent")
    world.failures.append(ConnectError("wrong certificate", transient=False))
    world.opening.open()
    world.settle()
    assert client.error is None
    world.manager.holding.release()
    world.settle()
    assert client.server is not None


def test_who_waits_for_too_long_is_told_why() -> None:
    world = World(limit=1)
    world.manager.holding.hold("b:5432 – a standby – is not promoted")
    waits: Client = world.client()
    error = Watch(world.manager).timed_out(waits.pool, world.clock.now())
    assert (error.sqlstate, error.detail, error.hint) == (
        "08000",
        "b:5432 ? a standby ? is not promoted",
        HOLD_HINT,
    )


def refused_writes(world: World, value: str | None) -> bool:
    """A busy connection was asked whether its server writes, and has said so."""
    row = b"" if value is None else struct.pack("!HI", 1, len(value)) + value.encode()
    error = b"C57014\0\0" if value is None else None
    command = SimpleNamespace(error=error, rows=[row] if row else [])
    return world.manager.has_stopped_writing(world.connections[0], command)


def test_a_server_that_says_that_it_does_not_write_is_left_until_the_node_knows() -> None:
    world = World(limit=1)
    busy = world.client()
    hints: list[str] = []
    world.manager.hint = hints.append
    assert world.manager.writes_query() == WRITES_QUERY.encode()
    assert refused_writes(world, "f")
    assert hints == ["read_only"]
    world.done(busy)
    waits = world.client()
    assert waits.server is None
    assert READ_ONLY_CAUSE in world.manager.holding.cause
    world.manager.holding.hold("the node says so too")
    world.pass_time(2 * NODE_ANSWERS_S)
    assert waits.server is None
    world.manager.holding.release()
    world.settle()
    assert waits.server is not None


def test_for_a_while_if_the_node_says_nothing() -> None:
    world = World(limit=1)
    busy = world.client()
    assert refused_writes(world, "f")
    assert refused_writes(world, "f")
    world.done(busy)
    waits = world.client()
    world.pass_time(NODE_ANSWERS_S)
    assert waits.server is not None


@pytest.mark.parametrize("value", ["t", None, "nonsense"])
def test_nobody_waits_for_what_one_user_may_not(value: str | None) -> None:
    world = World(limit=1)
    world.client()
    assert not refused_writes(world, value)
    assert not world.manager.census.on_hold
