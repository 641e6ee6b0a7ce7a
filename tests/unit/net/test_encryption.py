"""TLS over memory BIOs: two ends that hand each other bytes."""

import ssl

import pytest

from forebay.net.encryption import CHUNK_BYTES, Encryption, PeerGoneError, TLSError
from forebay.net.handshake import handshake_step
from forebay.net.tls import client_context, self_signed_certificate, server_context

SERVER = server_context(*self_signed_certificate())


@pytest.fixture
def ends() -> tuple[Encryption, Encryption]:
    context = client_context("require")
    assert context is not None
    client = Encryption.begin(context, server_side=False, server_hostname="localhost")
    server = Encryption.begin(SERVER, server_side=True, server_hostname=None)
    is_done = [False, False]
    while not all(is_done):
        is_done[0] = handshake_step(client.sslobj)
        server.incoming.write(client.outgoing.read())
        is_done[1] = handshake_step(server.sslobj)
        client.incoming.write(server.outgoing.read())
    return client, server


@pytest.mark.parametrize("size", [1, CHUNK_BYTES, 5 * CHUNK_BYTES + 1])
def test_both_ways_in_any_pieces(ends: tuple[Encryption, Encryption], size: int) -> None:
    plain = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    for sender, receiver in (ends, ends[::-1]):
        encrypted = sender.encrypt(bytearray(plain))
        assert size == 1 or plain not in encrypted  # any byte may be in it by chance
        got = bytearray()
        for piece in (encrypted[:3], encrypted[3:1000], encrypted[1000:]):
            received = bytearray(piece)
            assert receiver.decrypt(received, got) is None
            assert not received
        assert got == plain


def test_what_came_before_the_goodbye_is_there(ends: tuple[Encryption, Encryption]) -> None:
    client, server = ends
    received = bytearray(client.encrypt(bytearray(b"last words")) + client.goodbye())
    got = bytearray()
    reason = server.decrypt(received, got) or server.decrypt(bytearray(), got)
    assert isinstance(reason, PeerGoneError)
    assert got == b"last words"


def test_a_record_that_was_tampered_with(ends: tuple[Encryption, Encryption]) -> None:
    client, server = ends
    record = bytearray(client.encrypt(bytearray(b"secret")))
    record[-1] ^= 1
    got = bytearray()
    reason = server.decrypt(record, got)
    assert isinstance(reason, TLSError)
    assert "secret" not in str(reason)
    assert not got


def test_a_goodbye_in_the_middle_of_a_handshake_says_nothing() -> None:
    server = Encryption.begin(SERVER, server_side=True, server_hostname=None)
    assert server.goodbye() == b""
    with pytest.raises(ssl.SSLError):
        server.encrypt(bytearray(b"x"))
