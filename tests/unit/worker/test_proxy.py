"""What an endpoint does with clients that have logged in."""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from forebay.net.login import LoggedIn, LoginFailed
from forebay.net.stream import Stream
from forebay.worker.proxy import Proxy


async def turn_away(stream: Stream, draining: bool = False) -> str:
    """Logs a client in where there is no room; the SQLSTATE of what it was told."""
    proxy = cast(Any, Proxy.__new__(Proxy))
    proxy._draining = draining
    proxy._settings = SimpleNamespace(max_client_connections=0)
    proxy._sessions = SimpleNamespace(clients={})
    with pytest.raises(LoginFailed) as caught:
        async with asyncio.timeout(5):
            await proxy._admit(LoggedIn(stream, "user", "database", (), 0, ""))
    return caught.value.sqlstate


@pytest.mark.parametrize("draining", [False, True])
async def test_who_may_not_stay_and_is_gone(draining: bool) -> None:
    """It cannot be told, but it is a login that failed, and its descriptor is closed."""
    ours, theirs = socket.socketpair()
    stream = Stream(ours)
    theirs.close()
    assert await turn_away(stream, draining) == ("57P01" if draining else "53300")
    assert stream.fileno() == -1


async def test_who_may_not_stay_and_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forebay.net.login.login.LAST_WORD_S", 0.05)
    ours, theirs = socket.socketpair()
    stream = Stream(ours)
    stream.write(b"." * 10_000_000)
    with theirs:
        assert await turn_away(stream) == "53300"
    assert stream.fileno() == -1
