"""What the log says of those who wait, and of those whom they wait for."""

import logging
from typing import Any, cast

import pytest

from forebay.net.connector import ConnectError
from forebay.worker.pool.watch import (
    IDLE_TRANSACTION_S,
    REFUSALS_S,
    WAIT_AGAIN_S,
    WAIT_S,
    Watch,
)
from tests.unit.worker.pool.pools import Client, World


class Place:
    """A proxy whose connections are watched over; `lines` is what the log has said since."""

    def __init__(self, caplog: pytest.LogCaptureFixture, limit: int = 1) -> None:
        self.world = World(limit)
        self.watch = Watch(self.world.manager)
        self.caplog = caplog
        caplog.set_level(logging.WARNING, "forebay.pool")

    @property
    def now(self) -> float:
        return self.world.clock.now()

    def lines(self) -> list[str]:
        said = [record.getMessage() for record in self.caplog.records]
        self.caplog.clear()
        return said

    def tell(self, borrow_timeout_s: float = 120.0) -> list[str]:
        self.watch.tell_waits(self.now, borrow_timeout_s)
        self.watch.tell_idle_transactions(self.now)
        return self.lines()

    def hold(self, count: int = 1) -> list[Client]:
        """Clients that are idle in a transaction each."""
        clients = self.world.clients(count)
        for client in clients:
            assert client.server is not None
            client.server.in_transaction, client.server.status = True, ord("T")
        return clients

    def refuse(self, *clients: Client) -> None:
        for client in clients:
            error = self.watch.timed_out(client.pool, self.now)
            self.world.manager.refuse(cast(Any, client), error)


@pytest.fixture
def place(caplog: pytest.LogCaptureFixture) -> Place:
    return Place(caplog)


def test_a_wait_is_told_when_it_has_lasted_and_again_when_it_goes_on(place: Place) -> None:
    place.hold()
    place.world.clients(2)
    place.world.pass_time(WAIT_S - 0.5)
    assert place.tell() == []
    place.world.pass_time(0.5)
    (line,) = place.tell()
    assert line.startswith("2 clients wait for a database connection, the first for 1.5 s (user")
    assert "The only database connection is held: 1 idle in transaction." in line
    place.world.pass_time(WAIT_AGAIN_S - 1)
    assert not [each for each in place.tell() if "wait" in each]
    place.world.pass_time(1)
    assert [each for each in place.tell() if "the first for 61.5 s" in each]


def test_with_a_short_borrow_timeout_it_is_told_at_half_of_it(place: Place) -> None:
    place.hold()
    place.world.client()
    place.world.pass_time(1)
    assert place.tell(borrow_timeout_s=2.5) == []
    place.world.pass_time(0.25)
    (line,) = place.tell(borrow_timeout_s=2.5)
    assert line.startswith("1 client waits for a database connection, the first for 1.2 s")


def test_why_nothing_could_be_opened_is_told_to_the_log_and_to_who_waited(place: Place) -> None:
    place.world.failures = [ConnectError("no route", transient=True) for _ in range(1000)]
    client = place.world.client()
    place.world.pass_time(WAIT_S)
    assert place.tell()[-1].endswith("The last opening failed: no route")
    error = place.watch.timed_out(client.pool, place.now)
    assert (error.sqlstate, error.detail) == ("08000", "no route")
    assert "forebay check" in (error.hint or "")


def test_who_waited_in_vain_learns_who_holds_the_connections(place: Place) -> None:
    place.hold()
    client = place.world.client()
    place.world.pass_time(10)
    error = place.watch.timed_out(client.pool, place.now)
    assert error.detail is not None
    first, second = error.detail.splitlines()
    assert first.startswith("The only database connection is held: 1 idle in transaction; 1 client")
    assert second == (
        'user "app", application "web": idle in transaction for 10.0 s, held for 10.0 s.'
    )
    assert (error.hint or "").startswith("Commit or roll back")
    stranger = place.watch.timed_out(place.world.pool("other"), place.now)
    assert "application" not in (stranger.detail or "")


def test_hundreds_at_one_moment_cost_one_survey(place: Place) -> None:
    place.hold()
    assert place.watch.survey(place.now) is place.watch.survey(place.now)
    assert place.watch.survey(place.now) is not place.watch.survey(place.now + 1)


def test_refusals_are_told_at_once_and_those_that_follow_together(place: Place) -> None:
    place.hold()
    clients = place.world.clients(4)
    place.refuse(clients[0])
    place.watch.tell_refusals(place.now)
    (line,) = place.lines()
    assert line.startswith("A client that waited for a database connection was refused after")
    assert "The only database connection is held" in line
    place.refuse(clients[1])
    place.world.pass_time(REFUSALS_S / 2)
    place.watch.tell_refusals(place.now)
    assert place.lines() == []
    place.refuse(clients[2])
    place.world.pass_time(REFUSALS_S / 2)
    place.watch.tell_refusals(place.now)
    (line,) = place.lines()
    assert line.startswith("2 clients that waited")
    place.refuse(clients[3])
    place.watch.tell_refusals(place.now, all_at_once=True)
    assert len(place.lines()) == 1
    place.watch.tell_refusals(place.now + 100)
    assert place.lines() == [], "there is nothing left to tell"


def test_a_refusal_is_told_with_who_held_the_connections_then(place: Place) -> None:
    (holder,) = place.hold()
    client = place.world.client()
    place.world.pass_time(10)
    place.refuse(client)
    place.world.done(holder)
    place.watch.tell_refusals(place.now)
    (record,) = place.caplog.records
    assert "1 idle in transaction" in record.getMessage()
    fields = vars(record)["fields"]
    assert fields["sqlstate"] == "08000"
    assert fields["refused"][0]["waited_s"] == 10.0
    assert fields["connections"]["held"] == 1
    assert fields["hint"].startswith("Commit or roll back")


def test_a_transaction_that_is_idle_for_long_is_told_once(place: Place) -> None:
    place.world.limit = 3
    talker, silent, between = place.hold(3)
    assert between.server is not None
    between.server.in_transaction = False
    place.world.pass_time(IDLE_TRANSACTION_S - 1)
    assert place.tell() == []
    place.world.pass_time(1)
    (line,) = place.tell()
    assert line.startswith("2 transactions have been idle for 60.0 s or more: [dbConnection=")
    place.world.pass_time(IDLE_TRANSACTION_S)
    assert place.tell() == []
    talker.last_progress = place.now  # it has said something
    place.world.pass_time(IDLE_TRANSACTION_S)
    (line,) = place.tell()
    assert line.startswith("A transaction has been idle for 60.0 s or more: ")
    assert talker.server is not None
    assert f"[dbConnection={talker.server.pid}]" in line
    assert silent.server is not None
