"""What an endpoint does with clients that come, and with what its database reports."""

import asyncio
import dataclasses
import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from forebay.channel import WorkerProxy
from forebay.config import IamSettings, ProxySettings, TargetSettings
from forebay.identity.access_keys import AccessKey
from forebay.identity.tokens import Reason, generate_db_auth_token
from forebay.net.login import Credentials, LoggedIn, LoginFailed, LoginPolicy, Throttle
from forebay.net.stream import Stream
from forebay.net.tls import self_signed_certificate, server_context
from forebay.protocol.startup import CancelRequest
from forebay.session.settings import InternTable, Parameters
from forebay.worker import proxy as endpoint
from forebay.worker.proxy import Proxy
from forebay.worker.sessions.sessions import Counts


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


def made() -> Any:
    """A proxy without anything behind it."""
    proxy = cast(Any, Proxy.__new__(Proxy))
    proxy._draining = False
    proxy._settings = SimpleNamespace(max_client_connections=2)
    proxy._sessions = SimpleNamespace(clients={}, counts=Counts())
    proxy._agenda = SimpleNamespace(loop=None)
    return proxy


async def test_as_many_as_may_stay_do_and_the_next_does_not() -> None:
    proxy = made()
    watched: list[object] = []
    clients = proxy._sessions.clients

    def admit(login: LoggedIn, pool: object) -> object:
        login.stream.close()
        clients[len(clients)] = pool
        return pool

    proxy._sessions.admit = admit
    proxy._manager = SimpleNamespace(pool=lambda database, user: (database, user))
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


async def test_a_login_that_fails_is_counted_and_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(stream: Stream, policy: object, address: str) -> None:
        stream.close()
        raise LoginFailed("the password is wrong", "app", "28P01")

    monkeypatch.setattr(endpoint, "log_in", fail)
    proxy = made()
    proxy._policy = SimpleNamespace(require_tls=False)
    ours, theirs = socket.socketpair()
    with theirs:
        await proxy._log_in(ours, ("192.0.2.7", 4711))
    counts = proxy._sessions.counts
    assert (counts.received, counts.failed, counts.succeeded) == (1, 1, 0)
    (record,) = caplog.records
    assert record.getMessage() == "A client could not log in: the password is wrong"
    assert vars(record)["fields"] == {"client": "192.0.2.7", "user": "app", "sqlstate": "28P01"}


@pytest.mark.parametrize("known", [True, False])
async def test_a_cancel_request_reaches_who_shows_the_key_and_gets_no_answer(known: bool) -> None:
    proxy = made()
    cancelled: list[object] = []

    async def cancel(client: object) -> None:
        cancelled.append(client)

    proxy._sessions.find = lambda pid, key: "client" if (pid, key) == (7, b"key!") else None
    proxy._canceller = SimpleNamespace(cancel_client=cancel)
    ours, theirs = socket.socketpair()
    with theirs:
        await proxy._cancel(CancelRequest(7, b"key!" if known else b"kex!"), Stream(ours))
        assert theirs.recv(1) == b""
    assert cancelled == (["client"] if known else [])


async def test_tls_is_not_demanded_where_nobody_could_overhear() -> None:
    proxy = made()
    proxy._policy = LoginPolicy(
        credentials=await Credentials.derive([], previous=None),
        require_tls=True,
        tls_context=server_context(*self_signed_certificate()),
        throttle=Throttle(),
        login_timeout_s=1.0,
        refuse_options=False,
    )
    for family, required in ((socket.AF_UNIX, False), (socket.AF_INET, True)):
        with socket.socket(family) as sock:
            policy = proxy._policy_for(sock)
        assert policy == dataclasses.replace(proxy._policy, require_tls=required)


async def test_a_database_that_reports_something_else_is_not_greeted_for_from_memory() -> None:
    proxy, intern = made(), InternTable()
    forgotten: list[str] = []
    proxy._reported = {}
    kept: list[Parameters] = []

    def forget() -> None:
        forgotten.append(kept[-1].values["server_version"])

    proxy._sessions.greetings = SimpleNamespace(forget=forget)
    for version in ("15.0", "15.0", "16.0", "16.0"):
        kept.append(intern.parameters({"server_version": version}))
        server = SimpleNamespace(parameters=kept[-1])

        async def opened(pool: object, server: object = server) -> tuple[object, tuple[int, int]]:
            return server, (100, 3)

        proxy._opener = SimpleNamespace(open=opened)
        pool = SimpleNamespace(database="shop", user="app")
        assert await proxy._open(pool) == (server, (100, 3))
    assert forgotten == ["16.0"]


def given(iam: IamSettings | None) -> WorkerProxy:
    certificate, key = self_signed_certificate()
    return WorkerProxy(
        name="app",
        listen_fds=[],
        settings=ProxySettings(target=TargetSettings(hosts=["db:5432"]), iam=iam),
        credentials=[],
        tls_certificate_pem=certificate,
        tls_private_key_pem=key,
        access_keys=[AccessKey("AKIA1", "s3cret")],
    )


async def test_tokens_are_verified_by_what_the_node_gives() -> None:
    iam = IamSettings(verifier="keys", region="us-east-1", hosts=["Db:6432"], access_keys=["env:K"])
    policy = await endpoint._policy(given(iam), None)
    token = generate_db_auth_token("db", 6432, "app", "us-east-1", AccessKey("AKIA1", "s3cret"), 0)
    token = token.replace("1970", "2970")
    assert policy.verifier is not None
    refusal = await policy.verifier.check(token.encode(), "app", "192.0.2.1")
    assert refusal is not None
    assert refusal.reason is Reason.FROM_THE_FUTURE  # host, region and user are right
    assert (await endpoint._policy(given(None), policy)).verifier is None
