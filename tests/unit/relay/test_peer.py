"""A relayed socket: bytes in, bytes out, with back-pressure, and no buffer while idle."""

import pytest

from forebay.protocol.messages import message
from forebay.relay import Client
from tests.playbooks import wording
from tests.playbooks.actors import connect
from tests.unit.relay.fakes import PARAMETERS, PLAIN
from tests.unit.relay.loopback import FarEnd, Loopback

RESULT = "Result, Ready I"
SMALL = 16384  # of the kernel's buffers
# What one peer may hold and queue: a message held back, what one read can bring, and some slack.
PEER_BYTES = 512 * 1024
ROW = message(b"D", b"\0\1\0\0\x75\x30" + b"x" * 30_000)
COPY_DATA = message(b"d", b"x" * 30_000)
LIMIT = 4 << 20


def stuff(far: FarEnd, data: bytes) -> int:
    """Send `data` again and again, as long as it is taken. Returns how many bytes were."""
    sent = 0
    while sent < LIMIT:
        at = sent % len(data)
        try:
            sent += far.actor.sock.send(data[at:])
        except BlockingIOError:
            far.settle()
            try:
                sent += far.actor.sock.send(data[at:])
            except BlockingIOError:
                break
        far.settle()
    return sent


class TestBackPressure:
    def test_who_does_not_read_lets_the_other_side_wait(self, loopback: Loopback) -> None:
        database = loopback.database(buffer_bytes=SMALL)
        client, other = loopback.client(buffer_bytes=SMALL), loopback.client()
        client.sends("Query 'SELECT 1'")
        sent = stuff(database, ROW)
        assert sent < LIMIT, "the connection is read though its client reads nothing"
        assert 0 < client.peer.queued_bytes + database.peer.held_bytes < PEER_BYTES
        assert client.peer.unsent_bytes > client.peer.queued_bytes
        other.asks("Query 'SELECT 2'", loopback.database(), RESULT)
        received = client.received()
        assert len(received) == sent
        assert received == (ROW * (sent // len(ROW) + 1))[:sent]
        assert client.peer.queued_bytes == 0

    def test_in_the_other_direction_too(self, loopback: Loopback) -> None:
        database = loopback.database(buffer_bytes=SMALL)
        client = loopback.client(buffer_bytes=SMALL)
        client.asks("Query 'COPY t FROM STDIN'", database, "CopyInResponse")
        sent = stuff(client, COPY_DATA)
        assert sent < LIMIT, "the client is read though the database reads nothing"
        assert 0 < database.peer.queued_bytes + client.peer.held_bytes < PEER_BYTES
        assert len(database.received()) == sent

    def test_what_a_waiting_client_sends_is_held_within_limits(self, loopback: Loopback) -> None:
        client = loopback.client(buffer_bytes=SMALL)
        sent = stuff(client, wording.encode("Query 'SELECT 1'"))
        assert sent < LIMIT
        assert 0 < client.peer.held_bytes < PEER_BYTES
        client.peer.refuse(wording.encode("Error 53300 no"))
        client.gets("Error 53300 no, Ready I")

    def test_who_is_idle_holds_nothing(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.transmits(wording.encode("Query 'SELECT 1'")[:8])
        assert client.peer.held_bytes == 8
        client.transmits(wording.encode("Query 'SELECT 1'")[8:])
        database.sends(RESULT)
        client.gets(RESULT)
        database.gets("Query 'SELECT 1'")
        for peer in (client.peer, database.peer):
            assert (peer.held_bytes, peer.queued_bytes, peer.unsent_bytes) == (0, 0, 0)


class TestWhatAllHold:
    """What all peers have received and could not use yet is counted, and bounded."""

    def test_it_is_counted(self, loopback: Loopback) -> None:
        poller = loopback.relay.poller
        request = wording.encode("Query 'SELECT 1'")
        clients = [loopback.client() for _ in range(3)]
        for each in clients:
            each.transmits(request)
        assert poller.held_bytes == 3 * len(request)
        clients[0].transmits(request)
        assert poller.held_bytes == 4 * len(request)
        clients[1].leaves()
        assert poller.held_bytes == 3 * len(request)
        clients[2].peer.refuse(wording.encode("Error 53300 no"))
        assert poller.held_bytes == 2 * len(request)
        loopback.database().answers("Query 'SELECT 1', Query 'SELECT 1'", f"{RESULT}, {RESULT}")
        assert poller.held_bytes == 0

    def test_beyond_the_limit_nobody_begins_to_wait(self, loopback: Loopback) -> None:
        request = wording.encode("Query 'SELECT 1'")
        loopback.relay.poller.held_limit = len(request)
        first, second, third = (loopback.client() for _ in range(3))
        for each in (first, second):
            each.transmits(request)
        assert loopback.manager.refused == []
        third.transmits(request)
        assert loopback.manager.refused == [third.peer]

    def test_nor_sends_more_while_it_waits(self, loopback: Loopback) -> None:
        request = wording.encode("Query 'SELECT 1'")
        loopback.relay.poller.held_limit = len(request)
        first, second = (loopback.client() for _ in range(2))
        for each in (first, second, first, first):
            each.transmits(request)
        assert first.peer.held_bytes == 2 * len(request)
        database = loopback.database()
        three = ", ".join(["Query 'SELECT 1'"] * 3)
        database.answers(three, ", ".join([RESULT] * 3))
        first.gets(", ".join([RESULT] * 3))
        database.answers("Query 'SELECT 1'", RESULT)
        second.gets(RESULT)

    def test_a_long_statement_is_not_held_until_it_is_whole(self, loopback: Loopback) -> None:
        loopback.relay.poller.held_limit = 200_000
        database, client = loopback.database(), loopback.client()
        long = wording.encode(f"Parse s 'SELECT 1 --{'x' * 500_000}'")
        client.transmits(long[:150_000])
        assert database.received() == b""
        assert client.peer.held_bytes == 150_000
        client.transmits(long[150_000:400_000])
        assert client.peer.held_bytes == 0
        client.transmits(long[400_000:] + wording.encode("Sync"))
        database.sends("Error 26000 no, Ready I")  # asked for what there is not
        told = client.received()
        assert b"C53200\0" in told
        assert told.endswith(wording.encode("Ready I"))


class TestWriting:
    def test_what_is_put_off_leaves_with_the_next(self, loopback: Loopback) -> None:
        client = loopback.client()
        client.peer.put_off(wording.encode("Notice one"))
        client.gets("")
        client.peer.say(wording.encode("Notice two"))
        client.gets("Notice one, Notice two")

    def test_or_when_it_is_pushed(self, loopback: Loopback) -> None:
        client = loopback.client()
        client.peer.put_off(wording.encode("Notice one"))
        client.peer.push()
        client.gets("Notice one")
        assert client.peer.queued_bytes == 0

    def test_what_was_said_leaves_before_the_end(self, loopback: Loopback) -> None:
        client = loopback.client(buffer_bytes=SMALL)
        client.peer.say(ROW * 20)
        client.peer.fail(wording.encode("Fatal 57P01 bye"), "it was told to go")
        assert not client.peer.is_closed
        assert client.received() == ROW * 20 + wording.encode("Fatal 57P01 bye")
        assert client.is_let_go
        assert client.peer.is_closed

    def test_what_is_said_to_who_has_gone_goes_nowhere(self, loopback: Loopback) -> None:
        client = loopback.client()
        client.actor.close()
        client.peer.say(ROW)
        client.settle()
        assert client.peer.is_closed
        client.peer.say(ROW)
        assert client.peer.queued_bytes == 0


class TestTheEnd:
    def test_what_was_not_read_does_not_reset_what_was_said(self, loopback: Loopback) -> None:
        client = loopback.client()
        client.actor.sock.send(b"!\0\0\0\4" + bytes(200_000))
        client.settle()
        assert client.actor.sock.recv(1000).startswith(b"E")
        assert client.actor.sock.recv(1000) == b""  # or ConnectionResetError

    def test_who_was_never_started_lets_its_socket_go(self, loopback: Loopback) -> None:
        actor, end = connect("far")
        Client(
            loopback.poller,
            end.fd,
            loopback.pool,
            loopback.sessions,
            1,
            settings=PLAIN,
            parameters=PARAMETERS,
        )
        actor.receive()
        assert actor.ended
        actor.close()

    def test_a_mistake_costs_the_connection_where_it_happens_alone(
        self, loopback: Loopback, caplog: pytest.LogCaptureFixture
    ) -> None:
        database = loopback.database()
        client, other = loopback.client(), loopback.client()
        loopback.sessions.texts.told = None  # type: ignore[assignment]
        client.sends("Query 'SET x = 1'")
        assert client.is_let_go
        assert [record.getMessage() for record in caplog.records] == [
            "a relayed connection failed inside Forebay; it is closed"
        ]
        caplog.clear()
        database.sends("Ready I")
        other.sends("Sync")
        other.gets("Ready I")
