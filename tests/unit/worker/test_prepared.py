"""What a proxy is made ready of, before anything changes."""

from functools import cache
from typing import Any

import msgspec
import pytest

from forebay.channel import CertificatePair, DatabaseLogin, WorkerProxy
from forebay.config import IamSettings, ProxySettings, TargetSettings
from forebay.identity.access_keys import AccessKey
from forebay.identity.tokens import Reason, generate_db_auth_token
from forebay.net.tls import self_signed_certificate
from forebay.worker.prepared import prepare
from tests.harness.credentials import credential

pair = cache(lambda: CertificatePair(*self_signed_certificate()))


def given(iam: IamSettings | None = None, **changes: Any) -> WorkerProxy:
    plain = WorkerProxy(
        name="app",
        listeners=[],
        settings=ProxySettings(target=TargetSettings(hosts=["db:5432"]), iam=iam),
        credentials=[],
        certificates=[pair()],
        access_keys=[AccessKey("AKIA1", "s3cret")],
    )
    return msgspec.structs.replace(plain, **changes)


async def test_tokens_are_verified_by_what_the_node_gives() -> None:
    iam = IamSettings(verifier="keys", region="us-east-1", hosts=["Db:6432"], access_keys=["env:K"])
    policy = (await prepare(given(iam), None)).policy
    token = generate_db_auth_token("db", 6432, "app", "us-east-1", AccessKey("AKIA1", "s3cret"), 0)
    token = token.replace("1970", "2970")
    assert policy.verifier is not None
    refusal = await policy.verifier.check(token.encode(), "app", "192.0.2.1", "shop")
    assert refusal is not None
    assert refusal.reason is Reason.FROM_THE_FUTURE  # host, region and user are right
    assert (await prepare(given(), None)).policy.verifier is None


async def test_what_is_the_same_is_not_made_anew() -> None:
    users = [credential("a", "one"), credential("b", "one")]
    old = await prepare(given(credentials=users), None)
    users[1] = credential("b", "two")
    new = await prepare(given(credentials=users), old)
    assert new.policy.tls_context is old.policy.tls_context
    assert new.policy.throttle is old.policy.throttle
    assert new.policy.credentials.get("a") is old.policy.credentials.get("a")
    assert new.policy.credentials.get("b") is not old.policy.credentials.get("b")


async def test_each_user_has_its_identity() -> None:
    both = (DatabaseLogin("app_clone", "new"), DatabaseLogin("app", "old"))
    one = msgspec.structs.replace(credential("app", "old"), logins=both)
    other = msgspec.structs.replace(credential("app_clone", "new"), identity="app", logins=both)
    made = await prepare(given(credentials=[one, other, credential("jobs", "x")]), None)
    assert made.identities == {"app": "app", "app_clone": "app", "jobs": "jobs"}
    assert {"app", "app_clone", "jobs"} == set(made.policy.credentials.users)


@pytest.mark.parametrize("wrong", ["nonsense", "-----BEGIN PRIVATE KEY-----\nhush\n"])
async def test_a_certificate_that_cannot_be_used(wrong: str) -> None:
    with pytest.raises(ValueError, match="certificate") as caught:
        await prepare(given(certificates=[CertificatePair(wrong, wrong)]), None)
    assert "hush" not in str(caught.value)
