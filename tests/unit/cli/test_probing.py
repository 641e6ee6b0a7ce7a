"""What the databases' answers mean."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from forebay.channel import Credential, DatabaseLogin
from forebay.cli import logins, probing
from forebay.cli.probing import _parse
from forebay.config import ProxySettings, TargetSettings
from forebay.identity.database_tokens import DatabaseTokenError, DatabaseTokens
from forebay.net.connector import ConnectError
from forebay.protocol.errors import PgError, Severity
from forebay.worker.pool.budget import LIMITS_QUERY
from tests.harness.credentials import credential

ROW: list[str | None] = ["16.1", "160001", "false", "true", "-1", "5", "0", "0", "md5", "7"]
LIMITS: list[list[str | None]] = [["100", "1", "0", "2"]]


def test_an_answer() -> None:
    facts = _parse([ROW], LIMITS, None, asks_password=False)
    assert (facts.server_version, facts.server_version_number) == ("16.1", 160_001)
    assert (facts.is_replica, facts.is_superuser) == (False, True)
    assert (facts.user_limit, facts.database_limit, facts.others_connected) == (-1, 5, 7)
    assert (facts.max_connections, facts.reserved) == (100, 3)
    assert facts.tls is None
    assert not facts.asks_password


@pytest.mark.parametrize(
    ("rows", "limits"),
    [
        ([], LIMITS),
        ([ROW, ROW], LIMITS),
        ([ROW[:-1]], LIMITS),
        ([ROW], []),
        ([[*ROW[:-1], None]], LIMITS),
        ([ROW], [["x", "3", "0", "0"]]),
    ],
)
def test_what_is_no_answer(rows: list[list[str | None]], limits: list[list[str | None]]) -> None:
    with pytest.raises(ValueError):
        _parse(rows, limits, None, asks_password=True)


# ---- who is tried, and what becomes of it ----

PROXY = ProxySettings(target=TargetSettings(hosts=["a:5432", "b:5432"], database="home"))
KEY = "A" * 43 + "="
SCRAM = f"SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==${KEY}:{KEY}"
REJECTED = PgError(Severity.FATAL, "28P01", "password authentication failed")
UNREACHABLE = ConnectError("no route", transient=True)
ASKS = ConnectError("a:5432: no password supplied", transient=False)


class Databases:
    """``refusals``: by host and what is shown, else by what is shown; without a password they ask
    for one, unless ``trust``."""

    def __init__(self) -> None:
        self.refusals: dict[object, Exception] = {}
        self.trust = False
        self.shown: list[tuple[str, str, object]] = []
        self.closed = 0

    async def connect(self, target: Any, *, user: str, password: Any, **_: Any) -> Any:
        self.shown.append((target.host, user, password))
        for key in ((target.host, password), password):
            if key in self.refusals:
                raise self.refusals[key]
        if password is None and not self.trust:
            raise ASKS
        return SimpleNamespace(stream=SimpleNamespace(tls=None), close=self._close)

    async def query(self, stream: object, sql: str) -> Any:
        return LIMITS if sql == LIMITS_QUERY else [ROW]

    def _close(self) -> None:
        self.closed += 1


@pytest.fixture
def databases(monkeypatch: pytest.MonkeyPatch) -> Databases:
    made = Databases()
    monkeypatch.setattr(logins, "connect", made.connect)
    monkeypatch.setattr(probing, "simple_query", made.query)
    return made


def rotating(*passwords: str) -> Credential:
    pairs = tuple(DatabaseLogin("app", each) for each in passwords)
    return Credential(username="app", identity="app", passwords=passwords, logins=pairs)


async def test_every_user_on_every_host(databases: Databases) -> None:
    found = await probing.probe(PROXY, [credential("app", "x"), credential("jobs", "y")])
    assert [(each.host.host, each.user) for each in found] == [
        *(("a", "app"), ("a", "jobs"), ("b", "app"), ("b", "jobs"))
    ]
    assert all(each.facts is not None and each.facts.asks_password for each in found)
    assert databases.closed == 4


async def test_a_pending_password_that_is_not_in_the_database_yet(databases: Databases) -> None:
    databases.refusals = {"pending": REJECTED}
    one, _ = await probing.probe(PROXY, [rotating("pending", "current")])
    assert (one.error, one.rejected) == ("", 1)
    assert one.facts is not None


async def test_when_no_password_is_right(databases: Databases) -> None:
    databases.refusals = {"pending": REJECTED, "current": REJECTED}
    one, _ = await probing.probe(PROXY, [rotating("pending", "current")])
    assert one.error == "the database says: password authentication failed (SQLSTATE 28P01)"
    assert one.facts is None


async def test_what_cannot_be_tried_is_no_failure_if_the_host_answers(
    databases: Databases,
) -> None:
    databases.refusals = {("b", None): UNREACHABLE}
    one, other = await probing.probe(PROXY, [credential("app", SCRAM)])
    assert (one.error, one.facts) == ("", None)
    assert one.untried.startswith("only the SCRAM verifier of its password is known")
    assert (other.error, other.untried) == ("no route", "")


async def test_what_else_a_host_answers_is_told(databases: Databases) -> None:
    databases.refusals = {
        ("a", None): PgError(Severity.FATAL, "28000", "no pg_hba.conf entry"),
        ("b", None): ConnectError("b:5432: certificate verify failed", transient=False),
    }
    one, other = await probing.probe(PROXY, [credential("app", SCRAM)])
    assert one.error == "the database says: no pg_hba.conf entry (SQLSTATE 28000)"
    assert other.error == "b:5432: certificate verify failed"


async def test_where_no_password_is_asked_for_everything_can_be_tried(
    databases: Databases,
) -> None:
    databases.trust = True
    found = await probing.probe(PROXY, [credential("app", SCRAM), credential("jobs", "x")])
    assert [each.facts and each.facts.asks_password for each in found] == [False] * 4


async def test_with_a_certificate_of_our_own_nothing_is_said_of_passwords(
    databases: Databases,
) -> None:
    databases.trust = True
    target = msgspec.structs.replace(PROXY.target, sslcert="own.crt", sslkey="own.key")
    user = Credential(
        username="app", identity="app", auth="cert", logins=(DatabaseLogin("app", ""),)
    )
    found = await probing.probe(msgspec.structs.replace(PROXY, target=target), [user])
    assert [each.facts and each.facts.asks_password for each in found] == [True, True]
    assert len(databases.shown) == 2


async def test_what_is_silent_is_not_waited_for_again(databases: Databases) -> None:
    databases.refusals = {("a", "x"): UNREACHABLE}
    users = [credential(name, "x") for name in ("one", "two", "three", "four")]
    found = await probing.probe(PROXY, users)
    assert [each.error for each in found] == ["no route"] * 4 + [""] * 4
    asked = [user for host, user, shown in databases.shown if (host, shown) == ("a", "x")]
    assert len(asked) <= probing.AT_ONCE


async def test_without_credentials_of_aws_others_are_tried_all_the_same(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> str:
        raise DatabaseTokenError("there are no AWS credentials")

    monkeypatch.setattr(DatabaseTokens, "token", fail)
    login = (DatabaseLogin("iam", ""),)
    by_token = Credential(username="iam", identity="iam", logins=login, auth_scheme="IAM_AUTH")
    found = await probing.probe(PROXY, [by_token, credential("app", "x")])
    assert [bool(each.error) for each in found] == [True, False, True, False]
    assert "there are no AWS credentials" in found[0].error


async def test_what_the_worker_would_refuse_does_not_reach_the_database(
    databases: Databases,
) -> None:
    found = await probing.probe(PROXY, [credential("app", "md5" + "0" * 32)])
    assert "no more than the MD5 hash" in found[0].error
    assert databases.shown == []
