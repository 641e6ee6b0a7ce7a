import msgspec
import pytest

from forebay.channel import Credential
from forebay.cli.probing import Facts, Login
from forebay.cli.warnings import _server, about_all, about_proxy, budget
from forebay.config import (
    Address,
    AuthSettings,
    Config,
    IamSettings,
    LimitSettings,
    PoolSettings,
    ProxySettings,
    TargetSettings,
)
from tests.harness.credentials import credential

HOST = Address("10.0.0.1", 5432)
PROXY = ProxySettings(
    target=TargetSettings(hosts=[str(HOST)], sslmode="require"),
    pool=PoolSettings(max_connections_percent=90),
)
FACTS = Facts(
    server_version="16.1",
    server_version_number=160_001,
    is_replica=False,
    is_superuser=False,
    user_limit=-1,
    database_limit=-1,
    statement_timeout="0",
    idle_session_timeout="0",
    password_encryption="scram-sha-256",
    others_connected=0,
    max_connections=103,
    reserved=3,
    tls="TLSv1.3",
    asks_password=True,
)
USERS = [credential("app", "p", "scram-sha-256")]


def warnings(
    proxy: ProxySettings = PROXY,
    facts: Facts = FACTS,
    users: list[Credential] = USERS,
    *,
    self_made: bool = False,
    descriptor_limit: int = 100_000,
) -> str:
    logins = [Login(each.username, HOST, facts) for each in users]
    found = about_proxy(
        proxy, users, logins, self_made=self_made, descriptor_limit=descriptor_limit
    )
    return "\n".join(found)


def test_nothing_to_say() -> None:
    assert warnings() == ""


IAM = IamSettings(
    verifier="keys", region="us-east-1", hosts=["db:6432", "db"], access_keys=["env:K"]
)
IAM_USER = AuthSettings(secret="env:A", iam_auth="REQUIRED")
USER = AuthSettings(secret="env:A")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"auth": [USER], "listen": [":6432", ":5432"]},
            'iam_auth is "DISABLED" for every user ("app")',
        ),
        ({"auth": [IAM_USER]}, "iam.hosts has db:5432, but the proxy listens on port 6432"),
        ({"auth": [IAM_USER], "listen": "/run/x:6432"}, "listens on Unix sockets alone"),
        ({"auth": [IAM_USER], "listen": [":6432", "127.0.0.1:5432"], "require_tls": True}, ""),
        ({"auth": [IAM_USER, USER], "listen": "127.0.0.1:0"}, ""),
        ({"auth": [USER], "iam": None}, ""),
    ],
)
def test_iam(change: dict[str, object], said: str) -> None:
    proxy = msgspec.structs.replace(PROXY, **({"iam": IAM} | change))
    found = warnings(proxy)
    assert said in found if said else found == ""


def test_the_limits() -> None:
    found = budget(PROXY, FACTS)
    assert (found.limit, found.idle_limit) == (90, 45)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"is_superuser": True}, 'user "app" is a superuser'),
        ({"asks_password": False}, "needs no password at the database"),
        ({"is_replica": True}, "is a replica"),
        ({"server_version_number": 110_022, "server_version": "11.22"}, "11.22 is older than 12"),
        ({"user_limit": 20}, "has CONNECTION LIMIT 20"),
        ({"database_limit": 20}, 'database "postgres" has CONNECTION LIMIT 20'),
        ({"idle_session_timeout": "5min"}, "idle_session_timeout = 5min"),
        ({"statement_timeout": "30s"}, "statement_timeout = 30s"),
        ({"password_encryption": "md5"}, "password_encryption is md5"),
        (
            {"missing_functions": ["app.f", "g"]},
            'database "postgres" does not have what session_functions lists: app.f, g',
        ),
        ({"others_connected": 11}, "others hold 11 connections now"),
        ({"max_connections": 4}, "1 connections for 1 users"),
    ],
)
def test_what_the_database_said(change: dict[str, object], said: str) -> None:
    assert said in warnings(facts=msgspec.structs.replace(FACTS, **change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"listen": ":6432", "require_tls": False}, "require_tls is off on *:6432"),
        ({"idle_client_timeout": 60}, "is longer than idle_client_timeout (60 s)"),
        ({"session_functions": {"f": "NONE"}, "pinning": "rds"}, "have no effect while pinning is"),
        ({"session_settings": ["a.b"], "pinning": "rds"}, "have no effect while pinning is"),
        ({"login_timeout": 0.5}, "login_timeout is 0.5 s"),
        ({"pool": PoolSettings()}, "max_connections_percent is 100"),
        ({"pool": PoolSettings(connection_borrow_timeout=0)}, "connection_borrow_timeout is 0"),
        ({"target": TargetSettings(hosts=["10.0.0.1:5432"])}, 'sslmode = "prefer" towards'),
    ],
)
def test_what_the_settings_say(change: dict[str, object], said: str) -> None:
    assert said in warnings(msgspec.structs.replace(PROXY, **change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"users": {"app": LimitSettings(max_connections=3)}}, ""),
        ({"admin_users": ["App"]}, 'admin_users names "App", but there is no user "App"'),
        ({"stats_users": ["App"]}, 'stats_users names "App", but there is no user "App"'),
        ({"stats_users": ["App"], "auth_query": "SELECT $1"}, ""),
        ({"users": {"App": LimitSettings()}}, 'users.App has no effect: there is no user "App"'),
        ({"users": {"App": LimitSettings()}, "auth_query": "SELECT $1"}, ""),
        (
            {"databases": {"shop": LimitSettings(max_connections=91)}},
            "databases.shop.max_connections is 91, more than the pool's 90",
        ),
        ({"pool": PoolSettings(max_connections=99)}, ""),
    ],
)
def test_limits_of_users_and_databases_and_who_may_look(
    change: dict[str, object], said: str
) -> None:
    found = warnings(msgspec.structs.replace(PROXY, **change))
    assert said in found if said else found == ""


