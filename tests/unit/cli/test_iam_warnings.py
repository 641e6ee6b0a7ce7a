"""The traps that lie between users, their modes and policies."""

import json
from typing import Any

import msgspec
import pytest

from forebay.channel import Credential, LoginMethod
from forebay.cli.iam_warnings import about_iam
from forebay.config import AuthSettings, IamSettings, ProxySettings, TargetSettings
from tests.harness.credentials import credential

KEYS = IamSettings(
    verifier="keys",
    region="us-east-1",
    hosts=["db:6432"],
    access_keys=["env:K"],
    proxy_id="prx-1",
    account="111122223333",
)
REQUIRED = AuthSettings(secret="env:A", iam_auth="REQUIRED")
DISABLED = AuthSettings(secret="env:B")
ARN = "arn:aws:rds-db:us-east-1:111122223333:dbuser:prx-1"


def users(**methods: LoginMethod) -> list[Credential]:
    return [credential(name, "x", auth) for name, auth in methods.items()]


def policy(*resources: str, effect: str = "Allow", key: str = "Resource") -> dict[str, str]:
    statement = {
        "Effect": effect,
        "Principal": {"AWS": "arn:aws:iam::111122223333:role/publisher"},
        "Action": "rds-db:connect",
        key: list(resources),
    }
    return {"a.json": json.dumps({"Version": "2012-10-17", "Statement": [statement]})}


def told(
    policies: dict[str, str] | None = None,
    *credentials: Credential,
    auth: tuple[AuthSettings, ...] = (REQUIRED,),
    iam: IamSettings | None = KEYS,
    listen: Any = ":6432",
) -> list[str]:
    target = TargetSettings(hosts=["db:5432"])
    proxy = ProxySettings(auth=list(auth), iam=iam, listen=listen, target=target)
    found = list(credentials) or users(app="iam")
    return list(about_iam(proxy, found, policies or {}))


def test_nothing_to_say() -> None:
    assert told() == []
    assert told(iam=None, auth=(DISABLED,)) == []
    assert told(policy(f"{ARN}/app")) == []


def test_the_decision_records_own_trap() -> None:
    """One secret, of postgres, whose IAM is disabled; and a grant for app_user, who has none."""
    found = told(policy(f"{ARN}/app_user"), *users(postgres="scram-sha-256"), auth=(DISABLED,))
    disabled, nobody = found
    assert 'iam_auth is "DISABLED" for every user ("postgres")' in disabled
    assert 'set iam_auth = "REQUIRED"' in disabled
    assert nobody.startswith(
        'a.json: statement 1 lets principals be user "app_user", and nobody is called so'
    )
    assert 'username = "app_user" and auth_scheme = "IAM_AUTH"' in nobody
    assert 'iam_auth = "REQUIRED"' in nobody


def test_a_grant_for_a_user_whose_tokens_are_not_taken() -> None:
    found = told(
        policy(f"{ARN}/app", f"{ARN}/jobs"),
        *users(app="iam-or-md5", jobs="md5"),
        auth=(REQUIRED, DISABLED),
    )
    (text,) = found
    assert 'be user "jobs", whose iam_auth is "DISABLED"' in text


@pytest.mark.parametrize(
    "resource",
    [
        "*",
        f"{ARN}/*",
        f"{ARN}/app_*",
        f"{ARN}/???",
        f"{ARN}/${{aws:username}}",
        "arn:aws:rds-db:*:*:dbuser:*",
        "arn:aws:rds-db:us-*:111122223333:dbuser:prx-?/app",
    ],
)
def test_patterns_name_nobody(resource: str) -> None:
    assert told(policy(resource)) == []
    assert told(policy(f"{ARN}/admin", key="NotResource")) == []


def test_a_user_is_told_of_once_and_what_denies_is_no_grant() -> None:
    assert len(told(policy(f"{ARN}/x", f"{ARN}/x", f"{ARN}/app"))) == 1
    deny = json.loads(policy(f"{ARN}/y", effect="Deny")["a.json"])
    allow = json.loads(policy(f"{ARN}/app")["a.json"])
    allow["Statement"] += deny["Statement"]
    assert told({"a.json": json.dumps(allow)}) == []


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:rds-db:us-east-1:111122223333:dbuser:prx-2/app",
        "arn:aws:rds-db:eu-west-1:111122223333:dbuser:prx-1/app",
        "arn:aws:rds-db:us-east-1:444455556666:dbuser:prx-1/app",
    ],
)
def test_policies_that_are_about_another_proxy(resource: str) -> None:
    (text,) = told(policy(resource))
    assert 'none has a Resource of the proxy "prx-1" in the region us-east-1' in text
    assert told(policy(resource, f"{ARN}/app")) == []


def test_a_policy_that_only_denies_lets_nobody_in() -> None:
    (text,) = told(policy(f"{ARN}/app", effect="Deny"))
    assert text.startswith("no policy allows anything here")


def test_the_account_is_not_looked_at_where_none_is_configured() -> None:
    iam = msgspec.structs.replace(KEYS, account="")
    assert told(policy("arn:aws:rds-db:us-east-1:444455556666:dbuser:prx-1/app"), iam=iam) == []


def test_sts_without_a_region_has_the_global_one() -> None:
    iam = IamSettings(verifier="sts", proxy_id="prx-1", sts_endpoint="https://sts.amazonaws.com")
    assert told(policy(f"{ARN}/app"), iam=iam) == []


def test_where_tokens_are_taken() -> None:
    (text,) = told(listen=":5555")
    assert "iam.hosts has db:6432, but the proxy listens on port 5555" in text
    (text,) = told(listen="/run/x:6432")
    assert "Unix sockets alone" in text
    assert told(listen="127.0.0.1:0") == []
    of_the_database = IamSettings(verifier="database", hosts=["db.example.com:5432"])
    assert told(iam=of_the_database) == []
