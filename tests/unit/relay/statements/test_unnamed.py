"""The unnamed prepared statement over shared connections."""

import pytest

from forebay.protocol.messages import message
from tests.playbooks import wording
from tests.unit.relay.fakes import Parameters
from tests.unit.relay.loopback import FarClient, FarDatabase, Loopback

DONE = "ParseComplete, Ready I"
RESULT = "BindComplete, CommandComplete 'SELECT 1', Ready I"


@pytest.fixture
def ends(loopback: Loopback) -> tuple[FarDatabase, FarClient, FarClient]:
    """A connection and two clients, the first of which has prepared SELECT 1 without a name."""
    database, client, other = loopback.database(), loopback.client(), loopback.client()
    client.asks("Parse '' 'SELECT 1', Sync", database, DONE)
    return database, client, other


def test_it_passes_as_it_is(ends: tuple[FarDatabase, FarClient, FarClient]) -> None:
    database, client, _ = ends
    client.asks("Bind, Execute, Sync", database, RESULT)
    client.asks("Describe S, Sync", database, "ParameterDescription, RowDescription a, Ready I")
    client.asks("Close S, Sync", database, "CloseComplete, Ready I")


def test_where_another_client_has_its_own_it_is_prepared_again(
    ends: tuple[FarDatabase, FarClient, FarClient],
) -> None:
    database, client, other = ends
    other.asks("Parse '' 'SELECT 2', Sync", database, DONE)
    client.sends("Bind, Execute, Sync")
    database.answers("Parse '' 'SELECT 1', Bind, Execute, Sync", f"ParseComplete, {RESULT}")
    client.gets(RESULT)
    other.sends("Bind, Execute, Sync")
    database.answers("Parse '' 'SELECT 2', Bind, Execute, Sync", f"ParseComplete, {RESULT}")
    other.gets(RESULT)


def test_a_simple_query_ends_it(ends: tuple[FarDatabase, FarClient, FarClient]) -> None:
    database, client, _ = ends
    client.asks("Query 'SELECT 3'", database, "Result, Ready I")
    client.sends("Bind, Execute, Sync")
    database.gets("Describe S _forebay_0, Execute, Sync")
    database.sends("Error 26000 'no such statement', Ready I")
    told = client.received()
    assert b"C26000\0Munnamed prepared statement does not exist\0" in told


def test_anothers_simple_query_does_not(
    ends: tuple[FarDatabase, FarClient, FarClient],
) -> None:
    database, client, other = ends
    other.asks("Query 'SELECT 3'", database, "Result, Ready I")
    client.sends("Bind, Sync")
    database.gets("Parse '' 'SELECT 1', Bind, Sync")


def test_who_has_none_gets_an_error_and_not_anothers(
    ends: tuple[FarDatabase, FarClient, FarClient],
) -> None:
    database, _, other = ends
    other.sends("Bind, Sync")
    database.answers("Describe S _forebay_0, Sync", "Error 26000 'none', Ready I")
    other.gets("Error 26000, Ready I")


def test_what_is_too_long_to_be_kept_keeps_its_connection_until_it_is_bound(
    loopback: Loopback,
) -> None:
    database, client = loopback.database(), loopback.client()
    long = message(b"P", b"\0SELECT " + b"1 + " * 50_000 + b"1\0\0\0")
    client.transmits(long)
    assert database.received() == long
    client.sends("Sync")
    database.answers("Sync", DONE)
    client.gets(DONE)
    assert database.serves(client)
    client.asks("Bind, Execute, Sync", database, RESULT)
    assert database.is_idle


def test_another_connection_that_would_return_something_else_is_found_out(
    loopback: Loopback,
) -> None:
    other, database = loopback.database(), loopback.database()
    client, occupant = loopback.client(), loopback.client()
    client.asks(
        "Parse '' 'SELECT * FROM t', Describe S, Sync",
        database,
        "ParseComplete, ParameterDescription, RowDescription a, Ready I",
    )
    occupant.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.sends("Bind, Execute, Sync")
    other.answers(
        "Parse '' 'SELECT * FROM t', Describe S, Flush",
        "ParseComplete, ParameterDescription, RowDescription a b",
    )
    other.gets("Parse _forebay_0 'SELECT _forebay_0', Execute, Sync")
    other.sends("Error 42703 'no column', Ready I")
    client.gets("Error 0A000, Ready I")


