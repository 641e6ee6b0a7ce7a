"""Tokens for sts against botocore's signer, which is the oracle; they and answers under garbage."""

import functools
import re
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import boto3
from botocore.config import Config
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from forebay.identity.access_keys import AccessKey
from forebay.identity.principals import account_of
from forebay.identity.sts import Endpoint
from forebay.identity.sts.answers import read_answer
from forebay.identity.sts.requests import PROXY_HEADER, parse, presign
from forebay.identity.tokens import Refusal, TokenError
from tests.harness.sts import USER_ARN, Asked, error, identity, verifying
from tests.properties.test_tokens import CHARACTERS, REGIONS, _Credentials, keys, times

PROXY_ID = "prx-orders"
NOW_S = 1_795_861_800
KEY = AccessKey("AKIAFOREBAYTEST00001", "s3cr3t")


@functools.cache
def _client(region: str) -> Any:
    """Making one takes long. Nothing is asked of any server: URLs are signed locally."""
    client = boto3.session.Session().client(
        "sts",
        region_name=region,
        aws_access_key_id="A",
        aws_secret_access_key="s",
        config=Config(connect_timeout=1, retries={"total_max_attempts": 1}),
    )
    client.meta.events.register(
        "before-sign.sts.GetCallerIdentity",
        lambda request, **_: request.headers.add_header(PROXY_HEADER, PROXY_ID),
    )
    return client


def botocores(key: AccessKey, region: str, at_s: int) -> str:
    """The presigned request that boto3 makes, at that time."""
    client = _client(region)
    client._request_signer._credentials = _Credentials(key)
    now = datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        url = client.generate_presigned_url("get_caller_identity", ExpiresIn=900, HttpMethod="GET")
    assert isinstance(url, str)
    return url


@settings(deadline=None, max_examples=200)
@given(keys, st.sampled_from(REGIONS), times)
def test_own_tokens_are_botocores_and_botocores_are_taken(
    key: AccessKey, region: str, at_s: int
) -> None:
    endpoint = Endpoint.of_region(region)
    token = presign(endpoint, PROXY_ID, key, at_s)
    assert token == botocores(key, region, at_s)
    found = parse(token.encode(), {endpoint.url: endpoint})
    assert (found.access_key_id, found.signed_at_s) == (key.access_key_id, at_s)
    assert endpoint.url + found.target[1:] == token


ENDPOINT = Endpoint.of_region("eu-west-1")
ENDPOINTS = {ENDPOINT.url: ENDPOINT}
TOKENS = {
    temporary: presign(
        ENDPOINT,
        PROXY_ID,
        KEY._replace(session_token="s3ssion/+=" if temporary else None),
        NOW_S,
    )
    for temporary in (False, True)
}
VERIFY = verifying({KEY.access_key_id: KEY.secret_access_key}, {KEY.access_key_id: USER_ARN})


def whose(token: str) -> str | Refusal:
    """What is found of a token, with an STS that verifies as AWS's does."""
    try:
        request = parse(token.encode("utf-8", "surrogateescape"), ENDPOINTS)
    except TokenError as refused:
        return refused.refusal
    assert re.fullmatch(r"/\?[A-Za-z0-9\-._~%=&]+", request.target)
    headers = {"host": request.endpoint.host_header, PROXY_HEADER: PROXY_ID}
    said = VERIFY(Asked(f"GET {request.target} HTTP/1.1", headers, 1))
    assert said is not None
    head, _, body = said.partition(b"\r\n\r\n")
    return read_answer(int(head.split(b" ")[1]), body, PROXY_ID)


@settings(deadline=None, max_examples=1000)
@given(
    st.booleans(),
    st.integers(0, 1000),
    st.sampled_from(["replace", "insert", "delete", "swap"]),
    st.sampled_from(CHARACTERS),
)
@example(True, 8, "swap", " ")
def test_any_one_character_that_is_changed_makes_it_wrong(
    temporary: bool, position: int, how: str, character: str
) -> None:
    token = TOKENS[temporary]
    position %= len(token)
    before, after = token[:position], token[position + 1 :]
    changed = {
        "replace": before + character + after,
        "insert": token[:position] + character + token[position:],
        "delete": before + after,
        "swap": before + token[position].swapcase() + after,
    }[how]
    assert whose(token) == USER_ARN
    if changed.partition("?")[0].startswith("https://"):
        # Hosts are the same in any case of letters.
        place, _, query = changed.partition("?")
        assume(f"{place.lower()}?{query}" != token)
    assume(changed != token)
    assert isinstance(whose(changed), Refusal)


