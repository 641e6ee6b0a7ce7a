"""What an established client sends: where one message ends and the next begins, and which of them
need a connection."""

import pytest

from tests.playbooks import wording
from tests.unit.relay.loopback import Loopback

ANSWER = "Result, Ready I"


def test_a_message_in_two_halves_leaves_as_one(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    query = wording.encode("Query 'SELECT 1'")
    for at in (3, 9):  # within the header, and within the text
        client.transmits(query[:at])
        database.gets("")
        client.transmits(query[at:])
        database.answers("Query 'SELECT 1'", ANSWER)
        client.gets(ANSWER)


def test_what_is_sent_together_leaves_together(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Parse '' 'SELECT 1', Bind, Execute, Sync, Query 'SELECT 2'")
    database.gets("Parse '' 'SELECT 1', Bind, Execute, Sync, Query 'SELECT 2'")


@pytest.mark.parametrize(
    "data",
    [b"!\0\0\0\4", b"Q\0\0\0\3", b"Q\x7f\xff\xff\xff", b"S\0\1\0\0", b"p\0\0\0\4"],
    ids=["no type", "less than itself", "too long", "a long Sync", "out of turn"],
)
def test_an_implausible_message_ends_its_client_and_touches_nobody_else(
    loopback: Loopback, data: bytes
) -> None:
    database = loopback.database()
    client, other = loopback.client(), loopback.client()
    client.transmits(data)
    client.gets("Fatal 08P01")
    assert client.is_let_go
    assert loopback.sessions.ended == [(client.peer, "it broke the protocol")]
    other.asks("Query 'SELECT 1'", database, ANSWER)


def test_what_came_before_an_implausible_message_is_sent(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.transmits(wording.encode("Query 'SELECT 1'") + b"!\0\0\0\4")
    database.gets("Query 'SELECT 1'")
    client.gets("Fatal 08P01")


def test_sync_without_a_connection_is_answered_here(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Sync, Sync")
    client.gets("Ready I, Ready I")
    database.gets("")
    assert loopback.pool.tally.borrows == 0


def test_copy_data_outside_copy_is_dropped(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("CopyData x 100000, CopyDone, CopyFail 'no', Flush")
    database.gets("")
    client.gets("")
    client.asks("Query 'SELECT 1'", database, ANSWER)


def test_a_long_message_streams_through(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.asks("Query 'COPY t FROM STDIN'", database, "CopyInResponse")
    data = wording.encode("CopyData x 300000")
    client.transmits(data[:200_000])
    assert database.received() == data[:200_000]
    client.transmits(data[200_000:])
    assert database.received() == data[200_000:]
    client.asks("CopyDone", database, "CommandComplete 'COPY 1', Ready I")
    assert database.is_idle


def test_a_client_that_does_not_take_what_is_answered_here_is_not_read(
    loopback: Loopback,
) -> None:
    client = loopback.client(buffer_bytes=16384)
    with pytest.raises(AssertionError, match="not taken"):
        for _ in range(100):
            client.transmits(wording.encode("Sync") * 2000)
    assert client.peer.queued_bytes < 512 * 1024
    answers = client.received()
    assert answers == wording.encode("Ready I") * (len(answers) // 6)


def test_a_function_call_pins(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.asks("FunctionCall", database, "FunctionCallResponse, Ready I")
    assert loopback.sessions.pinner.pinned == [(client.peer, "FUNCTION_CALL", None)]
    assert database.serves(client)


def test_a_client_far_ahead_of_its_answers_is_not_read_meanwhile(loopback: Loopback) -> None:
    """The replies that one client is owed are bounded."""
    database, client = loopback.database(), loopback.client()
    pair = wording.encode("Bind, Execute")
    client.sends("Parse '' 'INSERT'")
    taken = sent = 0
    with pytest.raises(AssertionError, match="not taken"):
        while sent < 200_000:
            client.transmits(pair * 1000)
            sent += 1000
            taken += len(database.received())
    assert taken < 20_000 * len(pair)
    database.received()
    database.sends("ParseComplete")
    database.transmits(wording.encode("BindComplete, CommandComplete 'INSERT 0 1'") * 10_000)
    client.received()
    assert len(database.received()) > 0, "it is not read any more"
    database.leaves()
