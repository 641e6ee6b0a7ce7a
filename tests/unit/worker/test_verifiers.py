"""Tokens that somebody else verifies: the database, or the node."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from forebay.channel import CallError, DatabaseLogin, Verified, VerifyToken
from forebay.identity.access_keys import AccessKey
from forebay.identity.presented import AcceptedTokens, VerifyingLimit
from forebay.identity.tokens import Reason, Refusal, generate_db_auth_token
from forebay.net.connector import ConnectError, IamToken
from forebay.net.tasks import spawn
from forebay.protocol.errors import PgError, Severity
from forebay.worker.identities import Attempt
from forebay.worker.verifiers import ByDatabase, ByNode

KEY = AccessKey("AKIA1", "s3cret")
REJECTED = PgError(Severity.FATAL, "28000", "PAM authentication failed")


def token(host: str = "db", user: str = "app", *, age_s: float = 0.0) -> bytes:
    now_s = time.time() - age_s
    return generate_db_auth_token(host, 5432, user, "us-east-1", KEY, now_s).encode()


class Database:
    """Takes every token but where `error` says otherwise."""

    def __init__(self, *, at_a_time: int = 20) -> None:
        self.asked: list[tuple[Attempt, str]] = []
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.accepted = AcceptedTokens()
        limit = VerifyingLimit(at_a_time=at_a_time)
        self.verifier = ByDatabase(["db:5432"], self.accepted, limit, self.log_in)

    async def log_in(self, attempt: Attempt, database: str) -> None:
        self.asked.append((attempt, database))
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error

    async def check(self, shown: bytes, user: str = "app") -> Refusal | None:
        return await self.verifier.check(shown, user, "192.0.2.1", "shop")


async def reason(database: Database, shown: bytes, user: str = "app") -> Reason:
    refusal = await database.check(shown, user)
    assert refusal is not None
    return refusal.reason


async def test_the_database_is_asked_once_for_a_token() -> None:
    database, shown = Database(), token()
    assert await database.check(shown) is None
    assert await database.check(shown) is None
    login = DatabaseLogin("app", "")
    assert database.asked == [(Attempt("app", IamToken(shown.decode()), login), "shop")]
    assert database.accepted.newest("app", time.time()) == shown


@pytest.mark.parametrize(
    ("shown", "user", "expected"),
    [
        (lambda: token("elsewhere"), "app", Reason.WRONG_HOST),
        (token, "other", Reason.WRONG_USER),
        (lambda: token(age_s=1000), "app", Reason.EXPIRED),
        (lambda: token(age_s=-1000), "app", Reason.FROM_THE_FUTURE),
        (lambda: b"hunter2", "app", Reason.NOT_A_TOKEN),
        (lambda: b"\xff\xfe", "app", Reason.NOT_A_TOKEN),
    ],
)
async def test_what_cannot_be_right_does_not_reach_the_database(
    shown: Callable[[], bytes], user: str, expected: Reason
) -> None:
    """The tokens are made when they are shown: other tests may come for long before."""
    database = Database()
    assert await reason(database, shown(), user) is expected
    assert database.asked == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (REJECTED, "the database says: PAM authentication failed"),
        (ConnectError("db:5432: no route", transient=True), "can't verify it: db:5432: no route"),
    ],
)
async def test_what_the_database_does_not_take_is_refused_and_asked_about_again(
    error: Exception, said: str
) -> None:
    database, shown = Database(), token()
    database.error = error
    refusal = await database.check(shown)
    assert refusal is not None
    assert said in refusal.sentence
    assert shown.decode() not in refusal.sentence
    database.error = None
    assert await database.check(shown) is None


async def test_an_accepted_token_of_somebody_else_is_not_ones_own() -> None:
    database, shown = Database(), token()
    assert await database.check(shown) is None
    assert await reason(database, shown, "other") is Reason.WRONG_USER


async def test_no_more_ask_at_a_time_than_the_limit() -> None:
    database = Database(at_a_time=1)
    database.gate = asyncio.Event()
    first = spawn(database.check(token(user="a"), "a"))
    await asyncio.sleep(0)
    assert await reason(database, token(user="b"), "b") is Reason.TOO_MANY
    database.gate.set()
    assert await first is None
    assert await database.check(token(user="b"), "b") is None


async def test_a_login_that_is_given_up_leaves_its_place_to_others() -> None:
    database = Database(at_a_time=1)
    database.gate = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await database.check(token())
    database.gate.set()
    assert await database.check(token()) is None


class Node:
    def __init__(self, answer: Verified | CallError) -> None:
        self.answer = answer
        self.asked: list[object] = []

    async def ask(self, request: Any, expected: type[Any], timeout_s: float) -> Any:
        self.asked.append(request)
        assert expected is Verified
        if isinstance(self.answer, CallError):
            raise self.answer
        return self.answer


async def test_the_node_verifies() -> None:
    node = Node(Verified())
    assert await ByNode("shop", node.ask).check(b"t0ken", "app", "192.0.2.1", "db") is None
    assert node.asked == [VerifyToken(proxy="shop", user="app", peer="192.0.2.1", token=b"t0ken")]
    assert "t0ken" not in repr(node.asked)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            Verified(reason=Reason.POLICY.value, sentence="no statement allows"),
            Refusal(Reason.POLICY, "no statement allows"),
        ),
        (
            CallError("the node is gone"),
            Refusal(Reason.STS_FAILED, "it can't be verified: the node is gone"),
        ),
    ],
)
async def test_what_the_node_does_not_verify_is_refused(
    answer: Verified | CallError, expected: Refusal
) -> None:
    node = Node(answer)
    assert await ByNode("shop", node.ask).check(b"x", "app", "192.0.2.1", "db") == expected
