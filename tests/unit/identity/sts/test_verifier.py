"""Whose a token is, as a stand-in says that verifies as STS does."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from forebay.identity.access_keys import AccessKey
from forebay.identity.sts import Endpoint, StsVerifier
from forebay.identity.sts.requests import presign
from forebay.identity.tokens import Reason, Refusal, Verified
from tests.harness.sts import USER_ARN, Answer, Asked, StandInSts, identity, response, verifying

NOW_S = 1_795_861_800.0
KEY = AccessKey("AKIAFOREBAYTEST00001", "s3cr3t")
VERIFYING = verifying({KEY.access_key_id: "s3cr3t"}, {KEY.access_key_id: USER_ARN})
RIGHT = Verified(USER_ARN, NOW_S + 900)


@contextmanager
def asking(answer: Answer = VERIFYING, **options: Any) -> Iterator[tuple[StandInSts, StsVerifier]]:
    with StandInSts(answer) as sts:
        verifier = StsVerifier([sts.endpoint], "prx-orders", **options)
        try:
            yield sts, verifier
        finally:
            verifier.close()


def token(endpoint: Endpoint, key: AccessKey = KEY, proxy_id: str = "prx-orders") -> bytes:
    return presign(endpoint, proxy_id, key, NOW_S).encode()


async def refused(verifier: StsVerifier, text: bytes, now_s: float = NOW_S) -> Refusal:
    found = await verifier.check(text, now_s)
    assert isinstance(found, Refusal)
    for secret in ("s3cr3t", KEY.access_key_id, text.decode().rpartition("=")[2]):
        assert secret not in repr(found)
    return found


async def test_a_right_one_is_asked_about_once() -> None:
    with asking() as (sts, verifier):
        text = token(sts.endpoint)
        for later_s in (0, 10, 899.9):
            assert await verifier.check(text, NOW_S + later_s) == RIGHT
        assert len(sts.asked) == 1
        assert (await refused(verifier, text, NOW_S + 900)).reason is Reason.EXPIRED
        assert await verifier.check(text, NOW_S - 100) == RIGHT  # the clock was set back
        assert len(sts.asked) == 1
        assert text.decode() not in repr(vars(verifier))


@pytest.mark.parametrize(
    ("key", "proxy_id", "said"),
    [
        (KEY._replace(secret_access_key="other"), "prx-orders", "SignatureDoesNotMatch"),
        (KEY, "prx-others", "or bound to another proxy than prx-orders; it was signed for "),
        (KEY._replace(access_key_id="AKIAOTHER"), "prx-orders", "InvalidClientTokenId"),
    ],
)
async def test_wrong_ones(key: AccessKey, proxy_id: str, said: str) -> None:
    with asking() as (sts, verifier):
        found = await refused(verifier, token(sts.endpoint, key, proxy_id))
        assert found.reason is Reason.STS_REFUSED
        assert said in found.sentence


async def test_what_is_refused_without_asking() -> None:
    with asking() as (sts, verifier):
        text = token(sts.endpoint)
        long_lived = text.replace(b"Expires=900", b"Expires=3600")
        for given, now_s, reason in (
            (b"hunter2", NOW_S, Reason.NOT_A_TOKEN),
            (text, NOW_S + 900, Reason.EXPIRED),
            (text, NOW_S - 301, Reason.FROM_THE_FUTURE),
            (long_lived, NOW_S, Reason.TOO_LONG_LIVED),
            (text.replace(b"127.0.0.1", b"127.0.0.2"), NOW_S, Reason.WRONG_HOST),
        ):
            assert (await refused(verifier, given, now_s)).reason is reason
        assert not sts.asked


async def test_one_that_is_signed_for_a_shorter_time_ends_then() -> None:
    """STS itself goes on taking it."""
    with asking(lambda _: response(identity())) as (sts, verifier):
        text = token(sts.endpoint).replace(b"Expires=900", b"Expires=60")
        assert await verifier.check(text, NOW_S) == Verified(USER_ARN, NOW_S + 60)
        assert (await refused(verifier, text, NOW_S + 60)).reason is Reason.EXPIRED


async def test_what_is_refused_is_asked_about_again_after_a_second() -> None:
    with asking(lambda _: None) as (sts, verifier):
        text = token(sts.endpoint)
        first = await refused(verifier, text)
        asked = len(sts.asked)
        sts.answer = VERIFYING
        assert await refused(verifier, text, NOW_S + 0.9) == first
        assert len(sts.asked) == asked
        assert await verifier.check(text, NOW_S + 1) == RIGHT
        assert await verifier.check(text, NOW_S + 0.5) == RIGHT


async def test_equal_tokens_are_asked_about_once_even_if_the_first_client_leaves() -> None:
    go = threading.Event()

    def held(asked: Asked) -> bytes | None:
        go.wait()
        return VERIFYING(asked)

    with asking(held) as (sts, verifier):
        text = token(sts.endpoint)
        checks = [asyncio.ensure_future(verifier.check(text, NOW_S)) for _ in range(5)]
        await asyncio.sleep(0)
        checks[0].cancel()
        go.set()
        assert await asyncio.gather(*checks[1:]) == [RIGHT] * 4
        assert checks[0].cancelled()
        assert len(sts.asked) == 1


async def test_too_many() -> None:
    go = threading.Event()

    def held(asked: Asked) -> bytes | None:
        go.wait()
        return VERIFYING(asked)

    with asking(held, threads=1, waiting=0) as (sts, verifier):
        first = asyncio.ensure_future(verifier.check(token(sts.endpoint), NOW_S))
        await asyncio.sleep(0)
        other = token(sts.endpoint, KEY._replace(access_key_id="AKIAOTHER"))
        assert (await refused(verifier, other)).reason is Reason.TOO_MANY
        go.set()
        assert await first == RIGHT
        assert (await refused(verifier, other)).reason is Reason.STS_REFUSED


async def test_few_are_remembered() -> None:
    with asking(lambda _: response(identity()), remembered=1) as (sts, verifier):
        for number in (1, 2, 2, 1):
            text = token(sts.endpoint, KEY._replace(access_key_id=f"AKIA{number}"))
            assert await verifier.check(text, NOW_S) == RIGHT
        assert len(sts.asked) == 3


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="there must be an endpoint"):
        StsVerifier([], "prx")
    with pytest.raises(ValueError, match="is no proxy id"):
        StsVerifier([Endpoint.of_region("eu-west-1")], "a/b")
