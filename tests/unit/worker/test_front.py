"""What clients meet at their login where others have to be asked; the others are played."""

import base64
import socket
import time
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from forebay.channel import (
    CallError,
    CertificatePair,
    Credential,
    NewerSecret,
    Refreshed,
    WorkerProxy,
)
from forebay.config import AuthSettings, IamSettings, ProxySettings, TargetSettings
from forebay.identity.access_keys import AccessKey
from forebay.identity.tokens import Reason, generate_db_auth_token
from forebay.net.connector import ConnectError, IamToken
from forebay.net.login import LoggedIn, UserAuth
from forebay.net.login.auth_query import STARTUP_PARAMETERS
from forebay.net.tls import self_signed_certificate
from forebay.protocol import scram
from forebay.protocol.errors import PgError, Severity
from forebay.topology.targets import target_of
from forebay.worker.backend import Backend
from forebay.worker.front import Front
from forebay.worker.identities import Attempt, Identities
from forebay.worker.prepared import prepare
from forebay.worker.verifiers import ByDatabase, ByNode
from tests.harness.credentials import credential
from tests.unit.worker.pool.pools import World

pair = cache(lambda: CertificatePair(*self_signed_certificate()))
TARGET = TargetSettings(hosts=["Db.internal:5433"], database="home")
ADDRESS = TARGET.addresses()[0]
BY_DATABASE = IamSettings(verifier="database")
KEY = AccessKey("AKIA1", "s3cret")
QUERY = "SELECT usename, passwd FROM users WHERE usename = $1"


class Node:
    """Knows whether there are newer secrets, or is gone. ``meanwhile``: what it has the worker do
    before it answers."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.changed = False
        self.is_gone = False
        self.meanwhile: Any = None

    async def ask(self, request: Any, expected: type[Any], timeout_s: float) -> Any:
        self.asked.append(request)
        if self.is_gone:
            raise CallError("the node is gone")
        if self.meanwhile is not None:
            await self.meanwhile()
        assert expected is Refreshed
        return Refreshed(changed=self.changed)


class Opening:
    """As much of an Opener as a Front needs."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tried: list[tuple[str, str]] = []  # how, and where
        self.connected: list[tuple[object, ...]] = []
        self.closed = 0
        self.errors: dict[str, Exception] = {}  # by database

    async def open_with(self, pool: Any, attempt: Attempt) -> Any:
        self.tried.append((f"pool of {pool.user}", pool.database))
        if pool.database in self.errors:
            raise self.errors[pool.database]
        return await self.world._open(pool)

    async def log_in_by(self, attempt: Attempt, database: str) -> Any:
        self.tried.append((f"alone as {attempt.user}", database))
        return SimpleNamespace(close=self._close)

    async def connect(self, *how: object) -> Any:
        self.connected.append(how)
        raise ConnectError("no route", transient=True)

    def _close(self) -> None:
        self.closed += 1


class Place:
    def __init__(self, limit: int = 2) -> None:
        self.node = Node()
        self.world = World(limit)
        self.opening = Opening(self.world)
        self.identities = Identities("shop", partial(target_of, TARGET, ADDRESS), self.node.ask)
        backend = SimpleNamespace(opener=self.opening, manager=self.world.manager)
        self.front = Front(
            cast(Any, self.world.clock),
            self.node.ask,
            self.identities,
            lambda: cast(Backend, backend),
        )

    async def use(self, *users: Credential, **settings: Any) -> list[str]:
        given = {"auth": [AuthSettings(secret="env:A")], "target": TARGET} | settings
        proxy = WorkerProxy(
            name="shop",
            listeners=[],
            settings=ProxySettings(**given),
            credentials=list(users),
            certificates=[pair()],
            access_keys=[KEY],
        )
        return self.front.use(await prepare(proxy, self.front._prepared))

    async def newer(self, user: str) -> UserAuth | None:
        assert self.front.policy.newer is not None
        return await self.front.policy.newer(user)

    def login(self, user: str, keys: scram.ClientKeys | None = None) -> LoggedIn:
        return LoggedIn(cast(Any, None), user, "shop", (), 0, "", keys)


def passwords(found: UserAuth | None) -> tuple[str, ...] | None:
    return None if found is None else found.passwords


# ---- newer secrets ----


