"""How a client changes to the connections of another database server."""

from collections.abc import Iterator

import pytest

from forebay.relay import Census, MicroPool
from tests.unit.relay.fakes import Changeover, Manager
from tests.unit.relay.loopback import FarClient, FarDatabase, Loopback

RESULT = "Result, Ready I"


class Two(Loopback):
    """Two servers: `database` opens connections to the one that `pool` is of."""

    def __init__(self) -> None:
        super().__init__()
        self.here = self.pool
        self.there = MicroPool("app", "app", Census(), Manager(), Changeover())

    def client_here(self) -> FarClient:
        self.pool = self.here
        far = self.client()
        self.here.note_clients(1)
        return far

    def database_there(self) -> FarDatabase:
        self.pool = self.there
        try:
            return self.database()
        finally:
            self.pool = self.here


@pytest.fixture
def two() -> Iterator[Two]:
    with Two() as made:
        yield made
    assert made.there.size == made.there.waiting == made.there.borrowed == 0


def test_who_is_idle_asks_there_from_then_on(two: Two) -> None:
    old, client = two.database(), two.client_here()
    client.asks("Query 'SELECT 1'", old, RESULT)
    new = two.database_there()
    assert client.peer.move(two.there)
    assert (two.here.clients, two.there.clients) == (0, 1)
    client.asks("Query 'SELECT 2'", new, RESULT)
    old.gets("")
    assert new.is_idle


def test_who_has_a_connection_stays(two: Two) -> None:
    old, client = two.database(), two.client_here()
    new = two.database_there()
    client.asks("Query BEGIN", old, "CommandComplete BEGIN, Ready T")
    assert not client.peer.move(two.there)
    assert client.peer.pool is two.here
    assert (two.here.clients, two.there.clients) == (1, 0)
    client.asks("Query COMMIT", old, "CommandComplete COMMIT, Ready I")
    assert client.peer.move(two.there)
    client.asks("Query 'SELECT 2'", new, RESULT)


def test_who_waits_is_served_at_once_where_a_connection_is_idle(two: Two) -> None:
    client = two.client_here()
    client.sends("Query 'SELECT 1'")
    assert client.peer.is_waiting
    new = two.database_there()
    assert client.peer.move(two.there)
    assert two.here.waiting == two.there.waiting == 0
    new.answers("Query 'SELECT 1'", RESULT)
    client.gets(RESULT)
    assert two.there.census.waits.count == 1


def test_who_waits_goes_on_waiting_by_its_time(two: Two) -> None:
    first, second = two.client_here(), two.client_here()
    for client in (first, second):
        client.sends("Query 'SELECT 1'")
    places = [each.peer.place for each in (first, second)]
    assert None not in places
    since = [each.waits_since for each in places if each is not None]
    assert second.peer.move(two.there)
    assert first.peer.move(two.there)
    place = two.there.first_waiter
    found = []
    while place is not None:
        found.append(place.waits_since)
        place = place.waits_before
    assert found == sorted(since)
    new = two.database_there()
    new.answers("Query 'SELECT 1'", RESULT)
    new.answers("Query 'SELECT 1'", RESULT)
    for client in (first, second):
        client.gets(RESULT)


def test_nobody_is_lent_what_is_held_back(two: Two) -> None:
    client = two.client_here()
    client.sends("Query 'SELECT 1'")
    new = two.database_there()
    two.there.held_back = True
    assert client.peer.move(two.there)
    assert client.peer.is_waiting
    new.gets("")


def test_a_cancel_and_an_error_find_who_has_moved(two: Two) -> None:
    client = two.client_here()
    client.sends("Query 'SELECT 1'")
    assert client.peer.move(two.there)
    client.peer.refuse(b"E\x00\x00\x00\x05\x00")
    two.settle()
    assert not client.peer.is_waiting
    assert two.there.waiting == 0


def test_who_has_ended_moves_nowhere(two: Two) -> None:
    client = two.client_here()
    client.sends("Terminate")
    assert not client.peer.move(two.there)