def test_users_who_share_connections_are_limited_as_one() -> None:
    users = [msgspec.structs.replace(credential("app_a", "p"), identity="app")]
    limits = LimitSettings(max_connections=3)
    assert warnings(msgspec.structs.replace(PROXY, users={"app": limits}), users=users) == ""
    said = warnings(msgspec.structs.replace(PROXY, users={"app_a": limits}), users=users)
    assert 'users.app_a has no effect: user "app_a" is limited as its pool_identity "app"' in said


def test_a_rotation_that_is_under_way() -> None:
    login = Login("app", HOST, FACTS, rejected=1)
    (text,) = about_proxy(PROXY, USERS, [login], self_made=False, descriptor_limit=100_000)
    assert 'does not take 1 newer of the passwords of user "app"' in text


def test_policies_are_looked_into() -> None:
    policies = {
        "a.json": """{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
            "Principal": "*", "Action": "rds-db:connect",
            "Resource": "arn:aws:rds-db:us-east-1:*:dbuser:prx-1/app_user"}}"""
    }
    iam = msgspec.structs.replace(IAM, proxy_id="prx-1", hosts=["db:6432"])
    proxy = msgspec.structs.replace(PROXY, iam=iam, auth=[IAM_USER])
    said = about_proxy(
        proxy, USERS, [], self_made=False, descriptor_limit=100_000, policies=policies
    )
    assert [text for text in said if 'be user "app_user", and nobody is called so' in text]


def test_the_rest() -> None:
    assert "may have only 1000 open files" in warnings(descriptor_limit=1000)
    assert "clients of app log in with MD5" in warnings(users=[credential("app", "p", "md5")])
    public = msgspec.structs.replace(PROXY, listen=":6432")
    assert "made anew at each start" in warnings(public, self_made=True)
    assert warnings(self_made=True) == ""


def test_proxies_that_share_a_server_may_have_numbers() -> None:
    numbered = msgspec.structs.replace(PROXY, pool=PoolSettings(max_connections=10))
    assert list(about_all(Config(proxies={"a": PROXY, "b": numbered, "c": numbered}))) == []


def test_proxies_that_share_a_server() -> None:
    assert list(about_all(Config(proxies={"a": PROXY}))) == []
    (said,) = about_all(Config(proxies={"a": PROXY, "b": PROXY}))
    assert said == (
        "proxies a, b share 10.0.0.1:5432, and their max_connections_percent add up to 180"
    )


def test_of_several_servers_a_standby_is_no_surprise() -> None:
    target = TargetSettings(hosts=["a", "b"], sslmode="require")
    facts = msgspec.structs.replace(FACTS, is_replica=True)
    proxy = msgspec.structs.replace(PROXY, target=target)
    assert not [text for text in _server(proxy, 1, facts) if "replica" in text]
