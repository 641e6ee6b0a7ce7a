"""Connections opened for the pool by a client's own login, and moving to another server."""

import dataclasses
import logging

import pytest

from forebay.net.connector import ConnectError
from forebay.protocol.errors import PgError, Severity
from forebay.worker.pool.openings import NODE_WARNS_S
from tests.unit.worker.clock import Gate
from tests.unit.worker.pool.pools import World

NO_ROUTE = ConnectError("no route", transient=True)
STARTING = PgError(Severity.FATAL, "57P03", "the database system is starting up")
WRONG_PASSWORD = PgError(Severity.FATAL, "28P01", "password authentication failed")


# ---- opening in a way of one's own ----


class Opening:
    """``open_now`` under way, stepped by hand."""

    def __init__(self, world: World, user: str = "app") -> None:
        self.world = world
        self.error: Exception | None = None
        self.is_over = False
        world.clock.spawn(self._open(user), "open a connection with a token")
        world.settle()

    async def _open(self, user: str) -> None:
        try:
            await self.world.manager.openings.open_now(self.world.pool(user), self.world._open)
        except (PgError, ConnectError) as error:
            self.error = error
        self.is_over = True


def test_there_is_room_until_the_limit_is_reached() -> None:
    world = World(limit=2)
    assert world.manager.has_room, "one is opened to ask"
    world.opening = Gate()
    opening = Opening(world)
    assert not world.manager.has_room, "it is not known yet whether there may be two"
    world.opening.open()
    world.settle()
    assert opening.is_over
    assert world.manager.has_room
    world.client("other")
    assert not world.manager.has_room


def test_what_was_opened_so_serves_who_waits_or_is_idle() -> None:
    world = World(limit=3)
    Opening(world)
    assert (world.manager.record.opened, len(world.pool().idle)) == (1, 1)
    client = world.client()
    assert (client.server, world.asked) == (world.connections[0], 1)


def test_one_that_fails_is_told_of_and_others_go_on() -> None:
    world = World(limit=1)
    world.opening = Gate()
    world.failures = [WRONG_PASSWORD]
    opening = Opening(world)
    waiting = world.client("other")
    assert waiting.server is None
    world.opening.open()
    world.settle()
    assert opening.error is WRONG_PASSWORD
    assert waiting.server is not None, "the room that was kept is another's"
    assert world.manager.record.failed == 0, "a client's token was wrong, not the database's fault"
    assert world.manager.openings.last_error(world.pool()) is None


def test_one_that_fails_when_the_limit_is_known_leaves_its_room() -> None:
    world = World(limit=2)
    first = world.client("first")
    world.opening = Gate()
    world.failures = [WRONG_PASSWORD]
    opening = Opening(world)
    waiting = world.client("other")
    assert (waiting.server, world.manager.has_room) == (None, False)
    world.opening.open()
    world.settle()
    assert opening.error is WRONG_PASSWORD
    assert waiting.server is not None
    assert first.server is not None


def test_a_connection_that_works_ends_the_pause_after_a_failure() -> None:
    world = World()
    world.failures = [WRONG_PASSWORD]
    client = world.client()
    assert client.error is not None
    assert world.manager.openings.last_error(world.pool()) is not None
    Opening(world)
    assert world.manager.openings.last_error(world.pool()) is None
    assert world.client().server is not None


def test_retired_while_it_was_being_opened_it_serves_nobody() -> None:
    world = World()
    world.opening = Gate()
    Opening(world)
    world.manager.retire_all()
    world.opening.open()
    world.settle()
    assert world.open == []


# ---- what is told of failures ----


@pytest.mark.parametrize(
    ("is_watched", "failure", "levels"),
    [
        (False, NO_ROUTE, {"WARNING"}),
        (True, NO_ROUTE, {"INFO"}),  # the node warns
        (True, STARTING, {"INFO"}),
        (True, WRONG_PASSWORD, {"WARNING"}),  # which says nothing of the server
    ],
)
def test_who_warns_of_a_server_that_is_away(
    is_watched: bool, failure: Exception, levels: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "forebay.pool")
    world = World()
    world.manager.apply(dataclasses.replace(world.limits(), is_watched=is_watched))
    world.failures = [failure, failure]
    world.client("one")
    world.client("two")
    told = [each for each in caplog.records if "could not be opened" in each.getMessage()]
    assert len(told) == 2
    assert {each.levelname for each in told} == levels


def test_of_what_the_node_does_not_notice_the_worker_warns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "forebay.pool")
    world = World()
    world.manager.apply(dataclasses.replace(world.limits(), is_watched=True))
    world.failures = [NO_ROUTE] * 100
    world.client()
    for _ in range(50):
        world.pass_time(NODE_WARNS_S / 10)
    told = [each.levelname for each in caplog.records if "could not be op" in each.getMessage()]
    assert told[0] == "INFO"
    assert told[-1] == "WARNING"


# ---- another database server ----


def test_connections_to_the_server_before_go_as_they_come_free() -> None:
    world = World(limit=3)
    busy, idle = world.clients(2)
    world.done(idle)
    world.manager.move()
    world.settle()
    assert [each.is_closed for each in world.connections] == [False, True]
    assert busy.server is not None
    world.done(busy)
    assert world.open == []
    assert world.client().server is world.connections[2]


def test_what_the_server_before_has_refused_the_next_is_asked_for() -> None:
    world = World()
    world.failures = [WRONG_PASSWORD]
    assert world.client().error is not None
    world.manager.move()
    assert world.manager.openings.last_error(world.pool()) is None
    assert world.client().server is not None


def test_a_pause_after_the_server_before_did_not_answer_is_over() -> None:
    world = World()
    world.failures = [NO_ROUTE]
    client = world.client()
    assert client.server is None
    world.manager.move()
    world.manager.probe(world.pool())
    world.settle()
    assert client.server is not None


def test_the_limits_are_the_new_servers() -> None:
    world = World(limit=10)
    world.done(world.client())
    world.manager.move()
    world.limit = 1
    world.manager.apply(world.limits(percent=50))
    assert world.manager.budget is not None
    assert world.manager.budget.max_connections == 10, "nothing else is known yet"
    world.clients(3)
    assert world.manager.budget.max_connections == 1
    assert world.manager.census.limit == 1
