"""A database connection is made ready: before a database that has said everything already."""

import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from forebay.channel import CallError, Credential, DatabaseLogin
from forebay.net import connector
from forebay.net.connector import ConnectError, DatabaseConnection, Target
from forebay.net.stream import Stream
from forebay.net.tls import ClientContexts
from forebay.protocol import messages
from forebay.protocol.errors import PgError, Severity
from forebay.relay import Relay, Server
from forebay.worker.identities import Identities
from forebay.worker.kept import parameters_of
from forebay.worker.pool.budget import LIMITS_QUERY
from forebay.worker.pool.opener import (
    AGE_SPREAD,
    BEGINNING_QUERY,
    TIMEOUT_QUERY,
    Login,
    Opener,
)
from tests.unit.net.servers import READY, data_row
from tests.unit.worker.pool.pools import World

TARGET = Target("db.internal")
INIT_QUERY = "SET a.b = 1"
LIMITS = data_row("100", "3", "2", "0") + READY
BEGINNING = data_row('"$user", public', "public", "0") + READY
DONE = messages.message(b"C", b"SET\0") + READY


def identities(user: str, *passwords: str) -> Identities:
    """One user with these passwords at the database, newest first."""
    made = Identities("app", lambda: TARGET, no_node)
    made.use(
        [
            Credential(
                username=user,
                identity=user,
                logins=tuple(DatabaseLogin(user, each) for each in passwords),
            )
        ]
    )
    return made


async def no_node(*_: object) -> Any:
    raise CallError("there is no node")


async def nothing_newer(_: str) -> bool:
    return False


class Database:
    """What connections are opened to. `answers`: to each question, whatever it is."""

    def __init__(self, relay: Relay) -> None:
        self.world = World()
        self.answers: list[bytes] = [LIMITS, BEGINNING]
        self.passwords: list[str | None] = []
        self.refusals: dict[str | None, Exception] = {}  # by password
        self.sockets: list[socket.socket] = []
        self.servers: list[Server] = []
        self.opener = Opener(
            cast(Any, SimpleNamespace(poller=relay.poller)),
            self.world.intern,
            self.login(),
            lambda: TARGET,
            ClientContexts(),
        )

    def login(self, init_query: str = "", connect_timeout_s: float = 60.0) -> Login:
        return Login(identities("app", "hush"), nothing_newer, init_query, connect_timeout_s)

    async def connect(
        self, target: Target, *, password: str | None, **how: Any
    ) -> DatabaseConnection:
        assert target is TARGET
        assert (how["user"], how["database"], how["parameters"]) == ("app", "shop", {})
        self.passwords.append(password)
        if password in self.refusals:
            raise self.refusals[password]
        here, there = socket.socketpair()
        there.sendall(b"".join(self.answers))
        there.setblocking(False)
        self.sockets.append(there)
        parameters = {"server_version": "15.0", "client_encoding": "UTF8"}
        place = (socket.AF_INET, ("192.0.2.1", 5432))
        return DatabaseConnection(Stream(here), 4711, b"key!", parameters, False, place)

    async def open(self, user: str = "app") -> tuple[Server, tuple[int, int]]:
        server, told = await self.opener.open(self.world.pool(user))
        self.servers.append(server)
        return server, told

    def asked(self) -> bytes:
        return self.sockets[-1].recv(100_000)

    def close(self) -> None:
        for server in self.servers:
            server.shut("the test is over")
        for sock in self.sockets:
            sock.close()


