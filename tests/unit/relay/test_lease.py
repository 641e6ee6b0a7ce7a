"""One borrow of a database connection."""

from forebay.protocol.messages import query
from tests.unit.relay.loopback import Loopback

RESULT = "Result, Ready I"


def test_each_borrow_is_one(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    nobodys = database.peer.lease
    assert (nobodys.begun_at, database.peer.lent_at) == (0.0, 0.0)
    client.asks("Query 'SELECT 1'", database, RESULT)
    first = database.peer.lease
    assert first is not nobodys
    assert first.begun_at == database.peer.lent_at > 0
    client.asks("Query 'SELECT 2'", database, RESULT)
    assert database.peer.lease is not first


def test_one_lasts_as_long_as_its_transaction(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    lease = database.peer.lease
    client.asks("Query 'SELECT 1'", database, "Result, Ready T")
    client.asks("Query COMMIT", database, "CommandComplete COMMIT, Ready I")
    assert database.peer.lease is lease


def test_what_its_client_has_left_is_cleaned_under_the_same(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    lease = database.peer.lease
    client.leaves()
    database.gets("Query ROLLBACK")
    assert database.peer.lease is lease


def test_what_was_discarded_of_sequences_is_counted_for_it_alone(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    discarded = "CommandComplete 'DISCARD SEQUENCES', Ready T"
    for _ in range(2):
        client.asks("Query 'SELECT 1'", database, discarded)
    assert database.peer.lease.sequences_discarded == 2
    client.asks("Query COMMIT", database, "CommandComplete COMMIT, Ready I")
    client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    assert database.peer.lease.sequences_discarded == 0


def test_a_connection_cannot_be_rolled_back_twice_under_one(loopback: Loopback) -> None:
    """... but again under the next."""
    database = loopback.database()
    for client in (loopback.client(), loopback.client()):
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.leaves()
        database.answers("Query ROLLBACK", "CommandComplete ROLLBACK, Ready I")
    assert database.is_idle


def test_what_follows_a_turn_is_part_of_it(loopback: Loopback) -> None:
    """Its client goes on when that is over, whatever is answered before."""
    database, client = loopback.database(), loopback.client()
    client.peer.follow_up = (query("SET x"), b"")
    client.sends("Query 'RESET ALL', Query 'SELECT 1'")
    database.answers("Query 'RESET ALL'", "CommandComplete RESET")
    database.gets("")
    database.sends("Ready I")
    database.answers("Query 'SET x'", "CommandComplete SET")
    database.gets("")
    database.sends("Ready I")
    database.answers("Query 'what does the session hold?'", "HoldsNothing, Ready I")
    database.gets("Query 'SELECT 1'")