async def test_a_wrong_password_is_held_against_a_newer_one() -> None:
    place = Place()
    await place.use(credential("app", "one"))

    async def rotate() -> None:
        await place.use(credential("app", "two"))

    place.node.meanwhile = rotate
    assert passwords(await place.newer("app")) == ("two",)
    assert place.node.asked == [NewerSecret(proxy="shop", user="app")]


async def test_what_has_come_already_is_not_asked_for() -> None:
    place = Place()
    await place.use(credential("app", "one"))
    newer = place.front.policy.newer
    assert newer is not None
    await place.use(credential("app", "two"))
    assert passwords(await newer("app")) == ("two",), "the login began before"
    await place.use()
    assert await newer("app") is None, "and a user who is gone has none"
    assert place.node.asked == []


@pytest.mark.parametrize("is_gone", [True, False])
async def test_without_anything_newer_the_answer_stays(is_gone: bool) -> None:
    place = Place()
    place.node.is_gone = is_gone
    await place.use(credential("app", "one"))
    assert await place.newer("app") is None
    assert await place.newer("stranger") is None
    assert await place.front.refresh("app") is False


async def test_a_user_who_has_just_come_is_let_in() -> None:
    """The names of a rotation alternate: the other one was not known before."""
    place = Place()
    await place.use(credential("app", "one"))

    async def rotate() -> None:
        await place.use(credential("app", "one"), credential("app_clone", "two"))

    place.node.meanwhile = rotate
    assert passwords(await place.newer("app_clone")) == ("two",)


async def test_a_refresh_for_the_database_is_told_of() -> None:
    place = Place()
    await place.use(credential("app", "one"))
    place.node.changed = True
    assert await place.front.refresh("app") is True


# ---- whose connections ----


async def test_clients_share_the_connections_of_their_identity() -> None:
    place = Place()
    clone = msgspec.structs.replace(credential("app_clone", "x"), identity="app")
    await place.use(credential("app", "x"), clone)
    assert place.front.identity_of(place.login("app_clone")) == "app"
    place.identities.learn("guest", ("x",))
    assert place.front.identity_of(place.login("guest")) == "guest"


async def test_who_is_gone_when_the_login_ends_has_no_connections() -> None:
    """Least of all those of others, who share them under the name now."""
    place = Place()
    await place.use(credential("jobs", "x"))
    login = place.login("jobs")
    await place.use(msgspec.structs.replace(credential("app", "x"), identity="jobs"))
    assert place.front.identity_of(login) is None
    await place.use()
    assert place.front.identity_of(login) is None


async def test_the_keys_that_a_client_has_shown_open_connections() -> None:
    place = Place()
    keys = scram.ClientKeys.derive("hush", b"0123456789abcdef", 4096)
    parts = (base64.b64encode(each).decode() for each in (keys.stored_key, keys.server_key))
    stored = "SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==${}:{}".format(*parts)
    await place.use(credential("app", stored))
    with pytest.raises(ConnectError):
        await place.identities.attempts("app")
    place.front.identity_of(place.login("app", keys))
    (attempt,) = await place.identities.attempts("app")
    assert attempt.proof == keys


async def test_identities_that_log_in_otherwise_are_told() -> None:
    place = Place()
    assert await place.use(credential("app", "one"), credential("jobs", "one")) == []
    assert await place.use(credential("app", "two")) == ["app", "jobs"]


# ---- users in the database ----


LOOKING_UP = {"auth_query": QUERY, "auth_user": "app"}


class Looking:
    """Stands in for an AuthQuery."""

    def __init__(self, *found: UserAuth) -> None:
        self.found = {each.user: each for each in found}
        self.asked: list[str] = []
        self.closed = False

    async def find(self, user: str) -> UserAuth | None:
        self.asked.append(user)
        return self.found.get(user)

    def close_connection(self) -> None:
        self.closed = True


async def test_who_has_no_secret_is_looked_up() -> None:
    place = Place()
    await place.use(credential("app", "x"), **LOOKING_UP)
    looking = Looking(UserAuth("guest", "md5", ("md5" + "0" * 32,)))
    place.front._auth_query = cast(Any, looking)
    assert await place.newer("guest") is looking.found["guest"]
    assert "guest" in place.identities
    assert await place.newer("stranger") is None
    assert "stranger" not in place.identities
    assert await place.newer("app") is None
    assert looking.asked == ["guest", "stranger"]
    assert place.node.asked == [NewerSecret(proxy="shop", user="app")]


