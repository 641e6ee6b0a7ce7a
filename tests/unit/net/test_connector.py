"""The asyncio client over a socket pair, with a server that has said everything already."""

import socket

import pytest

from forebay.net import connector
from forebay.net.connector import ConnectError, Target, connect, converse, simple_query
from forebay.net.conversation import Conversation, Stretch
from forebay.net.stream import Stream
from forebay.net.tls import ClientContexts
from forebay.protocol import messages
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.scram import ClientKeys
from tests.unit.net.servers import READY, data_row


async def ask(answer: bytes, *, end: bool = False) -> tuple[list[list[str | None]], bytes]:
    """The rows of this answer, and what was asked."""
    here, there = socket.socketpair()
    stream = Stream(here)
    try:
        there.sendall(answer)
        if end:
            there.shutdown(socket.SHUT_WR)
        return await simple_query(stream, "SELECT 1"), there.recv(1000)
    finally:
        stream.close()
        there.close()


async def test_rows() -> None:
    rows, asked = await ask(data_row("1", None) + data_row("", "x") + READY)
    assert rows == [["1", None], ["", "x"]]
    assert asked == messages.query("SELECT 1")


async def test_an_error_is_the_databases() -> None:
    failure = PgError(Severity.ERROR, "22012", "division by zero")
    with pytest.raises(PgError, match="division by zero"):
        await ask(failure.encode() + READY)


async def test_a_server_that_leaves_may_be_asked_again() -> None:
    with pytest.raises(ConnectError) as caught:
        await ask(data_row("1"), end=True)
    assert caught.value.transient


async def test_nonsense_is_not_asked_again() -> None:
    with pytest.raises(ConnectError) as caught:
        await ask(messages.message(b"R"))
    assert not caught.value.transient


async def test_keys_are_stretched_in_a_thread_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []

    async def in_thread(function: object) -> ClientKeys:
        computed.append(str(function))
        return step.compute()

    monkeypatch.setattr(connector, "in_crypto_thread", in_thread)
    step = Stretch("secret", b"a salt of this test", 1)

    def stretching() -> Conversation[ClientKeys]:
        keys: ClientKeys = yield step
        return keys

    here, there = socket.socketpair()
    stream = Stream(here)
    try:
        assert await converse(stream, stretching()) == step.compute()
        assert await converse(stream, stretching()) == step.compute()
    finally:
        stream.close()
        there.close()
    assert len(computed) == 1


@pytest.mark.parametrize("name", ["user", "replication", "options", "_pq_.x", ""])
async def test_reserved_parameters_are_refused_before_anything_is_sent(name: str) -> None:
    with pytest.raises(ConnectError, match="cannot be a startup parameter"):
        await connect(
            Target("127.0.0.1", 1),
            user="app",
            password="secret",
            database="shop",
            parameters={name: "x"},
            connect_timeout_s=10,
            tls_contexts=ClientContexts(),
        )
