"""Who may be which database user, by policies and without any."""

import json
from typing import Any

import pytest

from forebay.identity.authorization import Authorization
from forebay.identity.policy import Policies
from forebay.identity.tokens import Reason

ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/publisher"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/i-0123"
DEV = f"arn:aws:iam::{ACCOUNT}:user/dev"
STATEMENTS: list[dict[str, Any]] = [
    {
        "Sid": "PublisherAsApp",
        "Effect": "Allow",
        "Principal": {"AWS": ROLE},
        "Action": "rds-db:connect",
        "Resource": f"arn:aws:rds-db:eu-central-1:{ACCOUNT}:dbuser:prx-orders/app",
    },
    {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "rds-db:connect",
        "Resource": "arn:aws:rds-db:*:*:dbuser:*/${aws:username}",
        "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}},
    },
    {
        "Sid": "NoAdministrators",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "rds-db:connect",
        "Resource": "arn:aws:rds-db:*:*:dbuser:*/*admin*",
    },
]
POLICIES = Policies.parse(
    {"app.json": json.dumps({"Version": "2012-10-17", "Statement": STATEMENTS})}
)


def authorization(**changes: Any) -> Authorization:
    given = {"region": "eu-central-1", "proxy_id": "prx-orders", "account": ACCOUNT}
    return Authorization(**{"policies": POLICIES, **given, **changes})


def refused(
    arn: str | None, user: str, source_ip: str | None = "192.0.2.1", **changes: Any
) -> str | None:
    refusal = authorization(**changes).decide(arn, user, source_ip, 0.0)
    if refusal is None:
        return None
    assert refusal.reason is Reason.POLICY
    assert refusal.sentence.isprintable()
    return refusal.sentence


def test_who_may() -> None:
    assert refused(SESSION, "app") is None
    assert refused(DEV, "dev") is None
    assert refused(SESSION, "app", None) is None


@pytest.mark.parametrize(
    ("arn", "user", "source_ip", "said"),
    [
        (SESSION, "other", None, f"no statement allows {SESSION} to do rds-db:connect on arn:aws:"),
        (SESSION, "other", None, 'app.json: statement 1 (Sid "PublisherAsApp") is about this'),
        (DEV, "admin", None, 'app.json: statement 3 (Sid "NoAdministrators") denies ' + DEV),
        (DEV, "dev", "203.0.113.1", "statement 2 would, but its Condition is not fulfilled"),
        (DEV, "dev", "unix:0", "is not the address of a client"),
        (None, "dev", None, 'whose access key signed the token for user "dev", so no policy'),
        (ROLE, "app", None, 'role/publisher" is not the ARN of a user or a session'),
        (DEV.replace(ACCOUNT, "444455556666"), "dev", None, "of another account than the proxy"),
        (DEV, "*\n\x1b", None, "no statement allows"),
    ],
)
def test_who_may_not(arn: str | None, user: str, source_ip: str | None, said: str) -> None:
    assert said in (refused(arn, user, source_ip) or "")


def test_names_are_text() -> None:
    """A user that is called like a pattern is not everybody."""
    assert "no statement allows" in (refused(SESSION, "*") or "")


@pytest.mark.parametrize(
    ("changes", "arn"),
    [
        ({"proxy_id": "prx-other"}, SESSION),
        ({"region": "eu-west-1"}, SESSION),
        ({"region": "cn-north-1"}, SESSION),
        ({"account": "444455556666"}, SESSION.replace(ACCOUNT, "444455556666")),
    ],
)
def test_policies_name_proxy_region_partition_and_account(
    changes: dict[str, Any], arn: str
) -> None:
    assert "no statement allows" in (refused(arn, "app", **changes) or "")


def test_without_an_account_the_proxy_is_of_the_principals() -> None:
    other = DEV.replace(ACCOUNT, "444455556666")
    assert refused(other, "dev", account=None) is None
    assert refused(SESSION, "app", account=None) is None


def test_without_policies() -> None:
    assert "there are no policies" in (refused(DEV, "dev", policies=None) or "")
    opened = {"policies": None, "open_without_policies": True, "account": None}
    assert refused(None, "anybody", **opened) is None
    assert refused(DEV, "anybody", **opened) is None
    # With policies, they count.
    assert "no statement" in (refused(DEV, "other", open_without_policies=True) or "")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"proxy_id": "a/b"}, "is no proxy id"),
        ({"proxy_id": "*"}, "is no proxy id"),
        ({"region": "*"}, "is no region"),
        ({"account": "*"}, "is no account"),
    ],
)
def test_what_cannot_stand_in_an_arn(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        authorization(**changes)
