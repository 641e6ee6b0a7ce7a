"""Connections are opened, closed and counted: what clients and operators may rely on."""

import logging

import pytest

from forebay.net.connector import ConnectError
from forebay.protocol.errors import PgError, Severity
from forebay.worker.pool.backoff import FIRST_RETRY_S, REFUSAL_KEPT_S
from tests.unit.worker.clock import Gate
from tests.unit.worker.pool.pools import World

NO_ROUTE = ConnectError("no route", transient=True)
WRONG_PASSWORD = PgError(Severity.FATAL, "28P01", "password authentication failed")


# ---- opening ----


def test_a_connection_is_opened_only_within_the_budget() -> None:
    world = World(limit=2)
    clients = world.clients(5)
    assert world.asked == len(world.open) == world.manager.size == 2
    assert [client.server is not None for client in clients] == [True, True, False, False, False]
    world.done(clients[0])
    assert clients[2].server is not None, "who has waited longest has it now"
    assert (world.asked, world.manager.waiting) == (2, 2)


def test_until_the_limit_is_known_one_is_opened_to_ask() -> None:
    world = World(limit=3)
    world.opening = Gate()
    clients = world.clients(3)
    assert world.asked == 1
    world.opening.open()
    world.settle()
    assert all(client.server is not None for client in clients)
    assert world.manager.record.peak == world.manager.record.opened == 3


def test_an_idle_connection_of_another_user_makes_room() -> None:
    world = World(limit=2)
    first, second = world.clients(2, "alice")
    world.done(first)
    world.pass_time(1)
    world.done(second)
    oldest, newest = world.connections
    assert world.client("bob").server is not None
    assert (oldest.reason, newest.is_closed) == ("to make room", False)
    assert world.manager.size == 2


def test_a_failed_opening_is_tried_again_while_somebody_waits() -> None:
    world = World()
    world.failures = [NO_ROUTE, NO_ROUTE]
    client = world.client()
    assert (world.asked, client.error) == (1, None)
    assert world.manager.openings.last_error(world.pool()) == "no route"
    world.pass_time(0.9 * FIRST_RETRY_S)
    assert world.asked == 1
    world.pass_time(0.2 * FIRST_RETRY_S)
    assert world.asked == 2
    world.pass_time(2 * FIRST_RETRY_S)
    assert client.server is not None
    assert world.manager.record.failed == 2
    assert world.manager.openings.last_error(world.pool()) is None


def test_who_begins_to_wait_is_refused_where_too_much_waits_already() -> None:
    world = World(limit=1)
    _, waiting, newest = world.clients(3)
    world.manager.held_too_much(newest)
    world.settle()
    assert waiting.error is None
    assert newest.error is not None
    assert (newest.error.severity, newest.error.sqlstate) == (Severity.ERROR, "53300")
    assert newest.error.detail == "Their requests take as much memory as they may."


def test_nothing_is_tried_again_when_nobody_waits() -> None:
    world = World()
    world.failures = [NO_ROUTE]
    client = world.client()
    client.pool.leave(client.place)
    world.pass_time(100)
    assert world.asked == 1


@pytest.mark.parametrize(("greeted", "severity"), [(True, "ERROR"), (False, "FATAL")])
def test_what_the_database_refuses_for_good_all_who_wait_are_told(
    greeted: bool, severity: str
) -> None:
    world = World()
    world.opening = Gate()
    world.failures = [WRONG_PASSWORD]
    clients = [world.client(greeted=greeted) for _ in range(3)]
    world.opening.open()
    world.settle()
    for client in clients:
        assert client.error is not None
        assert (client.error.sqlstate, client.error.severity.value) == ("28P01", severity)
    # The next is told the same, and the database is not asked; some time later it is.
    late = world.client()
    assert late.error is not None
    assert late.error.message == "password authentication failed"
    assert world.asked == 1
    world.pass_time(REFUSAL_KEPT_S)
    assert world.client().server is not None


def test_one_pools_refusal_is_not_anothers() -> None:
    world = World()
    world.failures = [WRONG_PASSWORD]
    assert world.client("alice").error is not None
    assert world.client("bob").server is not None


def test_an_opening_that_breaks_in_some_other_way_is_no_connection() -> None:
    world = World()
    world.failures = [RuntimeError("a bug")]
    with pytest.raises(RuntimeError, match="a bug"):
        world.client()
    assert world.manager.size == 0
    world.settle()


def test_more_than_may_wait_are_refused_and_the_last_first() -> None:
    world = World(limit=1, queue=2)
    clients = world.clients(4)
    assert [client.place is not None for client in clients] == [False, True, True, False]
    error = clients[3].error
    assert error is not None
    assert (error.sqlstate, error.detail) == ("53300", "At most 2 may wait at once.")
    assert world.manager.refusals


# ---- limits ----


