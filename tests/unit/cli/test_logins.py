"""How the command line logs in to a database: the connector and AWS are played."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from forebay.channel import Credential, DatabaseLogin
from forebay.cli import logins as module
from forebay.cli.logins import Logins, unfit, untried
from forebay.config import Address, IamSettings, ProxySettings, TargetSettings
from forebay.identity.database_tokens import DatabaseTokenError
from forebay.net.connector import ConnectError, IamToken, Md5Hash, Target
from forebay.net.tls import ClientContexts
from forebay.protocol.errors import PgError, Severity
from tests.harness.credentials import credential

HOST = Address("db.internal", 5433)
OWN = TargetSettings(hosts=["db.internal:5433"], sslcert="own.crt", sslkey="own.key", region="r-1")
PROXY = ProxySettings(target=TargetSettings(hosts=["db.internal:5433"], connect_timeout=7.0))
BY_DATABASE = msgspec.structs.replace(PROXY, iam=IamSettings(verifier="database"))
KEY = "A" * 43 + "="
SCRAM = f"SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==${KEY}:{KEY}"
MD5 = "md5" + "0" * 32
REJECTED = PgError(Severity.FATAL, "28P01", "password authentication failed")


class Database:
    """``refusals``: by what is shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, object, str]] = []
        self.how: dict[str, Any] = {}
        self.refusals: dict[object, Exception] = {}

    async def connect(self, target: Target, **how: Any) -> Any:
        self.how = {"target": target, **how}
        self.shown.append((how["user"], how["password"], how["database"]))
        if how["password"] in self.refusals:
            raise self.refusals[how["password"]]
        return SimpleNamespace()


class Tokens:
    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.error: DatabaseTokenError | None = None

    async def token(self, *asked: object) -> str:
        self.asked.append(asked)
        if self.error is not None:
            raise self.error
        return "t0ken"


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    made = Database()
    monkeypatch.setattr(module, "connect", made.connect)
    return made


def logins(
    *credentials: Credential, proxy: ProxySettings = PROXY, tokens: Tokens | None = None
) -> Logins:
    given = cast(Any, tokens or Tokens())
    return Logins(proxy, HOST, credentials, given, ClientContexts())


def user(*passwords: str, **changes: Any) -> Credential:
    pairs = tuple(DatabaseLogin("app", each) for each in passwords)
    given = {"passwords": tuple(filter(None, passwords)), "logins": pairs} | changes
    return Credential(username="app", identity="app", **given)


async def test_the_newest_password_comes_first(database: Database) -> None:
    _, attempt, rejected = await logins(user("2", "1")).log_in("app", "home")
    assert (attempt.proof, rejected) == ("2", 0)
    assert database.shown == [("app", "2", "home")]
    assert database.how["connect_timeout_s"] == 7.0
    assert database.how["parameters"] == {"application_name": "forebay check"}


async def test_one_that_the_database_does_not_take_yet_is_passed_over(database: Database) -> None:
    database.refusals = {"2": REJECTED}
    _, attempt, rejected = await logins(user("2", "1")).log_in("app", "home")
    assert (attempt.proof, rejected) == ("1", 1)


async def test_when_all_are_rejected_the_newest_is_told_of(database: Database) -> None:
    other = PgError(Severity.FATAL, "28000", "no such role")
    database.refusals = {"2": REJECTED, "1": other}
    with pytest.raises(PgError) as caught:
        await logins(user("2", "1")).log_in("app", "home")
    assert caught.value is REJECTED


@pytest.mark.parametrize(
    "refusal",
    [
        PgError(Severity.FATAL, "53300", "too many clients"),
        ConnectError("no route", transient=True),
    ],
)
async def test_what_is_no_rejection_is_told_at_once(database: Database, refusal: Exception) -> None:
    database.refusals = {"2": refusal}
    with pytest.raises(type(refusal)):
        await logins(user("2", "1")).log_in("app", "home")
    assert len(database.shown) == 1


async def test_stored_forms_and_certificates_of_our_own(database: Database) -> None:
    _, attempt, _ = await logins(user(MD5)).log_in("app", "home")
    assert attempt.proof == Md5Hash("0" * 32)
    own = msgspec.structs.replace(BY_DATABASE, target=OWN)
    _, attempt, _ = await logins(user(""), proxy=own).log_in("app", "home")
    assert attempt.proof is None
    target = database.how["target"]
    assert (target.sslcert, target.sslkey) == ("own.crt", "own.key")


async def test_a_token_of_our_own(database: Database) -> None:
    tokens = Tokens()
    made = logins(
        user("", auth_scheme="IAM_AUTH"),
        proxy=msgspec.structs.replace(PROXY, target=OWN),
        tokens=tokens,
    )
    _, attempt, _ = await made.log_in("app", "home")
    assert attempt.proof == IamToken("t0ken")
    assert tokens.asked == [("db.internal", 5433, "app", "r-1")]
    tokens.error = DatabaseTokenError("there are no AWS credentials")
    with pytest.raises(ValueError, match=r'no IAM token for user "app" .*no AWS credentials'):
        await made.log_in("app", "home")


async def test_nothing_to_log_in_with(database: Database) -> None:
    with pytest.raises(ValueError, match="no more than the SCRAM verifier"):
        await logins(user(SCRAM)).log_in("app", "home")
    assert database.shown == []


@pytest.mark.parametrize(
    ("given", "proxy", "why"),
    [
        (user("x"), PROXY, ""),
        (user(MD5), PROXY, ""),
        (user(SCRAM, "old"), PROXY, ""),
        (user("", auth_scheme="IAM_AUTH"), PROXY, ""),
        (user("", auth="cert"), msgspec.structs.replace(PROXY, target=OWN), ""),
        (user("", auth="cert"), msgspec.structs.replace(BY_DATABASE, target=OWN), ""),
        (user("", auth="iam"), BY_DATABASE, "with the IAM tokens that clients log in with"),
        (user("x", auth="iam"), BY_DATABASE, ""),
        (user(SCRAM), PROXY, "only the SCRAM verifier of its password is known"),
        (user("x", passwords=()), PROXY, "has no password that clients could show"),
    ],
)
def test_what_cannot_be_tried(given: Credential, proxy: ProxySettings, why: str) -> None:
    found = untried(proxy, given)
    assert why in found if why else not found


def test_what_the_worker_would_refuse() -> None:
    assert unfit(credential("app", "x")) == ""
    assert unfit(credential("app", MD5, "md5")) == ""
    text = unfit(credential("app", MD5))
    assert 'no more than the MD5 hash of the password of user "app"' in text
    assert MD5 not in text
