"""A control connection, before servers that do everything wrong."""

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest

from forebay.net.connector import ConnectError, Target
from forebay.net.tls import ClientContexts
from forebay.protocol import messages
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.messages import MalformedMessageError, Message
from forebay.topology.control import (
    APPLICATION_NAME,
    MAX_ANSWER_BYTES,
    Control,
    ControlLogin,
    said_unasked,
)
from forebay.topology.questions import Lag
from forebay.topology.reports import HintKind
from tests.harness.fake_postgres import READY, FakePostgres, error, notice, rows
from tests.unit.topology.servers import answering, lacking

LOGIN = ControlLogin("watcher", "secret", "postgres")


@pytest.fixture
async def server() -> AsyncIterator[FakePostgres]:
    async with FakePostgres(answering()) as fake:
        yield fake


class Ending:
    """Keeps what it is told, and waits for it."""

    def __init__(self) -> None:
        self.kinds: list[HintKind] = []
        self._told = asyncio.Event()

    def __call__(self, kind: HintKind) -> None:
        self.kinds.append(kind)
        self._told.set()

    async def wait(self) -> list[HintKind]:
        await self._told.wait()
        return self.kinds


async def opened(
    server: FakePostgres, *logins: ControlLogin, ending: Ending | None = None
) -> Control:
    # Nobody listens at the first.
    places = [Target("127.0.0.1", 1), Target("127.0.0.1", server.port)]
    return await Control.open(places, logins or [LOGIN], 10.0, ClientContexts(), ending or Ending())


def test_a_login_is_not_printed() -> None:
    assert "secret" not in repr(LOGIN)


async def test_it_is_asked_over_one_connection(server: FakePostgres) -> None:
    control = await opened(server)
    for _ in range(3):
        assert (await control.report(Lag())).timeline == 1
    control.close()
    assert [each["application_name"] for each in server.startups] == [APPLICATION_NAME]
    # What a server's start has fixed is asked once.
    assert sum("pg_postmaster_start_time" in each for each in server.asked) == 1


async def test_functions_that_there_are_not(server: FakePostgres) -> None:
    server.answer = lacking("pg_control_system", "pg_current_wal_lsn", "pg_last_wal_receive_lsn")
    control = await opened(server)
    report = await control.report(Lag())
    assert (report.system_id, report.timeline, report.max_connections) == ("", 0, 100)
    before = len(server.asked)
    await control.report(Lag())
    assert len(server.asked) == before + 1  # it remembers what it can't ask
    control.close()


async def test_another_form(server: FakePostgres) -> None:
    missing = "pg_last_xact_replay_timestamp", "pg_last_wal_receive_lsn"
    server.answer = lacking(*missing, in_recovery="t", timeline=None, replayed_age_s="0.02")
    control = await opened(server)
    assert (await control.report(Lag())).lag_s == 0.02
    assert "aurora_replica_status" in server.asked[-1]
    control.close()


async def test_what_is_no_postgresql_at_all(server: FakePostgres) -> None:
    server.answer = lacking("pg_is_in_recovery")
    control = await opened(server)
    with pytest.raises(PgError):
        await control.report(Lag())
    control.close()


async def test_errors_that_are_not_the_questions(server: FakePostgres) -> None:
    server.answer = lambda sql: error("57014")  # a statement_timeout of the role's
    control = await opened(server)
    with pytest.raises(PgError):
        await control.report(Lag())
    assert len(server.asked) == 1
    assert control.is_open
    server.answer = answering()
    assert (await control.report(Lag())).timeline == 1
    control.close()


async def test_a_question_that_fails_each_time_in_no_part(server: FakePostgres) -> None:
    """It is given up after a few rounds."""
    server.answer = lambda sql: error("XX000") if sql.count("pg_catalog.") > 8 else rows([None])
    control = await opened(server)
    with pytest.raises(PgError):
        await control.report(Lag())
    assert len(server.asked) < 50
    control.close()