pieces = st.sampled_from(
    [
        *("https://", "http://", ENDPOINT.url, "?", "&", "=", "%", "%2F", "k8s-aws-v1."),
        *("Action=GetCallerIdentity", "Version=2011-06-15", "X-Amz-", "x-amz-"),
        *("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Date=20261128T103000Z", "X-Amz-Expires=900"),
        "X-Amz-Credential=AKIA1%2F20261128%2Feu-west-1%2Fsts%2Faws4_request",
        *("X-Amz-SignedHeaders=host%3Bx-forebay-proxy-id", "X-Amz-SignedHeaders=host"),
        *("X-Amz-Signature=" + "0" * 64, "X-Amz-Security-Token=x", "X-Amz-Date=29990229T999999Z"),
    ]
)
texts = st.binary() | st.lists(pieces | st.text(max_size=5)).map(
    lambda parts: "".join(parts).encode("utf-8", "surrogatepass")
)
shaped = st.lists(pieces, max_size=12).map(
    lambda parts: f"{ENDPOINT.url}?{'&'.join(parts)}".encode()
)


@settings(deadline=None, max_examples=1000)
@given(texts | shaped)
def test_no_text_does_more_than_be_refused(text: bytes) -> None:
    try:
        said = parse(text, ENDPOINTS).claims
    except TokenError as refused:
        said = refused.refusal.sentence
    assert said.isprintable()
    assert len(said) < 600


xml_pieces = st.sampled_from(
    [
        *("<GetCallerIdentityResponse>", "</GetCallerIdentityResponse>", "<Arn>", "</Arn>"),
        *("<GetCallerIdentityResult>", "</GetCallerIdentityResult>", "<Account>", "</Account>"),
        *("<ErrorResponse>", "<Error>", "<Code>", "</Code>", "</Error>", "</ErrorResponse>"),
        *("<!DOCTYPE a [", "<!ENTITY a 'b'>", "]>", "&a;", "&amp;", "<![CDATA[", "]]>", "<!--"),
        *("<?xml version='1.0' encoding='utf-16'?>", "<?a?>", USER_ARN, "111122223333", "\0"),
        *(identity(), error("ExpiredToken"), "<a xmlns='b'>", "<a", ">", "'"),
    ]
)
answers = st.binary() | st.lists(xml_pieces | st.text(max_size=5)).map(
    lambda parts: "".join(parts).encode("utf-8", "surrogatepass")
)


@settings(deadline=None, max_examples=1000)
@given(answers, st.integers(100, 599) | st.just(200))
@example(identity().encode(), 200)
def test_no_answer_does_more_than_tell_an_arn_or_be_refused(body: bytes, status: int) -> None:
    found = read_answer(status, body, PROXY_ID)
    if isinstance(found, str):
        assert status == 200
        assert account_of(found)
    else:
        assert found.sentence.isprintable()
        assert len(found.sentence) < 600


arns = st.text(max_size=40) | st.builds(
    "arn:{}:{}::{}:{}/{}".format,
    st.sampled_from(["aws", "aws-cn", "aw"]),
    st.sampled_from(["iam", "sts"]),
    st.sampled_from(["111122223333", "", "1", "١١١١٢٢٢٢٣٣٣٣"]),
    st.sampled_from(["user", "role", "assumed-role", "federated-user", "root"]),
    st.text("a/*?:\n$éA@", max_size=12),
)


@settings(deadline=None, max_examples=1000)
@given(arns)
def test_no_arn_is_taken_that_is_more_than_a_name(arn: str) -> None:
    try:
        account = account_of(arn)
    except ValueError:
        return
    assert account == "111122223333"
    assert re.fullmatch(r"[!-~]+", arn)
    assert "*" not in arn.rpartition("/")[2]
