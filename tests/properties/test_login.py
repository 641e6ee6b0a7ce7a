"""A login under any chunking of a client's bytes, and under garbage."""

import asyncio
import contextlib
import socket
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.net.login import (
    Credentials,
    LoggedIn,
    LoginFailed,
    LoginPolicy,
    Throttle,
    UserAuth,
    log_in,
)
from forebay.net.login.kept import Kept
from forebay.net.stream import Stream
from forebay.protocol import messages, scram
from forebay.protocol.startup import CancelRequest

KEYS = scram.ClientKeys.derive("secret", b"0123456789abcdef", 1)
VERIFIER = scram.Verifier(b"0123456789abcdef", 1, KEYS.stored_key, KEYS.server_key)
APP = UserAuth("app", "scram-sha-256", ("secret",), Kept(verifiers=(VERIFIER,)))
POLICY = LoginPolicy(Credentials({"app": APP}), False, None, Throttle(0, 0), 30)
STARTUP = messages.startup_message({"user": "app", "database": "shop", "a": "b"})

cuts = st.lists(st.integers(1, 20), max_size=30)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    cut: list[bytes] = []
    for size in sizes:
        cut.append(data[:size])
        data = data[size:]
    return [piece for piece in [*cut, data] if piece]


async def send(stream: Stream, data: bytes, sizes: list[int]) -> None:
    for piece in pieces(data, sizes):
        stream.write(piece)
        await stream.drain()
        await asyncio.sleep(0)


async def answer(stream: Stream) -> bytes:
    kind, body = await stream.read_message(10_000)
    assert kind == ord("R")
    return messages.parse_authentication(body)[1]


async def talk(sizes: list[int]) -> LoggedIn:
    ours, theirs = socket.socketpair()
    client = Stream(theirs)
    try:
        login = asyncio.ensure_future(log_in(Stream(ours), POLICY, "192.0.2.1"))
        await send(client, STARTUP, sizes)
        await answer(client)
        exchange = scram.ClientExchange()
        first = messages.sasl_initial_response(exchange.mechanism, exchange.first())
        await send(client, first, sizes)
        exchange.challenge(await answer(client))
        await send(client, messages.sasl_response(exchange.final(KEYS)), sizes)
        result = await login
        assert isinstance(result, LoggedIn)
        await result.stream.drain()
        exchange.verify(await answer(client))
        result.stream.close()
        return result
    finally:
        client.close()


@settings(deadline=None, max_examples=50)
@given(cuts)
def test_any_chunking(sizes: list[int]) -> None:
    result = asyncio.run(talk(sizes))
    assert (result.user, result.database, result.settings) == ("app", "shop", (("a", "b"),))


async def throw(data: bytes, sizes: list[int]) -> None:
    ours, theirs = socket.socketpair()
    client, server = Stream(theirs), Stream(ours)
    login = asyncio.ensure_future(log_in(server, POLICY, "192.0.2.1"))
    with contextlib.suppress(OSError):
        await send(client, data, sizes)
    client.close()
    result: object = None
    with contextlib.suppress(LoginFailed):
        result = await login
    # Refused or left alone, the descriptor is closed; only a cancel's is the caller's to close.
    assert (server.fileno() >= 0) is isinstance(result, CancelRequest)
    server.close()


packets = st.binary() | st.binary().map(lambda body: struct.pack("!I", len(body) + 4) + body)
garbage = st.lists(
    packets
    | st.sampled_from([STARTUP, messages.ssl_request(), messages.cancel_request(1, b"1234")])
    | st.binary().map(lambda body: messages.message(b"p", body)),
    max_size=5,
).map(b"".join)


@settings(deadline=None, max_examples=100)
@given(garbage, cuts)
def test_garbage(data: bytes, sizes: list[int]) -> None:
    asyncio.run(throw(data, sizes))
