import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from forebay.dashboard import connections
from forebay.dashboard.connections import (
    MAX_CONNECTIONS,
    MAX_HEAD_BYTES,
    REQUEST_TIMEOUT_S,
    STALL_TIMEOUT_S,
    Connections,
)
from tests.unit.dashboard.fakes import head, soon

HELLO = PlainTextResponse("hello")


@contextlib.asynccontextmanager
async def serving(app: ASGIApp = HELLO) -> AsyncIterator[tuple[Connections, int]]:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    some = Connections(app)
    await some.start([sock])
    try:
        yield some, sock.getsockname()[1]
    finally:
        await some.finish()


async def until(some: Connections, count: int) -> None:
    await soon(lambda: some.count == count)


async def test_one_too_many_is_closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_CONNECTIONS == 200
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    async with serving() as (some, port):
        open_ones = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        await until(some, 3)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        await until(some, 3)
        open_ones[0][1].write(head("/"))
        assert (await open_ones[0][0].read()).endswith(b"hello")
        await until(some, 2)
        for _, each in open_ones:
            each.close()


async def test_a_request_that_never_becomes_whole() -> None:
    async with serving() as (some, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/")[:-2])
        await until(some, 1)
        now = asyncio.get_running_loop().time()
        some.sweep(now + REQUEST_TIMEOUT_S - 1)
        assert some.count == 1
        some.sweep(now + REQUEST_TIMEOUT_S + 1)
        await until(some, 0)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


async def test_bytes_do_not_make_it_younger_an_answer_does() -> None:
    async with serving() as (some, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/", connection="keep-alive"))
        await reader.readuntil(b"hello")
        (own,) = some._state.connections
        assert isinstance(own, connections.Connection)
        since = own.quiet_since
        assert since is not None
        writer.write(head("/")[:20])
        await asyncio.sleep(0)
        assert own.quiet_since == since
        writer.close()


async def test_who_does_not_read_is_gone() -> None:
    ended = asyncio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        watching = asyncio.ensure_future(gone(receive))
        while not watching.done():
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            await asyncio.sleep(0)
        ended.set()

    async def gone(receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async with serving(endless) as (some, port):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(head("/"))
            await until(some, 1)
            (own,) = some._state.connections
            assert isinstance(own, connections.Connection)
            await soon(lambda: own.stuck_since is not None)
            assert own.stuck_since is not None
            some.sweep(own.stuck_since + STALL_TIMEOUT_S - 1)
            assert some.count == 1
            some.sweep(own.stuck_since + STALL_TIMEOUT_S + 1)
            async with asyncio.timeout(30):
                await ended.wait()
            await until(some, 0)


async def test_a_head_that_is_too_long() -> None:
    async with serving() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nx: " + b"x" * 2 * MAX_HEAD_BYTES)
        with contextlib.suppress(ConnectionResetError):
            assert b" 400 " in await reader.read()
        writer.close()


async def test_nonsense_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as (_, port):
        for sent in (b"\x16\x03\x01\x02\0", head("/", connection="upgrade", upgrade="websocket")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            writer.write_eof()
            await reader.read()
            writer.close()
    assert caplog.records == []


async def test_a_mistake_of_ours_is(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    async with serving(broken) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/"))
        assert b" 500 " in await reader.read()
        writer.close()
    assert "Exception in ASGI application" in caplog.text
