"""The blocking client over a socket pair, with a server that has said everything already."""

import socket

import pytest

from forebay.net.blocking import BlockingClient
from forebay.net.server_login import AuthenticationError
from forebay.protocol import messages
from forebay.protocol.messages import MalformedMessageError
from tests.unit.net.servers import OK, READY, data_row


@pytest.fixture
def pair() -> tuple[BlockingClient, socket.socket]:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.settimeout(20)
    return BlockingClient(ours), theirs


def test_a_whole_life(pair: tuple[BlockingClient, socket.socket]) -> None:
    client, server = pair
    server.sendall(messages.authentication_cleartext_password() + OK)
    server.sendall(messages.parameter_status("a", "b") + READY)
    with server:
        with client:
            assert client.log_in("app", "secret", "shop", {"x": "y"}).parameters == {"a": "b"}
            names = {"user": "app", "database": "shop", "x": "y"}
            said = messages.startup_message(names) + messages.password_message("secret")
            assert server.recv(10_000) == said
            server.sendall(data_row("1") + READY)
            assert client.query("SELECT 1") == [["1"]]
            assert server.recv(10_000) == messages.query("SELECT 1")
            server.shutdown(socket.SHUT_WR)
        assert server.recv(10_000) == messages.terminate()
        assert server.recv(10_000) == b""


def test_the_end_and_lengths_that_are_none(pair: tuple[BlockingClient, socket.socket]) -> None:
    client, server = pair
    with client:
        server.sendall(READY + b"D\0\0")
        assert client.receive_message(1) == (ord("Z"), b"I")
        server.close()
        with pytest.raises(EOFError):
            client.receive_message(1)


@pytest.mark.parametrize("length", [0, 3, 15])
def test_a_length_beyond_the_bound(pair: tuple[BlockingClient, socket.socket], length: int) -> None:
    client, server = pair
    with server:
        server.sendall(b"D" + length.to_bytes(4, "big") + b"x" * 20)
        server.shutdown(socket.SHUT_WR)
        with client, pytest.raises(MalformedMessageError):
            client.receive_message(10)


def test_a_server_without_tls(pair: tuple[BlockingClient, socket.socket]) -> None:
    client, server = pair
    with server:
        server.sendall(b"N")
        server.shutdown(socket.SHUT_WR)
        with client, pytest.raises(AuthenticationError, match="does not support SSL"):
            client.start_tls(None)  # type: ignore[arg-type]
        assert server.recv(8) == messages.ssl_request()
