"""Verifiers of tokens, as a login asks them."""

import time

from forebay.identity.tokens import Reason, generate_db_auth_token
from forebay.net.login.verifiers import TokenVerifier
from tests.unit.net.login.doors import KEY, VERIFIER


async def test_by_keys() -> None:
    verifier: TokenVerifier = VERIFIER
    token = generate_db_auth_token("db", 6432, "app", "us-east-1", KEY, time.time())
    assert await verifier.check(token.encode(), "app", "192.0.2.1", "shop") is None
    refusal = await verifier.check(token.encode(), "other", "192.0.2.1", "shop")
    assert refusal is not None
    assert refusal.reason is Reason.WRONG_USER
    old = generate_db_auth_token("db", 6432, "app", "us-east-1", KEY, time.time() - 1000)
    refusal = await verifier.check(old.encode(), "app", "192.0.2.1", "shop")
    assert refusal is not None
    assert refusal.reason is Reason.EXPIRED
