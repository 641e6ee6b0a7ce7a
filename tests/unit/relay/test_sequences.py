"""What a session remembers of sequences is told to nobody but who has drawn it."""

from collections.abc import Iterator

import pytest

from forebay.protocol.messages import query
from tests.unit.relay.fakes import AUDIT
from tests.unit.relay.loopback import FarClient, FarDatabase, Loopback

RESULT = "Result, Ready I"
ASKS = "SELECT lastval()"
QUERY = f"Query '{ASKS}'"
AUDITED = f"Query '{AUDIT.decode()}'"
NOT_DRAWN = "Error 55000 'lastval is not yet defined in this session' lastval"


@pytest.fixture
def showing() -> Iterator[Loopback]:
    """What databases are told to forget shows."""
    with Loopback(forgets=False) as loopback:
        loopback.sessions.texts.asking.add(ASKS.encode())
        yield loopback


@pytest.fixture
def ends(showing: Loopback) -> tuple[FarDatabase, FarClient, FarClient]:
    """A connection which both of two clients have used; the second was there last."""
    database, first, second = showing.database(), showing.client(), showing.client()
    first.asks("Query 'SELECT 1'", database, RESULT)
    second.sends("Query 'SELECT 2'")
    database.answers("Forget, Query 'SELECT 2'", f"Forgotten, {RESULT}")
    second.gets(RESULT)
    return database, first, second


def test_who_asks_where_others_have_been_waits_until_that_is_forgotten(
    ends: tuple[FarDatabase, FarClient, FarClient],
) -> None:
    database, client, _ = ends
    client.sends(QUERY)
    database.answers("Forget", "Forgotten")
    database.answers(QUERY, RESULT)
    client.gets(RESULT)


def test_within_a_batch_it_is_part_of_the_batch(
    ends: tuple[FarDatabase, FarClient, FarClient],
) -> None:
    database, client, _ = ends
    client.sends(f"Parse '' '{ASKS}', Bind, Execute, Sync")
    database.gets(f"Parse '' '{ASKS}', WithinForget")
    database.sends("ParseComplete, WithinForgotten")
    client.gets("ParseComplete")
    database.gets("Bind, Execute, Sync")


def test_who_has_drawn_last_is_told_at_once(
    ends: tuple[FarDatabase, FarClient, FarClient],
) -> None:
    database, _, client = ends
    client.sends(QUERY)
    database.gets(QUERY)


def test_who_does_not_ask_does_not_wait(
    ends: tuple[FarDatabase, FarClient, FarClient],
) -> None:
    database, client, _ = ends
    client.asks("Query 'SELECT 3'", database, RESULT)


def test_a_statement_that_is_too_long_to_be_read_may_ask(
    ends: tuple[FarDatabase, FarClient, FarClient],
) -> None:
    database, client, _ = ends
    client.transmits(query(f"SELECT {'1 + ' * 50_000}1")[:100_000])
    database.gets("Forget")


def test_a_hint_says_why_nothing_is_remembered(
    ends: tuple[FarDatabase, FarClient, FarClient],
) -> None:
    database, client, _ = ends
    client.sends(QUERY)
    database.answers("Forget", "Forgotten")
    database.answers(QUERY, f"{NOT_DRAWN}, Ready I")
    told = client.received()
    assert b"\0HWhat this client has drawn" in told
    assert b"From now on clients with this database" in told


def test_who_is_strict_does_not_keep_its_connection_and_is_not_told_so(showing: Loopback) -> None:
    database, other = showing.database(), showing.client()
    client = showing.client(strict=True)
    other.asks("Query 'SELECT 1'", database, RESULT)
    client.sends("Query 'SELECT 2'")
    database.answers("Forget, Query 'SELECT 2'", f"Forgotten, {RESULT}")
    client.gets(RESULT)
    other.asks("Query 'SELECT 1'", database, RESULT)
    client.sends(QUERY)
    database.answers("Forget", "Forgotten")
    database.answers(QUERY, f"{NOT_DRAWN}, Ready I")
    assert b"\0HWhat this client has drawn" in (told := client.received())
    assert b"Ask in the transaction that has drawn" in told
    assert b"From now on" not in told


def test_who_has_drawn_nowhere_else_gets_the_error_as_it_is(showing: Loopback) -> None:
    database, client = showing.database(), showing.client()
    client.asks(QUERY, database, f"{NOT_DRAWN}, Ready I")


def test_a_connection_that_cannot_forget_is_of_no_use(
    showing: Loopback, ends: tuple[FarDatabase, FarClient, FarClient]
) -> None:
    database, client, _ = ends
    client.sends(QUERY)
    for _ in range(5):
        database.answers("Forget", "Error 0A000 'not supported', Ready I")
    database.gets("Terminate")
    client.gets("")
    another = showing.database()
    another.answers(QUERY, RESULT)
    client.gets(RESULT)


def test_a_statement_with_a_name_that_asks_waits_too(showing: Loopback) -> None:
    asks = "SELECT lastval(), set_config('a', 'b', false)"
    showing.sessions.texts.asking.add(asks.encode())
    database, client, other = showing.database(), showing.client(), showing.client()
    client.sends(f'Parse one "{asks}", Sync')
    database.answers(f'Parse _forebay_# "{asks}", Sync', "ParseComplete, Ready I")
    client.received()
    other.sends("Query 'SELECT 2'")
    database.answers("Forget, Query 'SELECT 2'", f"Forgotten, {RESULT}")
    client.sends("Bind one, Execute, Sync")
    database.answers("WithinForget", "WithinForgotten")
    database.gets("Bind _forebay_#, Execute, Sync")


@pytest.mark.parametrize("status", ["T", "E"])
def test_in_an_aborted_transaction_nothing_is_told_anyway(
    ends: tuple[FarDatabase, FarClient, FarClient], status: str
) -> None:
    database, client, _ = ends
    client.asks("Query BEGIN", database, f"CommandComplete BEGIN, Ready {status}")
    client.sends(QUERY)
    database.gets("Forget" if status == "T" else QUERY)
