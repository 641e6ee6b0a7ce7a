"""A verifier and the policies behind it, together."""

import json
from typing import Any

import pytest

from forebay.identity.access_keys import AccessKey
from forebay.identity.authorization import Authorization
from forebay.identity.policy import Policies
from forebay.identity.sts import StsVerifier
from forebay.identity.sts.requests import presign
from forebay.identity.token_check import TokenCheck
from forebay.identity.tokens import Reason, generate_db_auth_token
from forebay.identity.verifier import KeysVerifier
from tests.harness.sts import ACCOUNT, USER_ARN, StandInSts, verifying

NOW_S = 1_795_861_800.0
KEY = AccessKey("AKIAFOREBAYTEST00001", "s3cr3t", owner_arn=USER_ARN)
STATEMENT: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": {"AWS": USER_ARN},
    "Action": "rds-db:connect",
    "Resource": f"arn:aws:rds-db:eu-west-1:{ACCOUNT}:dbuser:prx-orders/app",
    "Condition": {"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}},
}


def authorization() -> Authorization:
    text = json.dumps({"Version": "2012-10-17", "Statement": STATEMENT})
    return Authorization(
        Policies.parse({"app.json": text}),
        region="eu-west-1",
        proxy_id="prx-orders",
        account=ACCOUNT,
    )


LOGINS = [
    ("app", "192.0.2.1", None),
    ("app", "2001:db8::1", None),
    ("app", "unix:0", None),  # has no address, which NotIpAddress lets through
    ("app", "203.0.113.1", Reason.POLICY),
    ("app", "::ffff:203.0.113.1", Reason.POLICY),
    ("app", "", Reason.POLICY),
    ("other", "192.0.2.1", Reason.POLICY),
]


@pytest.mark.parametrize(("user", "peer", "reason"), LOGINS)
async def test_keys(user: str, peer: str, reason: Reason | None) -> None:
    verifier = KeysVerifier([KEY], region="eu-west-1", hosts=["db:6432"])
    check = TokenCheck(verifier, authorization(), now_s=lambda: NOW_S)
    token = generate_db_auth_token("db", 6432, user, "eu-west-1", KEY, NOW_S).encode()
    found = await check.check(token, user, peer)
    assert (found and found.reason) == reason
    wrong = await check.check(token[:-1] + b"x", user, peer)
    assert wrong is not None
    assert wrong.reason is Reason.MALFORMED


async def test_sts() -> None:
    with StandInSts(verifying({KEY.access_key_id: "s3cr3t"}, {KEY.access_key_id: USER_ARN})) as sts:
        verifier = StsVerifier([sts.endpoint], "prx-orders")
        check = TokenCheck(verifier, authorization(), now_s=lambda: NOW_S)
        token = presign(sts.endpoint, "prx-orders", KEY, NOW_S).encode()
        for user, peer, reason in LOGINS:
            found = await check.check(token, user, peer)
            assert (found and found.reason) == reason
        assert len(sts.asked) == 1  # policies are asked each time, STS is not
        other = presign(sts.endpoint, "prx-others", KEY, NOW_S).encode()
        refused = await check.check(other, "app", "192.0.2.1")
        assert refused is not None
        assert refused.reason is Reason.STS_REFUSED
        verifier.close()