@pytest.mark.parametrize("sqlstate", ["57P01", "57P02", "57P03"])
async def test_an_end_that_is_told_in_an_answer(server: FakePostgres, sqlstate: str) -> None:
    for said in (notice(sqlstate), error(sqlstate, Severity.FATAL)):
        server.answer = lambda sql, said=said: said  # type: ignore[misc]
        control = await opened(server)
        with pytest.raises(PgError) as caught:
            await control.report(Lag())
        assert caught.value.sqlstate == sqlstate
        assert not control.is_open


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (notice("57P01"), "terminated"),
        (notice("57P02"), "crashed"),
        (error("57P01", Severity.FATAL), "terminated"),
        (error("57P05", Severity.FATAL), "lost"),
        (b"nonsense", "lost"),
        (messages.message(b"D", b""), "lost"),
    ],
)
async def test_an_end_that_is_told_unasked(
    server: FakePostgres, said: bytes, kind: HintKind
) -> None:
    ending = Ending()
    control = await opened(server, ending=ending)
    await control.report(Lag())
    await server.say(notice("01000") + messages.message(b"S", b"is_superuser\0off\0") + said)
    assert await ending.wait() == [kind]
    assert not control.is_open
    with pytest.raises(ConnectionError):
        await control.report(Lag())


async def test_an_end_without_a_word(server: FakePostgres) -> None:
    ending = Ending()
    control = await opened(server, ending=ending)
    await control.report(Lag())
    await server.end()
    assert await ending.wait() == ["lost"]
    control.close()


async def test_talk_without_an_end(server: FakePostgres) -> None:
    ending = Ending()
    control = await opened(server, ending=ending)
    await control.report(Lag())
    await server.say(notice("01000") * 2_000)
    assert await ending.wait() == ["lost"]
    assert not control.is_open


async def test_answers_without_an_end(server: FakePostgres) -> None:
    server.answer = lambda sql: notice("01000") * (MAX_ANSWER_BYTES // 10)
    control = await opened(server)
    with pytest.raises(MalformedMessageError):
        await control.report(Lag())
    assert not control.is_open


async def test_a_closed_one_tells_nothing(server: FakePostgres) -> None:
    ending = Ending()
    control = await opened(server, ending=ending)
    await control.report(Lag())
    control.close()
    control.close()
    await server.end()
    await asyncio.sleep(0)
    assert ending.kinds == []


async def test_logins_are_tried_newest_first(server: FakePostgres) -> None:
    server.refusal = lambda user: error("28P01", Severity.FATAL) if user == "new" else None
    new, old = (ControlLogin(each, "secret", "postgres") for each in ("new", "old"))
    (await opened(server, new, old)).close()
    assert server.users == ["new", "old"]
    with pytest.raises(PgError) as caught:
        await opened(server, new)
    assert caught.value.sqlstate == "28P01"


async def test_a_server_that_starts_is_not_asked_twice(server: FakePostgres) -> None:
    server.refusal = lambda user: error("57P03", Severity.FATAL)
    with pytest.raises(PgError):
        await opened(server, LOGIN, LOGIN)
    assert len(server.users) == 1


async def test_no_login() -> None:
    target = Target("127.0.0.1", 1)
    with pytest.raises(ConnectError) as caught:
        await Control.open([target], [], 10.0, ClientContexts(), Ending())
    assert caught.value.kind == "auth"


async def test_a_query(server: FakePostgres) -> None:
    server.answer = lambda sql: rows(["a", None], ["b", "c"])
    control = await opened(server)
    assert await control.rows("SELECT something") == [["a", None], ["b", "c"]]
    control.close()


def test_what_is_said_unasked() -> None:
    assert said_unasked(Message(ord("S"), b"a\0b\0")) is None
    assert said_unasked(Message(ord("A"), struct.pack("!i", 1) + b"a\0b\0")) is None
    assert said_unasked(Message(READY[0], b"I")) == "lost"
