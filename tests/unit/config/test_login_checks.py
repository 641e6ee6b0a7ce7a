"""What must hold of how clients log in, and of how Forebay does."""

from typing import Any

import pytest

from forebay.config import AuthSettings, IamSettings, ProxySettings, TargetSettings
from forebay.config.checks import CHECKS
from forebay.config.login_checks import (
    MAX_ACCESS_KEYS,
    MAX_CERTIFICATES,
    MAX_IAM_HOSTS,
    MAX_POLICIES,
    MAX_USERS,
    check_certificate_of_ours,
    check_iam,
    check_user,
    logins_of,
)

USER = AuthSettings(secret="env:A")
TARGET = TargetSettings(hosts=["db:5432"])
OWN = TargetSettings(hosts=["db:5432"], sslcert="own.crt", sslkey="own.key")
POLICY = '{"Version": "2012-10-17"}'
GIVEN: dict[str, dict[str, Any]] = {
    "keys": {"region": "us-east-1", "hosts": ["h:1"], "access_keys": ["env:K"]},
    "database": {},
    "sts": {
        "region": "us-east-1",
        "account": "123456789012",
        "proxy_id": "prx-1",
        "policies": [POLICY],
    },
}


def iam(verifier: Any = "keys", **changes: Any) -> IamSettings:
    return IamSettings(verifier=verifier, **(GIVEN[verifier] | changes))


def proxy(*auth: AuthSettings, **settings: Any) -> ProxySettings:
    return ProxySettings(auth=list(auth) or [USER], **({"target": TARGET} | settings))


def told(settings: object) -> list[str]:
    """What is wrong with it, each behind the place where."""
    checks = {
        ProxySettings: logins_of,
        AuthSettings: check_user,
        IamSettings: check_iam,
        TargetSettings: check_certificate_of_ours,
    }
    check: Any = checks[type(settings)]
    return [f"{'.'.join(map(str, path))} {text}" for path, text in check(settings)]