@pytest.fixture
async def database(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    relay = Relay()
    made = Database(relay)
    monkeypatch.setattr(connector, "connect", made.connect)
    yield made
    made.close()
    relay.close()


async def test_a_connection_knows_what_it_is_and_tells_the_limits(database: Database) -> None:
    server, told = await database.open()
    assert told == (100, 5)
    assert (server.pid, server.cancel_key) == (4711, b"key!")
    assert server.place == (socket.AF_INET, ("192.0.2.1", 5432))
    assert server.pool is database.world.pool()
    assert server.settings is database.world.intern.none
    assert server.search_path == '"$user", public'
    assert not server.begins_hasty
    assert not server.begins_under_pg_temp
    assert 1.0 - AGE_SPREAD <= server.age_jitter <= 1.0
    assert not server.retired
    assert database.passwords == ["hush"]
    assert database.asked() == messages.query(LIMITS_QUERY) + messages.query(BEGINNING_QUERY)


async def test_init_query_runs_before_anybody_looks_what_it_has_made(database: Database) -> None:
    database.opener.login = database.login(INIT_QUERY)
    reported = messages.parameter_status("TimeZone", "Asia/Tokyo")
    database.answers = [LIMITS, reported + DONE, data_row("0") + READY, BEGINNING]
    server, _ = await database.open()
    questions = (LIMITS_QUERY, INIT_QUERY, TIMEOUT_QUERY, BEGINNING_QUERY)
    assert database.asked() == b"".join(map(messages.query, questions))
    assert parameters_of(server).values["TimeZone"] == "Asia/Tokyo"


async def test_an_init_query_that_fails_says_so_and_the_connection_is_closed(
    database: Database,
) -> None:
    database.opener.login = database.login(INIT_QUERY)
    refused = PgError(Severity.ERROR, "42704", "no such setting", "a detail")
    database.answers = [LIMITS, refused.encode() + READY]
    with pytest.raises(PgError) as caught:
        await database.open()
    assert caught.value.sqlstate == "42704"
    assert caught.value.message == "init_query failed: no such setting"
    assert caught.value.detail == "a detail"
    assert database.asked().endswith(messages.query(INIT_QUERY) + messages.terminate())
    assert database.asked() == b""


async def test_what_the_database_says_of_forebays_own_question_is_not_init_querys(
    database: Database,
) -> None:
    database.answers = [PgError(Severity.ERROR, "42501", "permission denied").encode() + READY]
    with pytest.raises(PgError, match=r"^permission denied$"):
        await database.open()
    assert database.asked().endswith(messages.terminate())


async def test_a_user_without_a_password_here_is_refused_and_nobody_is_asked(
    database: Database,
) -> None:
    with pytest.raises(PgError) as caught:
        await database.open("stranger")
    assert (caught.value.sqlstate, caught.value.severity.value) == ("28000", "FATAL")
    assert "stranger" in caught.value.message
    assert database.passwords == []


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([READY], "did not tell its connection limits"),
        ([data_row("100", "3", "0", None) + READY], "did not tell its connection limits"),
        ([data_row("0", "3", "0", "0") + READY], "impossible connection limits"),
        ([LIMITS, READY], "did not tell what its sessions begin with"),
        ([LIMITS, data_row("public", None, "0") + READY], "did not tell what its sessions begin"),
        ([LIMITS, messages.message(b"R")], "unexpected message"),
    ],
)
async def test_what_is_no_postgresql_is_not_asked_again(
    database: Database, answers: list[bytes], said: str
) -> None:
    database.answers = answers
    with pytest.raises(ConnectError, match=said) as caught:
        await database.open()
    assert not caught.value.transient
    assert database.asked().endswith(messages.terminate())


async def test_one_that_does_not_answer_in_time_may_be_asked_again(database: Database) -> None:
    database.answers = [LIMITS]
    database.opener.login = database.login(connect_timeout_s=0.0)
    with pytest.raises(ConnectError, match="did not answer in time") as caught:
        await database.open()
    assert caught.value.transient
    assert database.asked().endswith(messages.terminate())


@pytest.mark.parametrize(
    ("path", "reset_to", "limit", "under_pg_temp", "hasty"),
    [
        ("pg_temp, public", "public", "0", True, False),
        ("public", "public, pg_temp", "0", True, False),
        ("public", "public", "20ms", False, True),
        ("public", "public", "1min", False, False),
    ],
)
async def test_what_sessions_begin_with_is_known(
    database: Database, path: str, reset_to: str, limit: str, under_pg_temp: bool, hasty: bool
) -> None:
    database.answers = [LIMITS, data_row(path, reset_to, limit) + READY]
    server, _ = await database.open()
    assert server.begins_under_pg_temp is under_pg_temp
    assert server.begins_hasty is hasty


async def test_a_timeout_of_init_query_counts_too(database: Database) -> None:
    database.opener.login = database.login(INIT_QUERY)
    database.answers = [LIMITS, DONE, data_row("20ms") + READY, BEGINNING]
    server, _ = await database.open()
    assert server.begins_hasty


# ---- several logins ----

REJECTED = PgError(Severity.FATAL, "28P01", 'password authentication failed for user "app"')
NO_ROLE = PgError(Severity.FATAL, "28000", 'role "app" is not permitted to log in')
OTHER_VERIFIER = ConnectError("the database has another SCRAM verifier", transient=False)


