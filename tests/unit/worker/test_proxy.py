"""What an endpoint does with clients that come, and with what its database reports."""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from forebay.net.login import LoggedIn, LoginFailed
from forebay.net.stream import Stream
from forebay.protocol import errors
from forebay.protocol.startup import CancelRequest
from forebay.worker import proxy as endpoint
from forebay.worker.proxy import Proxy
from forebay.worker.sessions.sessions import Counts


def prepared(settings: Any = None, policy: Any = None) -> Any:
    """As much of what a proxy is like as these tests look at."""
    return SimpleNamespace(given=SimpleNamespace(settings=settings), policy=policy)


async def turn_away(stream: Stream, draining: bool = False) -> str:
    """Logs a client in where there is no room; the SQLSTATE of what it was told."""
    proxy = cast(Any, Proxy.__new__(Proxy))
    proxy._draining = draining
    proxy.prepared = prepared(SimpleNamespace(max_client_connections=0))
    proxy.sessions = SimpleNamespace(clients={})
    proxy._admin = SimpleNamespace(is_meant=lambda database: False)
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


def made() -> Any:
    """A proxy without anything behind it."""
    proxy = cast(Any, Proxy.__new__(Proxy))
    proxy._draining = False
    proxy._readers = None
    proxy.prepared = prepared(SimpleNamespace(max_client_connections=2))
    proxy.sessions = SimpleNamespace(clients={}, counts=Counts())
    proxy._admin = SimpleNamespace(is_meant=lambda database: False, cancel=lambda *_: None)
    proxy._agenda = SimpleNamespace(loop=None)
    proxy._front = SimpleNamespace(
        policy_for=lambda sock: None, identity_of=lambda login: login.user
    )
    return proxy


async def test_as_many_as_may_stay_do_and_the_next_does_not() -> None:
    proxy = made()
    watched: list[object] = []
    clients = proxy.sessions.clients

    def admit(login: LoggedIn, pool: object) -> object:
        login.stream.close()
        clients[len(clients)] = pool
        return pool

    proxy.sessions.admit = admit
    manager = SimpleNamespace(
        pool=lambda database, user: (database, user),
        groups=SimpleNamespace(refusal=lambda *_: None),
    )
    proxy._writers = [SimpleNamespace(manager=manager)]
    proxy._janitor = SimpleNamespace(watch=watched.append)
    for turn in range(3):
        ours, theirs = socket.socketpair()
        with theirs:
            login = LoggedIn(Stream(ours), "app", "shop", (), 0, "")
            if turn < 2:
                await proxy._admit(login)
            else:
                with pytest.raises(LoginFailed, match="exceeded 2") as caught:
                    await proxy._admit(login)
                assert caught.value.sqlstate == "53300"
                assert b"53300" in theirs.recv(1000)
    assert watched == [("shop", "app")] * 2


async def test_a_user_who_is_gone_when_the_login_ends_is_told_so() -> None:
    proxy = made()
    proxy._front.identity_of = lambda login: None
    ours, theirs = socket.socketpair()
    with theirs:
        with pytest.raises(LoginFailed, match="no credentials for the role app") as caught:
            await proxy._admit(LoggedIn(Stream(ours), "app", "shop", (), 0, ""))
        assert (caught.value.user, caught.value.sqlstate) == ("app", "28000")
        assert b"no credentials" in theirs.recv(1000)


@pytest.mark.parametrize(
    ("draining", "obstacle", "sqlstate"),
    [(False, None, None), (True, None, "57P01"), (False, errors.not_allowed("x"), "42501")],
)
async def test_who_has_a_look_takes_no_place(
    draining: bool, obstacle: errors.PgError | None, sqlstate: str | None
) -> None:
    proxy = made()
    proxy._draining = draining
    proxy.prepared = prepared(SimpleNamespace(max_client_connections=0))
    admitted: list[LoggedIn] = []
    proxy._admin = SimpleNamespace(
        is_meant=lambda database: database == "pgbouncer",
        obstacle=lambda login: obstacle,
        admit=lambda login, taken: admitted.append(login),
    )
    ours, theirs = socket.socketpair()
    login = LoggedIn(Stream(ours), "ops", "pgbouncer", (), 0, "")
    with theirs:
        if sqlstate is None:
            await proxy._admit(login)
        else:
            with pytest.raises(LoginFailed) as caught:
                await proxy._admit(login)
            assert caught.value.sqlstate == sqlstate
    assert admitted == ([login] if sqlstate is None else [])
    login.stream.close()


async def test_a_login_that_fails_is_counted_and_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(stream: Stream, policy: object, address: str) -> None:
        stream.close()
        raise LoginFailed("the password is wrong", "app", "28P01")

    monkeypatch.setattr(endpoint, "log_in", fail)
    proxy = made()
    ours, theirs = socket.socketpair()
    with theirs:
        await proxy._log_in(ours, ("192.0.2.7", 4711))
    counts = proxy.sessions.counts
    assert (counts.received, counts.failed, counts.succeeded) == (1, 1, 0)
    (record,) = caplog.records
    assert record.getMessage() == "A client could not log in: the password is wrong"
    assert vars(record)["fields"] == {"client": "192.0.2.7", "user": "app", "sqlstate": "28P01"}


async def test_who_cannot_be_admitted_is_not_left_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever went wrong; the reason is the log's."""

    async def log_in(stream: Stream, policy: object, address: str) -> LoggedIn:
        return LoggedIn(stream, "app", "shop", (), 0, "")

    monkeypatch.setattr(endpoint, "log_in", log_in)
    proxy = made()
    proxy._writers = [SimpleNamespace(manager=SimpleNamespace(pool=lambda database, user: 1 / 0))]
    ours, theirs = socket.socketpair()
    with theirs:
        with pytest.raises(ZeroDivisionError):
            await proxy._log_in(ours, ("192.0.2.7", 4711))
        assert theirs.recv(1000) == b""


@pytest.mark.parametrize("known", [True, False])
async def test_a_cancel_request_reaches_who_shows_the_key_and_gets_no_answer(known: bool) -> None:
    proxy = made()
    cancelled: list[object] = []

    async def cancel(client: object) -> None:
        cancelled.append(client)

    managers = [object(), object()]
    client = SimpleNamespace(pool=SimpleNamespace(manager=managers[1]))
    proxy.sessions.find = lambda pid, key: client if (pid, key) == (7, b"key!") else None
    proxy._writers = [
        SimpleNamespace(manager=managers[0]),
        SimpleNamespace(manager=managers[1], canceller=SimpleNamespace(cancel_client=cancel)),
    ]
    ours, theirs = socket.socketpair()
    with theirs:
        await proxy._cancel(CancelRequest(7, b"key!" if known else b"kex!"), Stream(ours))
        assert theirs.recv(1) == b""
    assert cancelled == ([client] if known else [])
