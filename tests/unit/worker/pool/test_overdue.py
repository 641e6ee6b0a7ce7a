"""Requests that take too long, and transactions that are idle for too long."""

import logging
from typing import Any, cast

import pytest

from forebay.worker.pool.overdue import GRACE_S, Overdue
from tests.unit.worker.pool.pools import Client, Connection, World
from tests.unit.worker.pool.test_groups import settings

TIMEOUT_S = 10.0


class Place:
    """Two clients with a connection each."""

    def __init__(self, **timeouts: float) -> None:
        self.world = World(limit=4)
        self.world.manager.groups.apply(settings(**timeouts))
        self.overdue = Overdue(self.world.manager._agenda, self.world.manager)
        self.client, self.other = self.world.clients(2)

    @property
    def server(self) -> Connection:
        assert self.client.server is not None
        return self.client.server

    def asks(self, client: Client | None = None) -> None:
        server = (client or self.client).server
        assert server is not None
        server.asked_at = self.world.clock.now()
        server.ledger.count = 1

    def is_answered(self, status: str = "T") -> None:
        self.server.asked_at = 0.0
        self.server.ledger.count = 0
        self.server.in_transaction, self.server.status = status != "I", ord(status)
        self.client.last_active = self.world.clock.now()

    def after(self, duration_s: float) -> list[Connection]:
        """What was cancelled when so much time has passed."""
        self.world.clock.pass_time(duration_s)
        self.overdue.look(self.world.clock.now())
        self.world.clock.run()
        return [server for server, _ in self.world.cancelled]


@pytest.fixture
def slow() -> Place:
    return Place(query_timeout=TIMEOUT_S)


@pytest.fixture
def idle() -> Place:
    place = Place(idle_transaction_timeout=TIMEOUT_S)
    place.is_answered()
    return place


class TestRequests:
    def test_one_is_cancelled_once_when_its_time_is_over(self, slow: Place) -> None:
        slow.asks()
        assert slow.after(TIMEOUT_S - 0.1) == []
        assert slow.after(0.1) == [slow.server]
        assert slow.after(1) == [slow.server], "not again"
        assert slow.client.error is None

    def test_what_is_cancelled_is_that_request_and_no_later_one(self, slow: Place) -> None:
        slow.asks()
        slow.after(TIMEOUT_S)
        ((_, is_meant),) = slow.world.cancelled
        assert is_meant()
        slow.is_answered()
        assert not is_meant()
        slow.world.clock.pass_time(1)
        slow.asks()
        assert not is_meant(), "it is another request by now"
        slow.server.is_closed = True
        assert not is_meant()

    def test_while_it_is_on_its_way_the_next_request_waits(self, slow: Place) -> None:
        """If it cannot be delivered that is over, too."""
        in_flight: list[int] = []

        async def cancel(server: Connection, is_meant: object) -> None:
            in_flight.append(server.timeouts_in_flight)
            raise ValueError("it cannot be delivered")

        slow.world.manager.cancel = cast(Any, cancel)
        slow.asks()
        with pytest.raises(ValueError, match="it cannot"):
            slow.after(TIMEOUT_S)
        assert (in_flight, slow.server.timeouts_in_flight) == ([1], 0)

    def test_the_next_one_has_its_own_time(self, slow: Place) -> None:
        slow.asks()
        slow.after(TIMEOUT_S)
        slow.is_answered()
        slow.world.clock.pass_time(GRACE_S + TIMEOUT_S)
        slow.asks()
        assert len(slow.after(TIMEOUT_S - 0.1)) == 1
        assert len(slow.after(0.2)) == 2

    def test_one_that_does_not_end_costs_the_connection(self, slow: Place) -> None:
        slow.asks()
        server = slow.server
        slow.after(TIMEOUT_S)
        slow.after(GRACE_S - 0.1)
        assert not server.is_closed
        slow.after(0.1)
        assert (server.is_closed, server.reason) == (True, "query timeout")
        error = slow.client.error
        assert error is not None
        assert (error.severity.value, error.sqlstate, error.message) == (
            *("FATAL", "57014"),
            "query timeout",
        )
        assert slow.other.error is None

    def test_unless_it_is_the_client_for_whom_the_database_waits(self, slow: Place) -> None:
        slow.asks()
        slow.client.is_stalled = True
        slow.after(TIMEOUT_S)
        assert slow.after(10 * GRACE_S) == [slow.server]
        assert slow.client.error is None
        slow.client.is_stalled = False
        slow.after(GRACE_S - 0.1)
        assert slow.client.error is None, "the database hears of the cancelling only now"
        slow.after(0.1)
        assert slow.client.error is not None

    def test_who_waits_or_has_nothing_at_the_database_is_not_looked_at(self, slow: Place) -> None:
        slow.is_answered()
        slow.server.asked_at = 1.0  # it has begun a batch, and the database is done with that
        assert slow.after(100 * TIMEOUT_S) == []
        slow.is_answered("I")
        slow.client.done()
        slow.world.clients(4)
        assert slow.after(100 * TIMEOUT_S) == []


class TestTransactions:
    @pytest.mark.parametrize("status", ["T", "E"])
    def test_an_idle_one_ends_with_its_client_and_the_connection_goes_on(
        self, idle: Place, status: str
    ) -> None:
        idle.is_answered(status)
        server = idle.server
        idle.after(TIMEOUT_S - 0.1)
        assert idle.client.error is None
        idle.after(0.1)
        error = idle.client.error
        assert error is not None
        assert (error.severity.value, error.sqlstate) == ("FATAL", "25P03")
        assert error.message == "idle transaction timeout"
        assert not server.is_closed

    def test_who_says_something_meanwhile_begins_anew(self, idle: Place) -> None:
        idle.after(TIMEOUT_S - 0.1)
        idle.is_answered()
        idle.after(TIMEOUT_S - 0.1)
        assert idle.client.error is None

    @pytest.mark.parametrize("state", ["asks", "busy", "stalled", "outside"])
    def test_who_is_not_idle_in_one_is_let_be(self, idle: Place, state: str) -> None:
        if state == "asks":
            idle.asks()
        idle.client.is_busy = state == "busy"
        idle.client.is_stalled = state == "stalled"
        if state == "outside":
            idle.is_answered("I")
            idle.client.pinned = True
        idle.after(100 * TIMEOUT_S)
        assert idle.client.error is None


def test_the_log_tells_of_many_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "forebay.pool")
    place = Place(query_timeout=TIMEOUT_S)
    place.asks()
    place.world.clock.pass_time(1)
    place.asks(place.other)
    assert place.other.server is not None
    place.other.last_progress += 1
    place.other.server.lent_at += 1
    assert len(place.after(TIMEOUT_S)) == 2
    (record,) = caplog.records
    assert record.getMessage() == (
        "Requests are cancelled, as query_timeout is over:"
        ' [dbConnection=4711] user "app", database "shop", application "web", client on a Unix'
        " socket: active for 11.0 s, held for 11.0 s;"
        ' [dbConnection=4712] user "app", database "shop", application "web", client on a Unix'
        " socket: active for 10.0 s, held for 10.0 s"
    )


def test_without_timeouts_nothing_is_looked_at() -> None:
    place = Place()
    place.asks()
    place.is_answered()
    assert place.after(1e6) == []
    assert place.client.error is None
