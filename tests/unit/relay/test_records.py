"""TLS under a relayed socket: records in any parts, and how it ends."""

import contextlib
import ssl

import pytest

from forebay.protocol.messages import message
from tests.playbooks import wording
from tests.unit.relay.loopback import FarEnd, Loopback

RESULT = "Result, Ready I"
ROW = message(b"D", b"\0\1\0\0\x75\x30" + b"x" * 30_000)


@pytest.mark.parametrize("whose", ["client", "database"])
class TestTLS:
    @staticmethod
    def ends(loopback: Loopback, whose: str) -> tuple[FarEnd, FarEnd]:
        """A client and a database, one of which has TLS."""
        database = loopback.database(tls=whose == "database")
        return loopback.client(tls=whose == "client"), database

    def test_all_passes(self, loopback: Loopback, whose: str) -> None:
        client, database = self.ends(loopback, whose)
        query = message(b"Q", b"SELECT '" + b"x" * 300_000 + b"'\0")
        client.transmits(query)
        assert database.received() == query
        answer = ROW * 4 + wording.encode("CommandComplete 'SELECT 4', Ready I")
        database.transmits(answer)
        assert client.received() == answer

    def test_records_may_come_in_parts(self, loopback: Loopback, whose: str) -> None:
        client, database = self.ends(loopback, whose)
        for far, near, text in (
            (client, database, "Query 'SELECT 1'"),
            (database, client, RESULT),
        ):
            ciphered = far.actor.wrap(wording.encode(text))
            for at in range(0, len(ciphered), 7):
                far.actor.sock.send(ciphered[at : at + 7])
                far.settle()
            near.gets(text)

    def test_who_says_that_no_more_comes_has_ended(self, loopback: Loopback, whose: str) -> None:
        client, database = self.ends(loopback, whose)
        far = client if whose == "client" else database
        assert far.actor.tls is not None
        with contextlib.suppress(ssl.SSLWantReadError):
            far.actor.tls.unwrap()
        far.actor.sock.send(far.actor.outgoing.read())
        assert far.is_let_go

    def test_what_came_before_that_is_taken(self, loopback: Loopback, whose: str) -> None:
        client, database = self.ends(loopback, whose)
        far = client if whose == "client" else database
        assert far.actor.tls is not None
        text = "Query 'SELECT 1'" if far is client else RESULT
        if far is database:
            client.sends("Query 'SELECT 1'")
        data = far.actor.wrap(wording.encode(text))
        with contextlib.suppress(ssl.SSLWantReadError):
            far.actor.tls.unwrap()
        far.actor.sock.send(data + far.actor.outgoing.read())
        far.settle()
        if far is database:
            client.gets(RESULT)
        else:
            database.gets(text)

    def test_what_is_no_tls_is_the_end(self, loopback: Loopback, whose: str) -> None:
        client, database = self.ends(loopback, whose)
        far = client if whose == "client" else database
        far.actor.sock.send(b"Q\0\0\0\x0dSELECT 1\0")
        assert far.is_let_go
        ended = [reason for _, reason in (*loopback.sessions.ended, *loopback.manager.lost)]
        assert ended == ["the TLS connection broke"]


def test_a_client_with_tls_that_is_let_go_is_told_so(loopback: Loopback) -> None:
    """Or what came before might have been cut off by anybody."""
    client = loopback.client(tls=True)
    client.peer.fail(wording.encode("Fatal 57P01 bye"), "it was told to go")
    client.gets("Fatal 57P01 bye")
    assert client.actor.tls is not None
    assert client.actor.tls.read(1) == b""  # or SSLWantReadError
