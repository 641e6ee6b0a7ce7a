"""What is asked of others while clients log in: databases are played, STS is a socket."""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from forebay.cli import logins, outside
from forebay.config import AuthSettings, IamSettings, ProxySettings, TargetSettings
from forebay.net.connector import ConnectError
from forebay.net.login.auth_query import STARTUP_PARAMETERS
from forebay.protocol.errors import PgError, Severity
from tests.harness.credentials import credential

QUERY = "SELECT usename, passwd FROM users WHERE usename = $1"
PROXY = ProxySettings(
    auth=[AuthSettings(secret="env:A")],
    target=TargetSettings(hosts=["db:5432", "other:5432"], database="home"),
)
LOOKING_UP = msgspec.structs.replace(PROXY, auth_query=QUERY, auth_user="app")
USERS = [credential("app", "hunter2")]
DENIED = PgError(Severity.ERROR, "42501", "permission denied for table users")


class Database:
    """``rows``: a list, or what makes one of the name that is asked for, or an error."""

    def __init__(self) -> None:
        self.rows: Any = []
        self.refusal: Exception | None = None
        self.connected: list[dict[str, Any]] = []
        self.asked: list[tuple[str, list[str]]] = []
        self.closed = 0

    async def connect(self, target: Any, **how: Any) -> Any:
        self.connected.append({"host": target.host, **how})
        if self.refusal is not None:
            raise self.refusal
        return SimpleNamespace(stream=None, close=self._close)

    async def query(self, stream: object, sql: str, values: list[str]) -> Any:
        self.asked.append((sql, values))
        if isinstance(self.rows, Exception):
            raise self.rows
        if isinstance(self.rows, asyncio.Event):
            await self.rows.wait()
        return self.rows(*values) if callable(self.rows) else self.rows

    def _close(self) -> None:
        self.closed += 1


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    made = Database()
    monkeypatch.setattr(logins, "connect", made.connect)
    monkeypatch.setattr(outside, "parameterized_query", made.query)
    return made


async def test_a_proxy_that_asks_nobody(database: Database) -> None:
    assert await outside.problems(PROXY, USERS) == []
    assert database.connected == []


async def test_the_query_is_run_once_for_nobody_as_the_worker_runs_it(database: Database) -> None:
    assert await outside.problems(LOOKING_UP, USERS) == []
    (how,) = database.connected
    assert (how["host"], how["user"], how["database"]) == ("db", "app", "home")
    assert how["parameters"] == STARTUP_PARAMETERS
    ((sql, (name,)),) = database.asked
    assert sql == QUERY
    assert name.startswith("forebay_check_")
    assert database.closed == 1
    elsewhere = msgspec.structs.replace(LOOKING_UP, auth_dbname="users")
    assert await outside.problems(elsewhere, USERS) == []
    assert database.connected[-1]["database"] == "users"
    assert database.asked[0][1] != database.asked[1][1]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            DENIED,
            "auth_query: the database says: permission denied for table users (SQLSTATE 42501",
        ),
        (ConnectError("the connection is lost", transient=True), "auth_query: the connection is"),
        ([["app", "x"]], "auth_query returns another user than"),
        ([["app", "x"], ["b", "x"]], "auth_query returns 2 rows"),
        (lambda name: [[name, "md5x"]], "auth_query returns a row for a user who does not exist"),
        (lambda name: [[name]], "auth_query returns 1 columns"),
    ],
)
async def test_what_is_wrong_with_it(database: Database, rows: Any, told: str) -> None:
    database.rows = rows
    (text,) = await outside.problems(LOOKING_UP, USERS)
    assert text.startswith(told)
    assert "hunter2" not in text
    assert database.closed == 1


async def test_a_query_that_does_not_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "QUERY_TIMEOUT_S", 0.01)
    database.rows = asyncio.Event()
    assert await outside.problems(LOOKING_UP, USERS) == ["auth_query: no answer within 0.01 s"]
    assert database.closed == 1


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (
            PgError(Severity.FATAL, "28P01", "password authentication failed"),
            "auth_query: the database says: password authentication failed (SQLSTATE 28P01)",
        ),
        (ConnectError("db:5432: no route", transient=True), "auth_query: db:5432: no route"),
    ],
)
async def test_its_user_cannot_log_in(database: Database, refusal: Exception, told: str) -> None:
    database.refusal = refusal
    assert await outside.problems(LOOKING_UP, USERS) == [told]


async def test_its_user_is_nobody(database: Database) -> None:
    (text,) = await outside.problems(LOOKING_UP, [credential("jobs", "x")])
    assert text.startswith('auth_user "app" is none of the users of auth')
    assert database.connected == []


def with_sts(url: str) -> ProxySettings:
    iam = IamSettings(verifier="sts", proxy_id="prx-1", sts_endpoint=url)
    return msgspec.structs.replace(PROXY, iam=iam)


async def test_sts_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sts:
        url = f"http://127.0.0.1:{sts.getsockname()[1]}"
        assert await outside.problems(with_sts(url), USERS) == []


async def test_sts_that_does_not_listen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sts:
        port = sts.getsockname()[1]
    (text,) = await outside.problems(with_sts(f"http://127.0.0.1:{port}"), USERS)
    assert text == (
        f"STS can't be reached at http://127.0.0.1:{port}/ (Connection refused): all tokens would"
        " be refused"
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (socket.gaierror(-2, "Name or service not known"), "(Name or service not known)"),
        (TimeoutError(), "(no connection within 5 s)"),
        (UnicodeError(), "(that is no name of a host)"),
    ],
)
async def test_sts_that_cannot_be_reached(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    async def fail(host: str, port: int) -> None:
        asked.append((host, port))
        raise error

    monkeypatch.setattr(asyncio, "open_connection", fail)
    iam = IamSettings(verifier="sts", proxy_id="prx-1", region="eu-west-1")
    (text,) = await outside.problems(msgspec.structs.replace(PROXY, iam=iam), USERS)
    assert asked == [("sts.eu-west-1.amazonaws.com", 443)]
    assert told in text


async def test_all_is_told(database: Database) -> None:
    database.rows = DENIED
    with socket.create_server(("127.0.0.1", 0)) as sts:
        url = f"http://127.0.0.1:{sts.getsockname()[1]}"
    both = msgspec.structs.replace(LOOKING_UP, iam=with_sts(url).iam)
    assert [text.split()[0] for text in await outside.problems(both, USERS)] == [
        *("auth_query:", "STS")
    ]