class Secrets:
    """The passwords of one user, newest first, and those that come when they are asked for."""

    def __init__(self, database: Database, *passwords: str) -> None:
        self.identities = identities("app", *passwords)
        self.newer_ones: list[tuple[str, ...]] = []
        self.asked: list[str] = []
        self._database = database
        login = Login(self.identities, self.newer, "", 60.0)
        database.opener.login = login

    def hold(self, *passwords: str) -> None:
        logins = tuple(DatabaseLogin("app", each) for each in passwords)
        self.identities.use([Credential(username="app", identity="app", logins=logins)])

    async def newer(self, identity: str) -> bool:
        self.asked.append(identity)
        if not self.newer_ones:
            return False
        self.hold(*self.newer_ones.pop(0))
        return True


@pytest.mark.parametrize("refusal", [REJECTED, NO_ROLE, OTHER_VERIFIER])
async def test_another_login_is_tried_where_one_is_rejected(
    database: Database, refusal: Exception
) -> None:
    secrets = Secrets(database, "pending", "current")
    database.refusals = {"pending": refusal}
    await database.open()
    await database.open()
    assert database.passwords == ["pending", "current", "current"], "and it goes first from then on"
    assert secrets.asked == []


async def test_when_all_are_rejected_newer_ones_are_asked_for(database: Database) -> None:
    secrets = Secrets(database, "current", "previous")
    secrets.newer_ones = [("new", "current")]
    database.refusals = {"current": REJECTED, "previous": REJECTED}
    await database.open()
    assert database.passwords == ["current", "previous", "new"]
    assert secrets.asked == ["app"]


async def test_what_the_database_says_of_the_newest_is_told_when_there_is_nothing_newer(
    database: Database,
) -> None:
    secrets = Secrets(database, "current", "previous")
    database.refusals = {"current": REJECTED, "previous": NO_ROLE}
    with pytest.raises(PgError) as caught:
        await database.open()
    assert caught.value is REJECTED
    assert secrets.asked == ["app"]


async def test_newer_ones_are_asked_for_once(database: Database) -> None:
    secrets = Secrets(database, "one")
    secrets.newer_ones = [("two",), ("three",)]
    database.refusals = {"one": REJECTED, "two": REJECTED}
    with pytest.raises(PgError):
        await database.open()
    assert (database.passwords, secrets.asked) == (["one", "two"], ["app"])


async def test_newer_ones_that_came_by_themselves_are_tried(database: Database) -> None:
    """While the old one was being rejected; the node knows of none that are newer still."""
    secrets = Secrets(database, "one")
    database.refusals = {"one": REJECTED}

    async def came_before(_: str) -> bool:
        secrets.hold("two", "one")
        return False

    database.opener.login.newer = came_before
    await database.open()
    assert database.passwords == ["one", "two"]


async def test_a_user_who_is_gone_meanwhile_is_refused(database: Database) -> None:
    secrets = Secrets(database, "one")
    database.refusals = {"one": REJECTED}

    async def gone(_: str) -> bool:
        secrets.identities.use([])
        return True

    database.opener.login.newer = gone
    with pytest.raises(PgError) as caught:
        await database.open()
    assert "no credentials" in caught.value.message
    assert database.passwords == ["one"]


@pytest.mark.parametrize(
    "refusal",
    [
        PgError(Severity.FATAL, "53300", "sorry, too many clients already"),
        PgError(Severity.FATAL, "3D000", 'database "shop" does not exist'),
        ConnectError("Connection refused", transient=True),
    ],
)
async def test_what_is_no_rejection_ends_the_attempt(
    database: Database, refusal: Exception
) -> None:
    secrets = Secrets(database, "current", "previous")
    database.refusals = {"current": refusal}
    with pytest.raises(type(refusal)) as caught:
        await database.open()
    assert caught.value is refusal
    assert (database.passwords, secrets.asked) == (["current"], [])
    database.refusals = {}
    await database.open()
    assert database.passwords[-1] == "current", "the password has not been rejected"


async def test_where_no_login_can_work_the_reason_is_told(database: Database) -> None:
    secrets = Secrets(database, "one", "two")
    database.refusals = dict.fromkeys(("one", "two"), OTHER_VERIFIER)
    with pytest.raises(ConnectError, match="another SCRAM verifier"):
        await database.open()
    assert (database.passwords, secrets.asked) == (["one", "two"], [])


async def test_a_single_login_is_tried_alone(database: Database) -> None:
    secrets = Secrets(database, "one", "two")
    database.refusals = {"two": REJECTED}
    _, attempt = await secrets.identities.attempts("app")
    with pytest.raises(PgError):
        await database.opener.open_with(database.world.pool(), attempt)
    database.refusals = {}
    server, told = await database.opener.open_with(database.world.pool(), attempt)
    database.servers.append(server)
    assert (told, secrets.asked) == ((100, 5), [])
    assert database.passwords == ["two", "two"]