async def test_the_query_runs_as_its_user_in_its_database() -> None:
    place = Place()
    user = msgspec.structs.replace(credential("app", "x"), identity="pool")
    await place.use(user, **LOOKING_UP)
    assert await place.newer("guest") is None
    await place.use(user, **LOOKING_UP, auth_dbname="users")
    assert await place.newer("guest") is None
    assert place.opening.connected == [
        ("pool", "home", STARTUP_PARAMETERS),
        ("pool", "users", STARTUP_PARAMETERS),
    ]


@pytest.mark.parametrize(
    ("change", "is_another"),
    [
        ({}, False),
        ({"idle_client_timeout": 10.0}, False),
        ({"auth_query": QUERY + " "}, True),
        ({"auth_user": "jobs"}, True),
        ({"auth_dbname": "users"}, True),
        ({"target": TargetSettings(hosts=["elsewhere"])}, True),
    ],
)
async def test_another_query_has_another_connection(
    change: dict[str, Any], is_another: bool
) -> None:
    place = Place()
    await place.use(credential("app", "x"), **LOOKING_UP)
    looking = Looking()
    place.front._auth_query = cast(Any, looking)
    await place.use(credential("app", "x"), **(LOOKING_UP | change))
    assert looking.closed is is_another
    assert (cast(Any, place.front._auth_query) is looking) is not is_another


async def test_without_the_query_those_whom_it_found_have_to_go() -> None:
    place = Place()
    await place.use(credential("app", "x"), **LOOKING_UP)
    place.identities.learn("guest", ("x",))
    place.identities.learn("app", ("x",))
    assert await place.use(credential("app", "x"), **(LOOKING_UP | {"auth_query": "… $1"})) == []
    assert "guest" in place.identities
    assert await place.use(credential("app", "x")) == ["guest"]
    assert "guest" not in place.identities
    assert "app" in place.identities


async def test_a_database_user_named_as_an_identity_does_not_get_its_connections(
    caplog: pytest.LogCaptureFixture,
) -> None:
    place = Place()
    await place.use(msgspec.structs.replace(credential("app", "x"), identity="pool"), **LOOKING_UP)
    place.front._auth_query = cast(Any, Looking(UserAuth("pool", "md5", ("md5" + "0" * 32,))))
    assert await place.newer("pool") is None
    assert 'pool_identity "pool"' in caplog.text
    assert place.identities.learned("pool") is None


async def test_what_the_database_rejects_of_who_was_looked_up_is_looked_up_again() -> None:
    place = Place()
    await place.use(credential("app", "x"), **LOOKING_UP)
    one, two = ("md5" + each * 32 for each in "12")
    looking = Looking(UserAuth("guest", "md5", (one,)))
    place.front._auth_query = cast(Any, looking)
    await place.newer("guest")
    assert await place.front.refresh("guest") is False, "it is what it was"
    looking.found["guest"] = UserAuth("guest", "md5", (two,))
    assert await place.front.refresh("guest") is True
    (attempt,) = await place.identities.attempts("guest")
    assert attempt.login.password == two
    looking.found.clear()
    assert await place.front.refresh("guest") is False
    assert place.node.asked == []
    assert await place.front.refresh("app") is False
    assert place.node.asked == [NewerSecret(proxy="shop", user="app")]


async def test_nobody_is_looked_up_after_the_end() -> None:
    place = Place()
    await place.use(credential("app", "x"), **LOOKING_UP)
    looking = Looking()
    place.front._auth_query = cast(Any, looking)
    place.front.close()
    assert looking.closed
    await place.newer("guest")
    assert looking.asked == []


# ---- tokens ----


async def test_who_verifies_tokens() -> None:
    place = Place()
    await place.use(credential("app", "x"))
    assert place.front.policy.verifier is None
    await place.use(credential("app", ""), iam=BY_DATABASE)
    assert isinstance(place.front.policy.verifier, ByDatabase)
    assert place.identities.by_tokens
    sts = IamSettings(verifier="sts", region="us-east-1", proxy_id="prx-1", policies=["{}"])
    await place.use(credential("app", "x"), iam=sts)
    assert isinstance(place.front.policy.verifier, ByNode)
    assert not place.identities.by_tokens


