"""Users who are looked up in the database: over a connection of its own, that is played."""

import asyncio
import base64
import contextlib
import logging
import socket
from typing import Any, cast

import pytest

from forebay.net.connector import ConnectError, DatabaseConnection
from forebay.net.login import UserAuth
from forebay.net.stream import Stream
from forebay.net.tasks import spawn
from forebay.protocol import md5, messages
from forebay.protocol.errors import PgError, Severity
from forebay.worker import auth_query as module
from forebay.worker.auth_query import FRESH_S, IDLE_S, QUERY_TIMEOUT_S, AuthQuery
from tests.unit.net.servers import READY, data_row
from tests.unit.worker.clock import Clock

QUERY = "SELECT usename, passwd FROM users WHERE usename = $1"
HASH = "md5" + md5.stored_hash("app", "hush")
KEY = base64.b64encode(bytes(32)).decode()
SCRAM = f"SCRAM-SHA-256$4096:{base64.b64encode(bytes(16)).decode()}${KEY}:{KEY}"
BEGINNING = messages.message(b"1", b"") + messages.message(b"2", b"")
END = messages.message(b"C", b"SELECT 1\0") + READY


def answer(*rows: tuple[str | None, ...]) -> bytes:
    return BEGINNING + b"".join(data_row(*row) for row in rows) + END


DENIED = PgError(Severity.ERROR, "42501", "permission denied for table users").encode() + READY


