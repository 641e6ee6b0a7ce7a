"""IAM tokens against botocore's signer, which is the oracle, and under garbage."""

import contextlib
import functools
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import boto3
import pytest
from botocore.config import Config
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from forebay.identity.access_keys import AccessKey
from forebay.identity.tokens import Refusal, TokenError, Verified, generate_db_auth_token, parse
from forebay.identity.verifier import KeysVerifier

REGIONS = ("us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1", "ap-southeast-7")
# What may stand anywhere in a token, and more.
CHARACTERS = "09afAFzZgG-._~%&=?/:+ \0\nü٣"
RIGHT = Verified(None, 1_795_861_800 + 900)

labels = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?", fullmatch=True)
hosts = (
    st.lists(labels, min_size=1, max_size=5).map(".".join)
    | st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map(lambda address: f"[{address}]")
)
ports = st.integers(1, 65535) | st.sampled_from([80, 443, 5432, 6432])
users = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=100
)
times = st.integers(978_307_200, 4_102_444_800)  # 2001 to 2100
keys = st.builds(
    AccessKey,
    st.from_regex(r"A[A-Z0-9]{15,30}", fullmatch=True),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60),
    st.none()
    | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=400),
    st.none(),
)


@functools.cache
def session() -> boto3.session.Session:
    return boto3.session.Session()


def botocores(key: AccessKey, host: str, port: int, user: str, region: str, at_s: int) -> str:
    """The token that boto3 makes, at that time."""
    client = _client(region)
    client._request_signer._credentials = _Credentials(key)
    now = datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        token = client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)
    assert isinstance(token, str)
    return token


@functools.cache
def _client(region: str) -> Any:
    """Making one takes long. Nothing is asked of any server: tokens are made locally."""
    return session().client(
        "rds",
        region_name=region,
        aws_access_key_id="A",
        aws_secret_access_key="s",
        config=Config(connect_timeout=1, retries={"total_max_attempts": 1}),
    )


class _Credentials:
    """Credentials as botocore's signers read them."""

    def __init__(self, key: AccessKey) -> None:
        self.access_key, self.secret_key, self.token = key[:3]
        self.account_id = None

    def get_frozen_credentials(self) -> "_Credentials":
        return self

    def get_deferred_property(self, name: str) -> Any:
        return lambda: getattr(self, name)


def verifier(key: AccessKey, host: str, port: int, region: str) -> KeysVerifier:
    return KeysVerifier([key], region=region, hosts=[f"{host}:{port}"])


@settings(deadline=None, max_examples=200)
@given(keys, hosts, ports, users, st.sampled_from(REGIONS), times, st.floats(0, 899))
def test_own_tokens_are_botocores_and_botocores_are_accepted(
    key: AccessKey, host: str, port: int, user: str, region: str, at_s: int, later_s: float
) -> None:
    token = botocores(key, host, port, user, region, at_s)
    assert generate_db_auth_token(host, port, user, region, key, at_s) == token
    refusal = verifier(key, host, port, region).check(token.encode(), user, at_s + later_s)
    assert isinstance(refusal, Verified)


@functools.cache
def given_token(temporary: bool) -> tuple[str, KeysVerifier]:
    key = AccessKey("AKIAFOREBAYTEST00001", "s3cr3t", "s3ssion/+=" if temporary else None)
    token = botocores(key, "Db-1.example.com", 6432, "app_user/1", "us-east-1", 1_795_861_800)
    return token, verifier(key, "Db-1.example.com", 6432, "us-east-1")


@settings(deadline=None, max_examples=1000)
@given(
    st.booleans(),
    st.integers(0, 1000),
    st.sampled_from(["replace", "insert", "delete", "swap"]),
    st.sampled_from(CHARACTERS),
)
@example(True, 0, "replace", "d")
def test_any_one_character_that_is_changed_makes_it_wrong(
    temporary: bool, position: int, how: str, character: str
) -> None:
    token, right = given_token(temporary)
    position %= len(token)
    before, after = token[:position], token[position + 1 :]
    changed = {
        "replace": before + character + after,
        "insert": token[:position] + character + token[position:],
        "delete": before + after,
        "swap": before + token[position].swapcase() + after,
    }[how]
    # Hosts are the same in any case of letters: botocore signs them in lower case.
    place, slash, rest = changed.partition("/")
    assume(place.lower() + slash + rest != token.lower()[: len(place)] + token[len(place) :])
    assert right.check(token.encode(), "app_user/1", 1_795_861_800) == RIGHT
    assert isinstance(right.check(changed.encode(), "app_user/1", 1_795_861_800), Refusal)


@pytest.mark.parametrize("temporary", [False, True])
def test_each_character_of_a_token_counts(temporary: bool) -> None:
    token, right = given_token(temporary)
    begin = token.index("/")
    for position in range(begin, len(token)):
        other = "1" if token[position] == "0" else "0"
        changed = token[:position] + other + token[position + 1 :]
        assert isinstance(right.check(changed.encode(), "app_user/1", 1_795_861_800), Refusal)


pieces = st.sampled_from(
    [
        *("db:6432", "/?", "&", "=", "%", "%2F", "Action=connect", "DBUser=app_user", "X-Amz-"),
        *("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Date=20261128T103000Z", "X-Amz-Expires=900"),
        "X-Amz-Credential=AKIA1%2F20261128%2Fus-east-1%2Frds-db%2Faws4_request",
        *("X-Amz-SignedHeaders=host", "X-Amz-Signature=" + "0" * 64, "X-Amz-Security-Token=x"),
        "X-Amz-Date=29990229T999999Z",
    ]
)
PARAMETERS = (
    "db:6432/?Action=connect&DBUser={}&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}"
    "&X-Amz-Date={}&X-Amz-Expires={}&X-Amz-SignedHeaders=host&X-Amz-Signature=" + "0" * 64
)
shaped = st.builds(
    PARAMETERS.format,
    st.text("aF0%&=", max_size=20) | st.text(max_size=20),
    st.builds(
        "{}%2F{}%2Fus-east-1%2Frds-db%2Faws4_request".format,
        st.text("Aa1_", max_size=20),
        st.from_regex(r"2[0-9]{7}", fullmatch=True),
    ),
    st.from_regex(r"2[0-9]{7}T[0-9]{6}Z", fullmatch=True),
    st.integers(),
).map(str.encode)
texts = st.binary() | st.lists(pieces | st.text(max_size=5)).map(lambda p: "".join(p).encode())


@settings(deadline=None, max_examples=1000)
@given(texts | shaped)
def test_no_text_does_more_than_be_refused(text: bytes) -> None:
    with contextlib.suppress(TokenError):
        claims = parse(text).claims
        assert len(claims) < 800
        assert claims.isprintable()
    key = AccessKey("AKIA1", "s3cr3t")
    refusal = verifier(key, "db", 6432, "us-east-1").check(text, "app_user", 1_795_861_800)
    assert isinstance(refusal, Refusal)
    assert refusal.sentence.isprintable()
    assert "s3cr3t" not in refusal.sentence
