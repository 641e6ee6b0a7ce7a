"""What goes to a database connection in one write, although parts of it were rewritten."""

import socket

import pytest

from tests.playbooks import wording
from tests.playbooks.actors import Actor, NearEnd
from tests.unit.relay.loopback import FarDatabase, Loopback

PARSE = "Parse one 'SELECT 1'"


@pytest.fixture
def database(loopback: Loopback) -> FarDatabase:
    """One to which each write comes as a packet of its own."""
    far, near = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for each in (far, near):
        each.setblocking(False)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    end = NearEnd(near.detach(), None, None, None)
    return loopback.database(ends=(Actor("database", far), end))


def packet(database: FarDatabase) -> bytes:
    """What has come in one write."""
    return database.actor.sock.recv(1 << 20)


def is_all(database: FarDatabase) -> bool:
    try:
        packet(database)
    except BlockingIOError:
        return True
    return False


def test_what_is_sent_as_it_came_is_one_write(loopback: Loopback, database: FarDatabase) -> None:
    sent = "Parse '' 'SELECT 1', Bind, Execute, Sync"
    loopback.client().sends(sent)
    assert packet(database) == wording.encode(sent)
    assert is_all(database)


def test_what_is_rewritten_is_one_write_with_what_is_not(
    loopback: Loopback, database: FarDatabase
) -> None:
    loopback.client().sends(f"Query 'SELECT 0', {PARSE}, Bind one, Execute, Sync, Query 'SELECT 2'")
    messages, rest = wording.frames(packet(database))
    expected = wording.messages(
        "Query 'SELECT 0', Parse _forebay_# 'SELECT 1', Bind _forebay_#, Execute, Sync,"
        " Query 'SELECT 2'"
    )
    assert wording.compare(messages, expected) is None
    assert not rest
    assert is_all(database)


def test_what_is_answered_here_leaves_no_gap(loopback: Loopback, database: FarDatabase) -> None:
    loopback.client().sends("Parse '' 'SELECT 1', Close S nothing, Bind, Sync")
    assert packet(database) == wording.encode("Parse '' 'SELECT 1', Bind, Sync")
    assert is_all(database)


def test_nothing_of_one_batch_is_left_for_the_next(loopback: Loopback) -> None:
    first, second = loopback.database(), loopback.database()
    one, two = loopback.client(), loopback.client()
    one.sends(f"Query BEGIN, {PARSE}, Sync")
    second.gets("Query BEGIN, Parse _forebay_# 'SELECT 1', Sync")
    two.sends(f"{PARSE}, Sync")
    first.gets("Parse _forebay_# 'SELECT 1', Sync")


@pytest.mark.parametrize("long", [10_000, 60_000, 100_000])
def test_more_than_is_gathered_comes_in_order(loopback: Loopback, long: int) -> None:
    """Long statements that the connection lacks, all prepared again for one batch."""
    count = 20
    first, client = loopback.database(), loopback.client()
    texts = [f"SELECT {number}".encode() + b" " * long for number in range(count)]
    for number, text in enumerate(texts):
        body = b"n%d\0" % number + text + b"\0\0\0"
        client.transmits(b"P" + (len(body) + 4).to_bytes(4, "big") + body)
        first.received()
    client.sends("Sync")
    first.sends(", ".join(["ParseComplete"] * count + ["Ready I"]))
    client.received()
    first.peer.shut("another is to be used")
    second = loopback.database()
    client.sends(", ".join([f"Bind n{number}" for number in range(count)] + ["Sync"]))
    messages, rest = wording.frames(second.received())
    assert not rest
    assert [each[:1] for each in messages] == [b"P", b"B"] * count + [b"S"]
    assert [each.split(b"\0")[-4] for each in messages[:-1:2]] == texts
