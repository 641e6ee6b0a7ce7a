"""What is asked, of whom, and what the answer is held against. Messages: test_login.py."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from forebay.identity.tokens import Reason, Refusal
from forebay.net.login import (
    Credentials,
    LoginPolicy,
    Throttle,
    UserAuth,
    UserEntry,
    derive_user,
)
from forebay.net.login.authentication import Authentication
from forebay.net.login.kept import Proof
from forebay.net.stream import PeerGoneError, Stream
from forebay.protocol import messages
from forebay.protocol.errors import PgError

APP = UserEntry("app", ("secret",), "iam-or-md5")
Newer = Callable[[str], Awaitable[UserAuth | None]]


class Storm:
    """Of all tokens it says that there are too many."""

    async def check(self, token: bytes, _: str, peer: str, database: str) -> Refusal | None:
        assert peer == "192.0.2.1"
        is_token = token.startswith(b"token")
        return Refusal(Reason.TOO_MANY if is_token else Reason.NOT_A_TOKEN, "a storm")


class Asked:
    """Newer credentials, and how often they were asked for."""

    def __init__(self, newer: UserAuth | None) -> None:
        self._newer = newer
        self.users: list[str] = []

    async def __call__(self, user: str) -> UserAuth | None:
        self.users.append(user)
        return self._newer


async def run(
    password: str, policy: LoginPolicy, user: str = "app", names: bytes | None = None
) -> tuple[Authentication, Proof | PgError]:
    """One login of a client that answers with this password, as if TLS were there."""
    ours, theirs = socket.socketpair()
    stream, client = Stream(ours), Stream(theirs)
    tls = SimpleNamespace(
        context=SimpleNamespace(
            end_point=None, verify_mode=ssl.CERT_NONE if names is None else ssl.CERT_OPTIONAL
        ),
        getpeercert=lambda binary_form: names,
    )

    class Encrypted:
        """The stream, but for its encryption."""

        tls: Any = None
        drain, write, read_message = stream.drain, stream.write, stream.read_message

    encrypted = Encrypted()
    encrypted.tls = tls
    authentication = Authentication(cast(Stream, encrypted), policy, "192.0.2.1")
    try:
        client.write(messages.password_message(password))
        await client.drain()
        return authentication, await authentication.run(user, "shop")
    except PgError as error:
        return authentication, error
    finally:
        stream.close()
        client.close()


async def policy(*entries: UserEntry, newer: Newer | None = None) -> LoginPolicy:
    throttle = Throttle(first_delay_s=0, max_delay_s=0)
    credentials = await Credentials.derive(entries)
    return LoginPolicy(credentials, throttle=throttle, newer=newer, verifier=Storm())


async def test_newer_credentials_are_asked_for_after_a_wrong_password() -> None:
    newer = Asked(await derive_user(replace(APP, passwords=("newer",))))
    given = await policy(APP, newer=newer)
    for password, times in (("secret", 0), ("newer", 1)):
        _, proof = await run(password, given)
        assert proof == Proof()
        assert newer.users == ["app"] * times
    assert given.throttle.wrong_passwords == 0
    _, error = await run("wrong", given)
    assert isinstance(error, PgError)
    assert (error.sqlstate, newer.users) == ("28P01", ["app"] * 2)
    assert given.throttle.wrong_passwords == 1


async def test_there_may_be_nothing_newer() -> None:
    newer = Asked(None)
    _, error = await run("wrong", await policy(APP, newer=newer))
    assert isinstance(error, PgError)
    assert (error.sqlstate, newer.users) == ("28P01", ["app"])


@pytest.mark.parametrize(("password", "right"), [("secret", True), ("wrong", False)])
async def test_users_who_were_not_known(password: str, right: bool) -> None:
    """They are asked as they have to be, once they are known."""
    newer = Asked(await derive_user(APP))
    _, outcome = await run(password, await policy(newer=newer))
    assert newer.users == ["app"]
    if right:
        assert outcome == Proof()
    else:
        assert isinstance(outcome, PgError)
        assert outcome.sqlstate == "28P01"


async def test_users_whom_nobody_knows() -> None:
    newer = Asked(None)
    entry = UserEntry("lambda", (), "iam")
    authentication, error = await run("token", await policy(entry, newer=newer), "ghost")
    assert isinstance(error, PgError)
    assert (error.sqlstate, error.message[:27]) == ("28000", "This RDS proxy has no crede")
    assert newer.users == ["ghost"]
    assert authentication.reason == ""


async def test_newer_credentials_may_demand_more() -> None:
    newer = Asked(await derive_user(replace(APP, passwords=("newer",), client_cert="verify-ca")))
    authentication, error = await run("newer", await policy(APP, newer=newer))
    assert isinstance(error, PgError)
    assert error.message == "connection requires a valid client certificate"
    assert "no authority is configured" in authentication.reason


async def test_a_certificate_besides_the_password() -> None:
    for demand in ("verify-ca", "verify-full"):
        entry = UserEntry("app", ("secret",), "iam-or-md5", demand)  # type: ignore[arg-type]
        given = await policy(entry)
        _, outcome = await run("secret", given, names=b"unreadable")
        if demand == "verify-ca":
            assert outcome == Proof()
        else:
            assert isinstance(outcome, PgError)
            assert outcome.message == 'certificate authentication failed for user "app"'
        _, wrong = await run("wrong", given, names=b"unreadable")
        assert isinstance(wrong, PgError)
        assert wrong.sqlstate == "28P01"


async def test_a_storm_is_no_wrong_password() -> None:
    given = await policy(UserEntry("lambda", (), "iam"))
    authentication, error = await run("token", given, "lambda")
    assert isinstance(error, PgError)
    assert "too many competing requests" in error.message
    assert authentication.reason == "a storm"
    assert given.throttle.wrong_passwords == 0


async def test_no_answer() -> None:
    ours, theirs = socket.socketpair()
    stream, client = Stream(ours), Stream(theirs)
    given = await policy(UserEntry("old", ("secret",), "md5"))
    login = asyncio.ensure_future(Authentication(stream, given, "192.0.2.1").run("old", "shop"))
    client.write(messages.terminate())
    await client.drain()
    with pytest.raises(PeerGoneError):
        await login
    stream.close()
    client.close()