class Database:
    """``answers``: to each question, also on the connection that is open; else it is silent."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.answers: list[bytes] = []
        self.refusals: list[Exception] = []
        self.theirs: list[socket.socket] = []
        self.made = AuthQuery(cast(Any, self.clock), QUERY, self.connect)

    async def connect(self) -> DatabaseConnection:
        if self.refusals:
            raise self.refusals.pop(0)
        here, there = socket.socketpair()
        there.setblocking(False)
        self.theirs.append(there)
        self._answer_next()
        return DatabaseConnection(Stream(here), 1, b"", {}, False, (socket.AF_INET, ("x", 1)))

    def _answer_next(self) -> None:
        if self.answers:
            self.theirs[-1].sendall(self.answers.pop(0))

    async def find(self, user: str = "app") -> UserAuth | None:
        """As a login would do."""
        if self.made._connection is not None:
            self._answer_next()
        async with asyncio.timeout(30):
            return await self.made.find(user)

    def asked(self, number: int = -1) -> bytes:
        return self.theirs[number].recv(100_000)

    def is_closed(self, number: int = -1) -> bool:
        try:
            while self.theirs[number].recv(100_000):
                pass
        except BlockingIOError:
            return False
        except ConnectionError:
            pass
        return True

    def close(self) -> None:
        self.made.close_connection()
        for each in self.theirs:
            each.close()


@pytest.fixture
def database() -> Any:
    made = Database()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("stored", "method"), [(HASH, "md5"), (SCRAM, "scram-sha-256"), ("plain", "scram-sha-256")]
)
async def test_a_user_is_found_with_the_method_that_fits(
    database: Database, stored: str, method: str
) -> None:
    database.answers = [answer(("app", stored))]
    found = await database.find()
    assert found is not None
    assert (found.user, found.method, found.passwords) == ("app", method, (stored,))
    asked = database.asked()
    assert QUERY.encode() in asked
    assert b"\0\0\0\3app" in asked, "the name is bound as a parameter"


async def test_a_user_whom_the_database_does_not_know(database: Database) -> None:
    database.answers = [answer()]
    assert await database.find() is None


async def test_a_name_that_is_no_text_does_not_reach_the_database(database: Database) -> None:
    assert await database.find("app\udcff") is None
    assert database.theirs == []


async def test_the_connection_is_kept_and_what_was_just_found_not_asked_for_again(
    database: Database,
) -> None:
    database.answers = [answer(("app", HASH)), answer(("app", SCRAM))]
    first = await database.find()
    database.asked()
    assert await database.made.find("app") is first
    assert database.theirs[0].fileno() >= 0
    with pytest.raises(BlockingIOError):
        database.asked()
    database.clock.pass_time(FRESH_S)
    second = await database.find()
    assert second is not None
    assert (second.method, len(database.theirs)) == ("scram-sha-256", 1)


async def test_a_user_who_is_gone_is_not_found_any_more(database: Database) -> None:
    database.answers = [answer(("app", HASH)), answer()]
    assert await database.find() is not None
    database.clock.pass_time(FRESH_S)
    assert await database.find() is None


async def test_what_has_not_changed_is_not_derived_again(database: Database) -> None:
    database.answers = [answer(("app", HASH)), answer(("app", HASH))]
    first = await database.find()
    database.clock.pass_time(FRESH_S)
    assert await database.find() is first


async def test_a_connection_that_was_closed_meanwhile_is_opened_anew(database: Database) -> None:
    database.answers = [answer(("app", HASH))]
    await database.find()
    database.theirs[0].shutdown(socket.SHUT_WR)
    database.clock.pass_time(FRESH_S)
    database.answers = [answer(("app", SCRAM))]
    found = await database.made.find("app")
    assert found is not None
    assert found.passwords == (SCRAM,)
    assert len(database.theirs) == 2
    assert database.is_closed(0)


async def test_a_connection_that_nobody_needs_is_closed(database: Database) -> None:
    database.answers = [answer(("app", HASH)), answer(("app", HASH)), answer(("app", HASH))]
    await database.find()
    database.clock.pass_time(IDLE_S - 1)
    await database.find()
    database.clock.pass_time(IDLE_S - 1)
    assert not database.is_closed()
    database.clock.pass_time(1)
    assert database.is_closed()
    assert await database.find("app") is not None
    assert len(database.theirs) == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (DENIED, "permission denied for table users"),
        (answer(("app", HASH), ("app", HASH)), "returns 2 rows"),
        (answer(("App", HASH)), "another user"),
        (answer((HASH,)), "returns 1 columns"),
        (messages.message(b"R", b""), "unexpected message"),
    ],
)
async def test_what_goes_wrong_is_told_without_what_was_answered(
    database: Database, given: bytes, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    database.answers = [given]
    with caplog.at_level(logging.WARNING):
        assert await database.find() is None
    assert HASH not in caplog.text
    assert said in caplog.text
    (record,) = caplog.records
    assert vars(record)["fields"] == {"user": "app"}
    assert database.is_closed()


@pytest.mark.parametrize(
    "refusal",
    [
        ConnectError("db:5432: Connection refused", transient=True),
        PgError(Severity.FATAL, "28P01", "password authentication failed"),
    ],
)
async def test_without_the_database_nobody_is_found_and_it_is_asked_again(
    database: Database, refusal: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    database.refusals = [refusal]
    assert await database.find() is None
    assert str(refusal) in caplog.text
    database.answers = [answer(("app", HASH))]
    assert await database.find() is not None, "a failure is not remembered"


async def test_one_who_is_slow_is_given_up(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert QUERY_TIMEOUT_S > 1
    monkeypatch.setattr(module, "QUERY_TIMEOUT_S", 0.01)
    assert await database.find() is None
    assert "did not answer in time" in caplog.text
    assert database.is_closed()


async def test_a_login_that_is_given_up_leaves_no_answer_for_the_next(database: Database) -> None:
    """The answer to its question would be taken for the answer to the next one."""
    database.answers = [answer(("other", HASH))]
    await database.find("other")
    database.asked()
    asking = spawn(database.made.find("stranger"))
    while True:  # until it has been asked
        await asyncio.sleep(0)
        with contextlib.suppress(BlockingIOError):
            assert b"stranger" in database.asked()
            break
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    with contextlib.suppress(BrokenPipeError):
        database.theirs[0].sendall(answer())
    database.answers = [answer(("app", HASH))]
    found = await database.find()
    assert found is not None
    assert (found.user, len(database.theirs)) == ("app", 2)


async def test_logins_wait_for_each_other_and_one_connection_serves_them(
    database: Database,
) -> None:
    database.answers = [answer(("a", HASH)) + answer(("b", HASH))]
    found = await asyncio.gather(database.made.find("a"), database.made.find("b"))
    assert [each and each.user for each in found] == ["a", "b"]
    assert len(database.theirs) == 1


async def test_no_more_are_remembered_than_a_limit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 2)
    database.answers = [answer(), answer(), answer()]
    for user in ("a", "b", "c"):
        await database.find(user)
    assert list(database.made._known) == ["b", "c"]