def test_a_lower_limit_closes_idle_connections_and_none_that_is_lent() -> None:
    world = World(limit=4)
    clients = world.clients(4)
    world.done(clients[0])
    world.manager.note_limits(2, 0)
    world.settle()
    assert [each.reason for each in world.connections] == ["the limit was lowered", "", "", ""]
    world.done(clients[1])
    assert world.connections[1].reason == "the limit was lowered", "as it comes free"
    world.done(clients[2], clients[3])
    assert len(world.open) == 2


def test_a_higher_limit_is_used_at_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "forebay.pool")
    world = World(limit=1)
    _, second = world.clients(2)
    assert second.server is None
    caplog.clear()
    world.limit, world.reserved = 10, 2
    world.manager.note_limits(10, 2)
    world.settle()
    assert second.server is not None
    assert "At most 8 database connections (100 % of 8 usable ones), 4 of them" in caplog.text
    caplog.clear()
    world.manager.note_limits(10, 2)
    assert not caplog.records, "it is no news"


def test_a_smaller_percentage_is_of_what_the_database_told() -> None:
    world = World(limit=10)
    world.done(*world.clients(10))
    world.manager.apply(world.limits(percent=30))
    world.settle()
    assert len(world.open) == 3


def answered(world: World, rows: list[bytes], error: bytes | None = None) -> None:
    """The limits are asked for over an idle connection, which answers so."""
    world.manager.ask_limits()
    (asked,) = [each for each in world.open if each.ran]
    ((sql, done),) = asked.ran
    assert b"max_connections" in sql
    assert asked not in asked.pool.idle, "nobody else may have it now"
    command = type("Command", (), {"error": error, "rows": rows, "is_cut": False})()
    done(asked, command)
    asked.ran.clear()
    asked.go_free()
    world.settle()


def row(*values: bytes) -> bytes:
    body = len(values).to_bytes(2)
    return body + b"".join(len(each).to_bytes(4) + each for each in values)


def test_at_a_watched_server_one_connection_is_left_to_the_node() -> None:
    world = World(limit=10)
    limits = world.limits()
    limits.is_watched = True
    world.manager.apply(limits)
    world.manager.note_limits(10, 2)
    assert world.manager.census.limit == 7


def test_the_limits_are_asked_for_again() -> None:
    world = World(limit=4)
    world.done(*world.clients(2))
    answered(world, [row(b"9", b"3", b"0", b"0")])
    assert world.manager.budget is not None
    assert (world.manager.budget.limit, len(world.open)) == (6, 2)


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([row(b"x", b"0", b"0", b"0")], None),
        ([], None),
        ([], b"SERROR\0C42501\0Mpermission denied\0\0"),
    ],
)
def test_a_connection_that_does_not_tell_them_is_not_kept(
    rows: list[bytes], error: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(limit=4)
    world.done(*world.clients(1))
    answered(world, rows, error)
    assert world.connections[0].reason == "it was retired"
    assert world.manager.budget is not None
    assert world.manager.budget.limit == 4, "what was told before holds"
    assert "The connection limits could not be read" in caplog.text


def test_they_are_asked_over_a_connection_as_new_ones_are_if_there_is_one() -> None:
    world = World(limit=4)
    world.done(world.client("alice"), world.client("bob"))
    one, other = world.connections
    one.settings = world.intern.settings((("work_mem", "1MB"),))
    world.manager.ask_limits()
    assert (len(one.ran), len(other.ran)) == (0, 1)
    other.settings = one.settings  # it is not idle any more, so the first has to do
    world.manager.ask_limits()
    assert [sql for sql, _ in one.ran] == [b"DISCARD ALL", other.ran[0][0]]


def test_where_nothing_is_idle_nothing_is_asked() -> None:
    world = World(limit=1)
    world.clients(1)
    world.manager.ask_limits()
    assert not world.connections[0].ran


# ---- counts ----


@pytest.mark.parametrize("name", ["size", "opening", "idle", "waiting", "in_demand"])
def test_a_count_that_is_wrong_is_noticed(name: str) -> None:
    world = World(limit=1)
    world.clients(2)
    census = world.manager.census
    setattr(census, name, getattr(census, name) + 1)
    with pytest.raises(AssertionError, match="counted, of"):
        world.manager.assert_counts()
    setattr(census, name, getattr(census, name) - 1)
    world.manager.servers.clear()
    with pytest.raises(AssertionError, match="0 idle \\+ 1 borrowed, of 0"):
        world.manager.assert_counts()


def test_micro_pools_nobody_uses_are_forgotten_and_counters_do_not_fall() -> None:
    world = World(limit=2)
    client = world.client("alice")
    world.done(client)
    world.done(world.client("bob"))
    borrowed = world.manager.record.tally(world.manager.pools.values()).borrows
    world.manager.forget_unused_pools()
    assert len(world.manager.pools) == 2
    client.pool.clients -= 1
    world.manager.retire_all()
    world.manager.forget_unused_pools()
    assert list(world.manager.pools) == [("shop", "bob")], "its client is still there"
    assert world.manager.record.tally(world.manager.pools.values()).borrows == borrowed > 0
    world.settle()
