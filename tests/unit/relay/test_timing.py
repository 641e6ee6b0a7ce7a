"""When requests and transactions begin and end, and what is counted of them."""

from forebay.protocol.messages import query
from tests.playbooks import wording
from tests.unit.relay.loopback import FarClient, Loopback

RESULT = "Result, Ready I"


def begun(client: FarClient) -> tuple[bool, bool, bool]:
    """Whether a request of the client has begun; at the database; a transaction there."""
    peer, server = client.peer, client.peer.server
    at_database = (
        (False, False) if server is None else (bool(server.asked_at), bool(server.transaction_at))
    )
    return (bool(peer.asked_at), *at_database)


def test_a_request_begins_and_ends(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Query 'SELECT 1'")
    assert begun(client) == (True, True, True)
    database.answers("Query 'SELECT 1'", RESULT)
    assert begun(client) == (False, False, False)
    tally, census = loopback.pool.tally, loopback.pool.census
    assert (tally.queries, tally.transactions, tally.queries_tls) == (1, 1, 0)
    assert census.queries.count == census.database.count == 1
    assert tally.query_s > 0
    assert tally.transaction_s > 0


def test_a_transaction_lasts_over_several(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    assert begun(client) == (False, False, True)
    client.asks("Query 'SELECT 1'", database, "Result, Ready T")
    client.asks("Query COMMIT", database, "CommandComplete COMMIT, Ready I")
    assert (loopback.pool.tally.queries, loopback.pool.tally.transactions) == (3, 1)
    assert loopback.pool.tally.transaction_s >= loopback.pool.tally.query_s


def test_a_batch_is_one_request(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    batch = "Parse '' 'SELECT 1', Bind '' '', Execute '', Sync"
    client.sends(batch)
    database.answers(batch, "ParseComplete, BindComplete, DataRow x, CommandComplete 'SELECT 1'")
    assert begun(client) == (True, True, True)
    database.sends("Ready I")
    assert loopback.pool.tally.queries == loopback.pool.census.queries.count == 1


def test_in_a_pipeline_each_begins_when_the_one_before_is_answered(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Query 'SELECT 1', Query 'SELECT 2'")
    first = client.peer.server.asked_at
    database.answers("Query 'SELECT 1', Query 'SELECT 2'", RESULT)
    assert client.peer.server.asked_at >= first > 0
    assert client.peer.asked_at > 0
    database.sends(RESULT)
    client.gets(f"{RESULT}, {RESULT}")
    assert begun(client) == (False, False, False)
    assert loopback.pool.tally.queries == loopback.pool.tally.transactions == 2


def test_the_wait_for_a_connection_is_part_of_the_request(loopback: Loopback) -> None:
    client = loopback.client()
    client.sends("Query 'SELECT 1'")
    assert begun(client) == (True, False, False)
    asked_at = client.peer.asked_at
    database = loopback.database()
    assert client.peer.asked_at == asked_at
    database.answers("Query 'SELECT 1'", RESULT)
    census = loopback.pool.census
    assert census.queries.sum_us >= census.database.sum_us
    assert census.waits.count == 1


def test_a_lone_sync_is_no_request(loopback: Loopback) -> None:
    client = loopback.client()
    client.sends("Sync")
    client.gets("Ready I")
    assert begun(client) == (False, False, False)
    assert loopback.pool.tally.queries == 0


def test_one_behind_a_lone_sync_is_timed(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Sync, Query 'SELECT 1'")
    database.answers("Query 'SELECT 1'", RESULT)
    assert loopback.pool.census.queries.count == loopback.pool.tally.queries == 1


def test_what_has_no_answer_is_no_request(loopback: Loopback) -> None:
    """What a client still sends of a COPY that has failed. It is in a transaction, and may think
    for long about what to do next."""
    database, client = loopback.database(), loopback.client()
    client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    copy = "Query 'COPY t FROM STDIN'"
    client.sends(copy)
    database.answers(copy, "CopyInResponse, Error 22P02 bad, Ready E")
    client.sends("CopyData x, CopyData y, CopyDone")
    assert begun(client) == (False, False, True)


def test_what_a_client_thinks_about_within_a_batch_is_not_its_time(loopback: Loopback) -> None:
    """asyncpg's prepare() ends with Flush; when its statement is run is another thing."""
    database, client = loopback.database(), loopback.client()
    prepare, run = "Parse '' 'SELECT 1', Describe S, Flush", "Bind, Execute, Sync"
    client.sends(prepare)
    assert begun(client) == (True, True, True)
    database.answers(prepare, "ParseComplete, ParameterDescription, NoData")
    assert begun(client) == (False, False, True)
    before = loopback.pool.tally.query_s
    assert before > 0
    client.sends(run)
    assert begun(client) == (True, True, True)
    database.answers(run, "BindComplete, CommandComplete 'SELECT 1', Ready I")
    assert begun(client) == (False, False, False)
    assert loopback.pool.tally.query_s > before
    assert loopback.pool.tally.queries == loopback.pool.census.queries.count == 1


def test_one_that_is_refused_is_counted_apart(loopback: Loopback) -> None:
    client = loopback.client()
    client.sends("Query 'SELECT 1'")
    client.peer.refuse(wording.encode("Error 53300 full"))
    client.gets("Error 53300 full, Ready I")
    assert begun(client) == (False, False, False)
    assert (loopback.pool.tally.queries, loopback.pool.tally.refused) == (0, 1)


def test_who_leaves_in_the_middle_leaves_no_time_behind(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Query 'SELECT 1'")
    client.leaves()
    database.answers("Query 'SELECT 1'", RESULT)
    other = loopback.client()
    other.sends("Query 'SELECT 2'")
    assert begun(other) == (True, True, True)
    assert loopback.pool.tally.transactions == 0


def test_bytes_of_clients_are_counted(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    before = loopback.pool.tally.sent
    client.asks("Query 'SELECT 1'", database, RESULT)
    assert loopback.pool.tally.received == len(query("SELECT 1"))
    assert loopback.pool.tally.sent - before == len(wording.encode(RESULT))
