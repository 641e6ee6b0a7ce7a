"""What must hold between keys."""

import pytest

from forebay.config import (
    AuthSettings,
    IamSettings,
    NodeSettings,
    PoolSettings,
    ProxySettings,
    TargetSettings,
)
from forebay.config.checks import CHECKS, check_name, check_together
from forebay.config.login_checks import MAX_USERS
from forebay.config.reading import Reading

USER = AuthSettings(secret="env:A")
TARGET = TargetSettings(hosts=["db:5432"])


def found(settings: object) -> list[str]:
    return [f"{path[0]} {text}" for path, text in CHECKS[type(settings)](settings)]


def iam(**settings: object) -> IamSettings:
    given = {"verifier": "keys", "region": "us-east-1", "hosts": ["h:1"], "access_keys": ["env:K"]}
    return IamSettings(**(given | settings))  # type: ignore[arg-type]


def proxy(**settings: object) -> ProxySettings:
    return ProxySettings(**({"auth": [USER], "target": TARGET} | settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [proxy(), USER, TARGET, PoolSettings(), NodeSettings(), iam()])
def test_what_is_right(settings: object) -> None:
    assert found(settings) == []


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (proxy(listen=[]), "listen is an empty list"),
        (proxy(listen=[":1", ":1"]), "listen names an address twice"),
        (proxy(tls_certificate="a"), "tls_private_key is missing"),
        (proxy(tls_private_key="a"), "tls_certificate is missing"),
        (proxy(auth=[]), "auth is empty"),
        (proxy(auth=[USER, USER]), "auth is the same as that of auth[0]"),
        (proxy(session_functions={"f(": "NONE"}), "session_functions"),
        (proxy(session_functions={"f": "NONE", "F": "NONE"}), "is the same function as f"),
        (proxy(session_settings=["work_mem"]), "has no dot"),
        (proxy(session_settings=["app.ä"]), "is no name of a setting"),
        (AuthSettings(secret="hunter2"), "the value given is not shown"),
        (proxy(auth=[AuthSettings(secret="env:A", iam_auth="REQUIRED")]), "add a table"),
        (proxy(auth=[AuthSettings(secret="env:A", iam_auth="ENABLED")]), "add a table"),
        (iam(region="us east"), "it must be the region in tokens"),
        (iam(hosts=[]), 'is missing; verifier = "keys" needs it'),
        (iam(hosts=["h:1"] * 101), "has 101 items"),
        (iam(hosts=["h:1", "H:1"]), "'H:1' is there twice"),
        (iam(hosts=[":6432"]), "names no host"),
        (iam(hosts=["/run/x:1"]), "is not host:port, as clients connect to it"),
        (iam(hosts=["dä.example.com:1"]), "is not host:port, as clients connect to it"),
        (iam(access_keys=[]), 'is missing; verifier = "keys" needs it'),
        (iam(access_keys=["hunter2"]), "must be file:PATH or env:NAME"),
        (iam(access_keys=["env:A", "env:A"]), "is there twice: env:A"),
        (TargetSettings(hosts=[]), "hosts is empty"),
        (TargetSettings(hosts=["db"], sslmode="verify-ca"), "sslrootcert is missing"),
        (
            TargetSettings(hosts=["db"], sslmode="verify-ca", sslrootcert="system"),
            'must be "verify-full"',
        ),
        (
            PoolSettings(max_connections_percent=10, max_idle_connections_percent=20),
            "at most max_connections_percent, which is 10",
        ),
        (PoolSettings(init_query="SET x = 'é'"), "is not plain ASCII"),
        (PoolSettings(init_query="\0"), "holds a zero byte"),
        (NodeSettings(control_listen="x:y:z"), "control_listen"),
        (NodeSettings(control_listen="/run/forebay:1"), "is a Unix socket"),
        (NodeSettings(control_listen=":6480"), "can be reached from other machines"),
        (NodeSettings(control_listen="db.example:6480"), "set control_token"),
        (NodeSettings(control_token="hunter2"), "must be file:PATH or env:NAME"),
        (NodeSettings(control_token="env:"), "must be file:PATH or env:NAME"),
        (NodeSettings(control_socket="a\0b"), "holds a zero byte"),
    ],
)
def test_what_is_wrong(settings: object, text: str) -> None:
    assert any(text in each for each in found(settings))
    assert "hunter2" not in "".join(found(settings))


@pytest.mark.parametrize(
    "node",
    [
        NodeSettings(),
        NodeSettings(control_listen=""),
        NodeSettings(control_listen="localhost:6480"),
        NodeSettings(control_listen="[::1]:6480"),
        NodeSettings(control_listen=":6480", control_token="env:T"),
    ],
)
def test_where_the_page_may_be(node: NodeSettings) -> None:
    assert found(node) == []


def test_iam_users_with_a_verifier() -> None:
    user = AuthSettings(secret="env:A", iam_auth="REQUIRED")
    assert found(proxy(auth=[user], iam=iam())) == []


def test_no_more_users_than_rds_proxy_takes() -> None:
    users = [AuthSettings(secret=f"env:A{number}") for number in range(MAX_USERS + 1)]
    assert found(proxy(auth=users[:-1])) == []
    assert len(found(proxy(auth=users))) == 1


@pytest.mark.parametrize(
    ("name", "is_right"),
    [("app-1", True), ("a" * 63, True), ("a" * 64, False), ("1a", False), ("a--b", False)],
)
def test_names(name: str, is_right: bool) -> None:
    reading = Reading("a.toml")
    check_name(name, reading)
    assert (not reading.problems) is is_right


@pytest.mark.parametrize(
    ("one", "other", "text"),
    [
        (proxy(listen=":1"), proxy(listen=":2"), None),
        (proxy(listen=":0"), proxy(listen=":0"), None),
        (proxy(listen=":1"), proxy(listen=":1"), "is taken by proxies.app"),
        (proxy(listen=":1"), proxy(listen="db:5432"), "would connect to itself"),
    ],
)
def test_two_proxies(one: ProxySettings, other: ProxySettings, text: str | None) -> None:
    reading = Reading("a.toml")
    check_together({"app": one, "shop": other}, reading)
    assert [text in each.text for each in reading.problems] == ([True] if text else [])


def test_names_that_differ_in_case_only() -> None:
    reading = Reading("a.toml")
    check_together({"app": proxy(listen=":1"), "App": proxy(listen=":2")}, reading)
    assert len(reading.problems) == 1
