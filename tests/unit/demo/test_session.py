"""The demo's tiny client against a server that is a script."""

import asyncio
import socket
import struct

import pytest

from forebay.demo.session import query
from forebay.net.stream import PeerGoneError, Stream
from forebay.protocol import messages
from forebay.protocol.errors import PgError, Severity


def data_row(*values: bytes | None) -> bytes:
    body = struct.pack("!H", len(values))
    for value in values:
        body += struct.pack("!i", -1 if value is None else len(value)) + (value or b"")
    return messages.message(b"D", body)


async def ask(answer: bytes, *, end: bool = False) -> tuple[list[tuple[str | None, ...]], bytes]:
    """The rows of this answer, and what was asked."""
    here, there = socket.socketpair()
    stream = Stream(here)
    try:
        there.sendall(answer)
        if end:
            there.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(20):
            rows = await query(stream, "SELECT 1")
        return rows, there.recv(1000)
    finally:
        stream.close()
        there.close()


async def test_rows() -> None:
    answer = data_row(b"1", None) + data_row(b"", b"x") + messages.ready_for_query(b"I")
    rows, asked = await ask(answer)
    assert rows == [("1", None), ("", "x")]
    assert asked == messages.query("SELECT 1")


async def test_an_error_is_raised_once_the_session_is_ready() -> None:
    failure = PgError(Severity.ERROR, "22012", "division by zero")
    with pytest.raises(PgError, match="division by zero"):
        await ask(failure.encode() + messages.ready_for_query(b"E"))


async def test_a_server_that_leaves() -> None:
    with pytest.raises(PeerGoneError):
        await ask(data_row(b"1"), end=True)