async def test_passwords_open_connections_when_keys_verify_instead_of_the_database() -> None:
    place = Place()
    await place.use(credential("app", ""), iam=BY_DATABASE)
    keys = IamSettings(verifier="keys", region="us-east-1", hosts=["h:1"], access_keys=["env:K"])
    await place.use(credential("app", ""), iam=keys)
    assert [each.proof for each in await place.identities.attempts("app")] == [None]


def token(age_s: float = 0.0) -> bytes:
    at_s = time.time() - age_s
    return generate_db_auth_token("db.internal", 5433, "app", "us-east-1", KEY, at_s).encode()


async def check(place: Place, shown: bytes, database: str = "shop") -> Reason | None:
    verifier = place.front.policy.verifier
    assert verifier is not None
    refusal = await verifier.check(shown, "app", "192.0.2.1", database)
    return None if refusal is None else refusal.reason


async def test_a_token_is_tried_for_the_pool_whose_connection_is_kept() -> None:
    place = Place()
    user = msgspec.structs.replace(credential("app", ""), identity="pool")
    await place.use(user, iam=BY_DATABASE)
    shown = token()
    assert await check(place, shown) is None
    assert place.opening.tried == [("pool of pool", "shop")]
    assert place.world.manager.size == len(place.world.open) == 1
    (attempt,) = await place.identities.attempts("pool")
    assert attempt.proof == IamToken(shown.decode())


async def test_where_the_pool_is_full_a_token_is_tried_beside_it() -> None:
    place = Place(limit=1)
    await place.use(credential("app", ""), iam=BY_DATABASE)
    assert await check(place, token()) is None
    assert await check(place, token(age_s=60)) is None
    assert place.opening.tried == [("pool of app", "shop"), ("alone as app", "shop")]
    assert place.opening.closed == place.world.manager.size == 1


NO_DATABASE = PgError(Severity.FATAL, "3D000", 'database "shop" does not exist')


async def test_a_database_that_there_is_not_does_not_make_a_token_wrong() -> None:
    place = Place()
    await place.use(credential("app", ""), iam=BY_DATABASE)
    place.opening.errors = {"shop": NO_DATABASE}
    assert await check(place, token()) is None
    assert [where for _, where in place.opening.tried] == ["shop", "home"]
    place.opening.errors = {"home": NO_DATABASE}
    assert await check(place, token(age_s=60), "home") is Reason.NOT_ACCEPTED
    assert [where for _, where in place.opening.tried] == ["shop", "home", "home"]
    assert place.world.manager.size == 1


async def test_what_one_database_has_accepted_another_has_to_accept_anew() -> None:
    place = Place()
    await place.use(credential("app", ""), iam=BY_DATABASE)
    shown = token()
    assert await check(place, shown) is None
    await place.use(credential("app", ""), iam=BY_DATABASE, idle_client_timeout=10.0)
    assert await check(place, shown) is None
    assert len(place.opening.tried) == 1
    elsewhere = TargetSettings(hosts=["elsewhere:5433"])
    await place.use(credential("app", ""), iam=BY_DATABASE, target=elsewhere)
    assert await check(place, shown) is Reason.WRONG_HOST
    with pytest.raises(ConnectError):
        await place.identities.attempts("app")


# ---- sockets, targets ----


async def test_over_unix_sockets_tls_is_not_asked_for() -> None:
    place = Place()
    await place.use(credential("app", "x"))
    with socket.socket(socket.AF_UNIX) as local, socket.socket(socket.AF_INET) as remote:
        assert not place.front.policy_for(local).require_tls
        assert place.front.policy_for(remote).require_tls
    await place.use(credential("app", "x"), require_tls=False)
    with socket.socket(socket.AF_UNIX) as local:
        assert place.front.policy_for(local) is place.front.policy


async def test_behind_a_switch_users_are_looked_up_at_the_new_writer() -> None:
    place = Place()
    place.front.switched()
    await place.use(credential("app", "x"), **LOOKING_UP)
    looking = Looking()
    place.front._auth_query = cast(Any, looking)
    place.front.switched()
    assert looking.closed
    assert cast(Any, place.front._auth_query) is looking
