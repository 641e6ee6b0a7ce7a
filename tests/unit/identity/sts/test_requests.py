"""Presigned requests of GetCallerIdentity: which are tokens, and why others are not."""

import pytest

from forebay.identity.access_keys import AccessKey
from forebay.identity.sts import Endpoint
from forebay.identity.sts.requests import MAX_TOKEN_BYTES, StsRequest, parse, presign
from forebay.identity.tokens import Reason, TokenError

NOW_S = 1_795_861_800.0
KEY = AccessKey("AKIAFOREBAYTEST00001", "s3cr3t")
TEMPORARY = AccessKey("ASIAFOREBAYTEST00002", "s3cr3t2", "s3ssion/+=")
EU = Endpoint.of_region("eu-west-1")
EMULATOR = Endpoint.parse("http://localhost:4566", "us-east-1")
ENDPOINTS = {endpoint.url: endpoint for endpoint in (EU, EMULATOR)}
TOKEN = presign(EU, "prx-orders", KEY, NOW_S)


def parsed(text: str) -> StsRequest:
    return parse(text.encode("utf-8", "surrogateescape"), ENDPOINTS)


@pytest.mark.parametrize("key", [KEY, TEMPORARY], ids=["lasting", "temporary"])
@pytest.mark.parametrize("endpoint", [EU, EMULATOR], ids=["aws", "emulator"])
def test_own_tokens(key: AccessKey, endpoint: Endpoint) -> None:
    token = presign(endpoint, "prx-orders", key, NOW_S + 0.7)
    found = parsed(token)
    assert found.endpoint is endpoint
    assert (found.access_key_id, found.signed_at_s) == (key.access_key_id, NOW_S)
    assert (found.expires_s, found.ends_at_s) == (900, NOW_S + 900)
    # Nothing is decoded and encoded again on the way.
    assert endpoint.url + found.target.removeprefix("/") == token
    for secret in ("s3cr3t", "s3ssion", token.rpartition("=")[2]):
        assert secret not in repr(found)
        assert secret not in found.claims


def test_what_the_log_is_told() -> None:
    assert parsed(TOKEN).claims == (
        "signed for sts.eu-west-1.amazonaws.com, from 2026-11-28T10:30:00Z to"
        " 2026-11-28T10:45:00Z, with access key …0001"
    )


def test_what_some_sdks_add_and_the_order_of_parameters() -> None:
    place, _, query = TOKEN.partition("?")
    more = "X-Amz-User-Agent=aws-sdk-js%2F3&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD"
    backwards = "&".join(reversed(query.split("&")))
    assert parsed(f"{place}?{more}&{backwards}").target == f"/?{more}&{backwards}"
    assert parsed(TOKEN.replace("https://sts.eu", "https://STS.EU")).endpoint is EU


@pytest.mark.parametrize(
    ("text", "reason", "said"),
    [
        ("hunter2", Reason.NOT_A_TOKEN, "it is no token for iam.verifier = sts"),
        ("k8s-aws-v1.aHR0cHM6Ly9", Reason.WRONG_PROXY, "it was made for an EKS cluster"),
        (TOKEN + "ü", Reason.MALFORMED, "characters that no token has"),
        (TOKEN + "x" * MAX_TOKEN_BYTES, Reason.MALFORMED, "longer than any"),
        (TOKEN.removeprefix("https://"), Reason.WRONG_SERVICE, "does not begin with https://"),
        (TOKEN.replace("https://", "http://"), Reason.WRONG_HOST, "STS is asked only at http:"),
        (TOKEN.replace("eu-west-1.", "evil."), Reason.WRONG_HOST, "it is for https://sts.evil."),
        (TOKEN.replace(".com/", ".com@evil/"), Reason.WRONG_HOST, "STS is asked only at"),
        (TOKEN.replace(".com/", ".com/x/"), Reason.WRONG_HOST, "STS is asked only at"),
        (TOKEN.replace(".com/", ".com"), Reason.WRONG_HOST, "STS is asked only at"),
        (TOKEN.replace("GetCallerIdentity", "GetSessionToken"), Reason.WRONG_SERVICE, "Action is"),
        (TOKEN + "&Action=GetCallerIdentity", Reason.MALFORMED, "a parameter is repeated"),
        (TOKEN + "&action=AssumeRole", Reason.MALFORMED, "a parameter is repeated"),
        (TOKEN + "&RoleArn=x", Reason.MALFORMED, "a parameter that no token has"),
        (TOKEN.replace("2011-06-15", "2011-06-16"), Reason.MALFORMED, "its Version is not"),
        (TOKEN.replace("%2Fsts%2F", "%2Frds-db%2F"), Reason.WRONG_SERVICE, "service rds-db, not"),
        (TOKEN.replace("%2Feu-west-1%2F", "%2Fus-east-1%2F"), Reason.WRONG_REGION, "is in eu-west"),
        (TOKEN.replace("%2F20261128%2F", "%2F20261127%2F"), Reason.MALFORMED, "of another day"),
        (TOKEN.replace("20261128", "20261131"), Reason.MALFORMED, "is no date"),
        (TOKEN.replace("x-forebay-proxy-id", "x-k8s-aws-id"), Reason.WRONG_PROXY, "an EKS cluster"),
        (
            TOKEN.replace("x-forebay-proxy-id", "x-vault-aws-iam-server-id"),
            Reason.WRONG_PROXY,
            "it was made for a Vault, not for this proxy",
        ),
        (TOKEN.replace("%3Bx-forebay-proxy-id", ""), Reason.WRONG_PROXY, "bound to no proxy"),
        (TOKEN.replace("host%3B", "date%3Bhost%3B"), Reason.MALFORMED, "and no others"),
        (TOKEN.partition("&X-Amz-Date")[0], Reason.MALFORMED, "perhaps it was cut off"),
        (TOKEN.replace("X-Amz-Expires=900", "X-Amz-Expires=-1"), Reason.MALFORMED, "X-Amz-Expires"),
        (TOKEN.replace("&X-Amz-Date", "\r\nHost:+evil&X-Amz-Date"), Reason.MALFORMED, "its X-Amz-"),
        (
            TOKEN.replace("Version", "X-Amz-Content-Sha256=00&Version"),
            Reason.MALFORMED,
            "its X-Amz-Content-Sha256",
        ),
    ],
)
def test_what_is_none(text: str, reason: Reason, said: str) -> None:
    with pytest.raises(TokenError) as caught:
        parsed(text)
    assert caught.value.refusal.reason is reason
    assert said in caught.value.refusal.sentence
    assert TOKEN.rpartition("=")[2] not in caught.value.refusal.sentence


def test_for_another_system_is_said_before_its_host() -> None:
    token = TOKEN.replace("eu-west-1", "us-east-1").replace("x-forebay-proxy-id", "x-k8s-aws-id")
    with pytest.raises(TokenError, match="it was made for an EKS cluster"):
        parsed(token)


@pytest.mark.parametrize("proxy_id", ["", "a b", "a:b", "a/b", "*", "x" * 65, "ü", "a\r\n"])
def test_what_is_no_proxy_id(proxy_id: str) -> None:
    with pytest.raises(ValueError, match="is no proxy id"):
        presign(EU, proxy_id, KEY, NOW_S)