@pytest.mark.parametrize(
    "settings",
    [
        *map(iam, GIVEN),
        iam("sts", region="", sts_endpoint="http://127.0.0.1:4566"),
        iam("sts", account="123456789012"),
        iam("database", hosts=["db.example.com:5432"], region="us-east-1"),
        iam(policies=["file:a.json", POLICY], proxy_id="prx-A_1", account="123456789012"),
        iam(hosts=["h:1", "[::1]:5432", "10.0.0.1"]),
        USER,
        AuthSettings(secret="arn:aws-cn:secretsmanager:cn-north-1:1:secret:a"),
        *(AuthSettings(secret=f"{kind}:x") for kind in ("file", "env", "given", "userlist")),
        AuthSettings(secret="secretsmanager:app"),
        AuthSettings(username="app"),
        AuthSettings(secret="env:A", client_auth="cert", clientcert_names=["x"]),
        AuthSettings(secret="env:A", clientcert="verify-full", clientcert_names=["x"]),
        TARGET,
        OWN,
        proxy(),
        proxy(tls_certificate="a", tls_private_key="b"),
        proxy(tls_certificate=["a", "b"], tls_private_key=["c", "d"]),
        proxy(auth_query="SELECT $1", auth_user="app", auth_dbname="x"),
    ],
)
def test_what_is_right(settings: object) -> None:
    assert told(settings) == []


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        # How tokens are verified.
        *((iam("keys", **{key: type(value)()}), f'{key} is missing; verifier = "keys" needs it')
          for key, value in GIVEN["keys"].items()),
        (iam("sts", proxy_id=""), 'proxy_id is missing; verifier = "sts" needs it'),
        (iam("sts", policies=[]), 'policies is missing; verifier = "sts" needs it'),
        (iam("sts", account=""), 'account is missing; verifier = "sts" needs it'),
        (iam("sts", region=""), "region is missing"),
        (iam(sts_endpoint="https://x"), 'sts_endpoint has no meaning with verifier = "keys"'),
        *((iam("database", **{key: value}), f"{key} has no meaning")
          for key, value in (("access_keys", ["env:K"]), ("policies", [POLICY]),
                             ("account", "123456789012"), ("proxy_id", "prx"))),
        (iam("sts", hosts=["h:1"]), "hosts has no meaning"),
        (iam("sts", access_keys=["env:K"]), "access_keys has no meaning"),
        (iam(region="us east"), "region is 'us east'"),
        (iam(region="US-EAST-1"), "region is 'US-EAST-1'"),
        (iam(hosts=[f"h{n}:1" for n in range(MAX_IAM_HOSTS + 1)]), "hosts has 101 items"),
        (iam(hosts=["a:1", ":6432"]), "hosts.1 "),
        (iam(hosts=["/run/x:1"]), "hosts.0 '/run/x:1' is not host:port"),
        (iam(hosts=["*.example.com:1"]), "hosts.0 '*.example.com:1' is not host:port"),
        (iam(hosts=["h:1", "H:1"]), "hosts.1 'H:1' is there twice"),
        (iam(access_keys=["hunter2"]), "access_keys.0 must be file:PATH or env:NAME"),
        (iam(access_keys=["env:A", "env:A"]), "access_keys.1 is there twice: env:A"),
        (iam(access_keys=[f"env:{n}" for n in range(MAX_ACCESS_KEYS + 1)]), "access_keys has 1001"),
        (iam(policies=[POLICY]), "proxy_id is missing; it is a part of the ARNs"),
        (iam("sts", policies=["hunter2"]), "policies.0 must be file:PATH, or a policy"),
        (iam("sts", policies=[POLICY] * (MAX_POLICIES + 1)), "policies has 101 items"),
        (iam("sts", account="1234"), "account is '1234'; it must be the twelve digits"),
        (iam("sts", proxy_id="prx/1"), "proxy_id is 'prx/1'"),
        (iam("sts", proxy_id="x" * 65), "proxy_id is "),
        # One user.
        (AuthSettings(), "secret is missing; it must be file:PATH, env:NAME"),
        (AuthSettings(secret="env:A", username="a"), "username and secret are both given"),
        (AuthSettings(secret="hunter2"), "secret must be file:PATH"),
        (AuthSettings(secret="file:"), "secret must be file:PATH"),
        (AuthSettings(secret="arn:aws:s3:::x"), "secret must be file:PATH"),
        (AuthSettings(username="a\0"), "username holds a zero byte"),
        (AuthSettings(secret="env:A", pool_identity="\0"), "pool_identity holds a zero byte"),
        (AuthSettings(secret="env:A", client_auth="cert", iam_auth="REQUIRED"),
         'client_auth is "cert", so iam_auth has to be "DISABLED"'),
        (AuthSettings(secret="env:A", client_auth="trust", iam_auth="ENABLED"),
         'client_auth is "trust", so iam_auth has to be "DISABLED"'),
        (AuthSettings(secret="env:A", clientcert_names=["x"]), "clientcert_names is looked at"),
        (AuthSettings(secret="env:A", clientcert="verify-ca", clientcert_names=["x"]),
         "clientcert_names is looked at only"),
        # Our own certificate.
        (TargetSettings(hosts=["db"], sslcert="a"), "sslkey is missing"),
        (TargetSettings(hosts=["db"], sslkey="a"), "sslcert is missing"),
        (TargetSettings(hosts=["db"], sslcert="a", sslkey="b", sslmode="disable"),
         'sslcert has no meaning with sslmode = "disable"'),
        (TargetSettings(hosts=["db"], region="x"), "region is 'x'"),
        # All of a proxy.
        (ProxySettings(target=TARGET), "auth is empty"),
        (proxy(tls_certificate="a"), "tls_private_key is missing while tls_certificate is set"),
        (proxy(tls_private_key="a"), "tls_certificate is missing while tls_private_key is set"),
        (proxy(tls_certificate=["a", "b"], tls_private_key="c"),
         "tls_private_key names 1 keys for 2 certificates"),
        (proxy(tls_certificate=[], tls_private_key=[]), "tls_certificate names 0 files"),
        (proxy(tls_certificate=["a"] * (MAX_CERTIFICATES + 1),
               tls_private_key=["a"] * (MAX_CERTIFICATES + 1)), "names 101 files"),
        (proxy(auth_query="SELECT $1"), "auth_user is missing"),
        (proxy(auth_query="SELECT 1", auth_user="app"), "auth_query has no $1"),
        (proxy(auth_query="SELECT $1\0", auth_user="app"), "auth_query holds a zero byte"),
        (proxy(auth_user="app"), "auth_user has no meaning without auth_query"),
        (proxy(auth_dbname="app"), "auth_dbname has no meaning without auth_query"),
        (proxy(USER, USER), "auth.1.secret is the same as that of auth[0]"),
        (proxy(AuthSettings(username="a"), AuthSettings(username="a"), target=OWN),
         "auth.1.username is the same as that of auth[0]"),
        # What a user asks of its proxy.
        *((proxy(AuthSettings(secret="env:A", iam_auth=mode)), "auth.0.iam_auth is ")
          for mode in ("REQUIRED", "ENABLED")),
        (proxy(AuthSettings(secret="env:A", iam_auth="ENABLED"), iam=iam("database")),
         'auth.0.iam_auth can\'t be "ENABLED" with verifier = "database"'),
        (proxy(AuthSettings(secret="env:A", client_auth="cert")),
         'auth.0.client_auth is "cert", which needs tls_client_ca'),
        (proxy(AuthSettings(secret="env:A", clientcert="verify-ca")),
         'auth.0.clientcert is "verify-ca", which needs tls_client_ca'),
        (proxy(AuthSettings(secret="env:A", client_auth="trust"), listen=[":6432"]),
         'auth.0.client_auth is "trust"'),
        (proxy(AuthSettings(secret="env:A", client_auth="trust"),
               listen=["127.0.0.1:6432", "10.0.0.1:6432"]), 'auth.0.client_auth is "trust"'),
        (proxy(AuthSettings(username="a")), "auth.0.username is given without a secret: that"),
        (proxy(AuthSettings(username="a", auth_scheme="SECRETS"), default_auth_scheme="IAM_AUTH"),
         "auth.0.username is given without a secret: that works"),
        (proxy(AuthSettings(username="a", iam_auth="REQUIRED"), iam=iam()),
         "auth.0.username is given without a secret: that works"),
        (proxy(AuthSettings(username="a"), target=OWN),
         "auth.0.username is given without a secret, so no password is right"),
        (proxy(AuthSettings(username="a", auth_scheme="IAM_AUTH")),
         "auth.0.username is given without a secret, so no password is right"),
    ],
)  # fmt: skip
def test_what_is_wrong(settings: object, text: str) -> None:
    found = told(settings)
    assert [each for each in found if each.startswith(text) or text in each], found
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize(
    "settings",
    [
        proxy(AuthSettings(username="a", auth_scheme="IAM_AUTH", client_auth="trust")),
        proxy(
            AuthSettings(username="a", client_auth="trust"),
            listen=["127.0.0.1:1", "[::1]:1", "/run/forebay:1"],
            default_auth_scheme="IAM_AUTH",
        ),
        proxy(AuthSettings(username="a", iam_auth="REQUIRED"), iam=iam("database")),
        proxy(AuthSettings(username="a", client_auth="cert"), target=OWN, tls_client_ca="ca"),
        proxy(
            AuthSettings(username="a", iam_auth="REQUIRED", auth_scheme="IAM_AUTH"),
            iam=iam("sts"),
        ),
        proxy(AuthSettings(secret="env:A", clientcert="verify-full"), tls_client_ca="ca"),
    ],
)
def test_users_without_a_password(settings: ProxySettings) -> None:
    assert told(settings) == []


def test_no_more_users_than_a_limit() -> None:
    users = [AuthSettings(secret=f"env:A{number}") for number in range(MAX_USERS + 1)]
    assert told(proxy(*users[:-1])) == []
    (text,) = told(proxy(*users))
    assert text.startswith(f"auth has {MAX_USERS + 1} entries")


def test_each_is_asked_where_settings_are_read() -> None:
    for settings in (AuthSettings(), iam("sts", proxy_id=""), proxy(USER, USER)):
        assert list(CHECKS[type(settings)](settings))
    (found,) = CHECKS[TargetSettings](TargetSettings(hosts=["db"], sslcert="a"))
    assert found[0] == ("sslkey",)
