"""Tokens made by boto3 and verified by MiniStack, which verifies signatures as STS does.

How MiniStack is had, and where it is looked for, tests/harness/ministack.py says.
"""

import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from forebay.identity.access_keys import AccessKey
from forebay.identity.sts import Endpoint, StsVerifier
from forebay.identity.sts.requests import PROXY_HEADER, presign
from forebay.identity.tokens import Reason, Refusal, Verified
from tests.harness.ministack import ROOT_KEY, MiniStack

REGION = "us-east-1"
ACCOUNT = "000000000000"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/publisher"
TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",'
    f' "Principal": {{"AWS": "arn:aws:iam::{ACCOUNT}:root"}}}}]}}'
)
MAY_ASSUME = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",'
    ' "Resource": "*"}]}'
)


@pytest.fixture(scope="module")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniStack]:
    with MiniStack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


def client(service: str, server: MiniStack, key: AccessKey) -> Any:
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=server.url,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        aws_session_token=key.session_token,
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def keys(ministack: MiniStack) -> dict[str, AccessKey]:
    """A user's, and those of a session of a role."""
    iam = client("iam", ministack, ROOT_KEY)
    iam.create_user(UserName="dev", Path="/team/")
    iam.put_user_policy(UserName="dev", PolicyName="assume", PolicyDocument=MAY_ASSUME)
    made = iam.create_access_key(UserName="dev")["AccessKey"]
    user = AccessKey(made["AccessKeyId"], made["SecretAccessKey"])
    iam.create_role(RoleName="publisher", AssumeRolePolicyDocument=TRUST)
    made = client("sts", ministack, user).assume_role(RoleArn=ROLE_ARN, RoleSessionName="i-0123")
    found = made["Credentials"]
    session = AccessKey(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
    return {"user": user, "session": session}


@pytest.fixture
def verifier(ministack: MiniStack) -> Iterator[StsVerifier]:
    verifier = StsVerifier([Endpoint.parse(ministack.url, REGION)], "prx-orders")
    yield verifier
    verifier.close()


ARNS = {
    "user": f"arn:aws:iam::{ACCOUNT}:user/team/dev",
    "session": f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/i-0123",
}


@pytest.mark.parametrize("whose", ["user", "session"])
async def test_whose_a_token_of_boto3_is(
    ministack: MiniStack, keys: dict[str, AccessKey], verifier: StsVerifier, whose: str
) -> None:
    sts = client("sts", ministack, keys[whose])
    sts.meta.events.register(
        "before-sign.sts.GetCallerIdentity",
        lambda request, **_: request.headers.add_header(PROXY_HEADER, "prx-orders"),
    )
    token = sts.generate_presigned_url("get_caller_identity", ExpiresIn=900, HttpMethod="GET")
    found = await verifier.check(token.encode(), time.time())
    assert isinstance(found, Verified), found
    assert found.principal_arn == ARNS[whose]


@pytest.mark.parametrize("whose", ["user", "session"])
async def test_whose_an_own_token_is(
    ministack: MiniStack, keys: dict[str, AccessKey], verifier: StsVerifier, whose: str
) -> None:
    endpoint = Endpoint.parse(ministack.url, REGION)
    token = presign(endpoint, "prx-orders", keys[whose], time.time())
    found = await verifier.check(token.encode(), time.time())
    assert isinstance(found, Verified), found
    assert found.principal_arn == ARNS[whose]


async def test_wrong_ones(
    ministack: MiniStack, keys: dict[str, AccessKey], verifier: StsVerifier
) -> None:
    endpoint, now_s = Endpoint.parse(ministack.url, REGION), time.time()
    user, session = keys["user"], keys["session"]
    for key, proxy_id, code in (
        (user, "prx-others", "SignatureDoesNotMatch"),
        (user._replace(secret_access_key="other"), "prx-orders", "SignatureDoesNotMatch"),
        (user._replace(access_key_id="AKIAOTHER00000000000"), "prx-orders", "InvalidClientTokenId"),
        (session._replace(session_token=None), "prx-orders", "InvalidClientTokenId"),
    ):
        token = presign(endpoint, proxy_id, key, now_s)
        found = await verifier.check(token.encode(), now_s)
        assert isinstance(found, Refusal)
        assert found.reason is Reason.STS_REFUSED
        assert f"STS refuses the token with {code}" in found.sentence


async def test_expired_ones_which_ministack_itself_takes(
    ministack: MiniStack, keys: dict[str, AccessKey], verifier: StsVerifier
) -> None:
    endpoint, now_s = Endpoint.parse(ministack.url, REGION), time.time()
    token = presign(endpoint, "prx-orders", keys["user"], now_s - 900)
    found = await verifier.check(token.encode(), now_s)
    assert isinstance(found, Refusal)
    assert found.reason is Reason.EXPIRED
