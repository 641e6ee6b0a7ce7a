"""What is known of all clients of one application."""

import pytest

from forebay.relay import Application
from tests.unit.relay.ledgers import interpreted
from tests.unit.relay.loopback import Loopback


@pytest.mark.parametrize("kind", [Application, interpreted("application").Application])
def test_nothing_is_known_at_first(kind: type[Application]) -> None:
    assert kind().asks is False


@pytest.mark.parametrize("strict", [False, True])
def test_all_is_read_of_its_clients_once_one_has_asked(loopback: Loopback, strict: bool) -> None:
    loopback.sessions.applications.application.asks = True
    loopback.database()
    client = loopback.client(strict=strict)
    client.sends("Query 'SELECT 1'")
    assert client.peer.reads_all is not strict
    assert loopback.sessions.texts.of("examine") == ([] if strict else [b"SELECT 1"])


def test_nothing_harmless_is_read_before(loopback: Loopback) -> None:
    loopback.database()
    client = loopback.client()
    client.sends("Query 'SELECT 1'")
    assert not client.peer.reads_all
    assert loopback.sessions.texts.told == []


def test_its_clients_begin_with_a_connection_that_remembers_nothing() -> None:
    """So do all that begin; who asks, also later on."""
    with Loopback(forgets=False) as loopback:
        database = loopback.database()
        first, second = loopback.client(), loopback.client()
        first.asks("Query 'SELECT 1'", database, "Result, Ready I")
        second.sends("Query 'SELECT 2'")
        database.answers("Forget, Query 'SELECT 2'", "Forgotten, Result, Ready I")
        first.asks("Query 'SELECT 3'", database, "Result, Ready I")
        loopback.sessions.applications.application.asks = True
        second.sends("Query 'SELECT 4'")
        database.gets("Forget, Query 'SELECT 4'")