@pytest.mark.parametrize("again", [b"SELECT read\0\0\0", None])
def test_where_texts_are_read_otherwise_it_is_written_anew(
    loopback: Loopback, again: bytes | None
) -> None:
    database, client = loopback.database(), loopback.client()
    client.asks("Parse '' 'SELECT 1', Sync", database, DONE)
    database.peer.shut("another is to be used")
    loopback.sessions.texts.reread_is = again
    other = loopback.database(parameters=Parameters({"standard_conforming_strings": "off"}))
    client.sends("Bind, Sync")
    if again is not None:
        other.gets("Parse '' 'SELECT read', Bind, Sync")
    else:
        other.gets("Describe S _forebay_0, Sync")
    assert loopback.sessions.texts.of("reread") == [b"SELECT 1\0\0\0"]


def test_what_changes_the_session_is_told_when_it_is_bound_again(
    ends: tuple[FarDatabase, FarClient, FarClient], loopback: Loopback
) -> None:
    database, client, other = ends
    client.asks("Parse '' 'SET x = 1', Sync", database, DONE)
    other.asks("Parse '' 'SELECT 2', Sync", database, DONE)
    client.sends("Bind, Sync")
    assert loopback.sessions.texts.of("binds") == [b"SET x = 1"]
    assert database.received().startswith(wording.encode("Parse '' 'SET x = 1'"))


def test_described_where_another_has_its_own_it_is_prepared_again(
    ends: tuple[FarDatabase, FarClient, FarClient],
) -> None:
    database, client, other = ends
    other.asks("Parse '' 'SELECT 2', Sync", database, DONE)
    client.sends("Describe S, Sync")
    database.answers(
        "Parse '' 'SELECT 1', Describe S, Sync",
        "ParseComplete, ParameterDescription, RowDescription a, Ready I",
    )
    client.gets("ParameterDescription, RowDescription a, Ready I")


def test_what_an_earlier_batch_makes_of_it_is_waited_for(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Parse '' 'SELECT 1', Sync, Bind, Execute, Sync")
    database.answers("Parse '' 'SELECT 1', Sync", "ParseComplete")
    database.gets("Bind, Execute, Sync")


def test_what_a_portal_was_described_as_counts_for_it(loopback: Loopback) -> None:
    other, database = loopback.database(), loopback.database()
    client, occupant = loopback.client(), loopback.client()
    client.asks(
        "Parse '' 'SELECT * FROM t', Bind, Describe P, Sync",
        database,
        "ParseComplete, BindComplete, RowDescription a, Ready I",
    )
    occupant.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.sends("Bind, Sync")
    other.answers(
        "Parse '' 'SELECT * FROM t', Describe S, Flush",
        "ParseComplete, ParameterDescription, RowDescription a",
    )
    other.gets("Bind, Sync")


def test_what_a_command_of_forebays_makes_of_it_is_waited_for(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.asks("Parse '' 'SELECT 1', Sync", database, "ParseComplete, Ready T")
    database.peer.run(b"SHOW x", None)
    client.sends("Sync, Bind, Execute, Sync")
    database.answers("Query 'SHOW x', Sync", "CommandComplete SHOW, Ready T")
    database.gets("Parse '' 'SELECT 1', Bind, Execute, Sync")


def test_elsewhere_it_has_the_types_that_the_client_was_told(loopback: Loopback) -> None:
    other, database = loopback.database(), loopback.database()
    client, occupant = loopback.client(), loopback.client()
    client.asks(
        "Parse '' 'SELECT $1', Describe S, Sync",
        database,
        "ParseComplete, ParameterDescription 23, NoData, Ready I",
    )
    occupant.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.sends("Bind, Sync")
    other.gets("Parse '' 'SELECT $1' 23, Describe S, Flush")
