"""IAM tokens, made and taken apart."""

import re

import pytest

from forebay.identity.access_keys import AccessKey
from forebay.identity.tokens import (
    Reason,
    TokenError,
    generate_db_auth_token,
    host_header,
    is_token_like,
    parse,
    time_text,
)

NOW_S = 1_795_861_800.0  # 2026-11-28T10:30:00Z
REGION = "eu-central-1"
KEY = AccessKey("AKIAFOREBAYTEST00001", "s3cr3t/+key")
TEMPORARY = KEY._replace(session_token="s3ssion/+=")
# Both by boto3 1.44.8.
TOKEN = (
    "Db.example.com:6432/?Action=connect&DBUser=app%20user%2F%C3%BC"
    "&X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAFOREBAYTEST00001%2F20261128%2Feu-central-1%2Frds-db%2Faws4_request"
    "&X-Amz-Date=20261128T103000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=1fa790b1d9fa70cbcb522f64b6911a8ae6f619adbcbb148e04ffe2c160827414"
)
TEMPORARY_TOKEN = (
    "db.example.com:443/?Action=connect&DBUser=app&X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAFOREBAYTEST00001%2F20261128%2Feu-central-1%2Frds-db%2Faws4_request"
    "&X-Amz-Date=20261128T103000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host"
    "&X-Amz-Security-Token=s3ssion%2F%2B%3D"
    "&X-Amz-Signature=ed15fcdfadcdff03d78d583e84d6679f1077517de1a28314983ffaead4d03a8b"
)


def refused(text: str) -> tuple[Reason, str]:
    with pytest.raises(TokenError) as caught:
        parse(text.encode())
    return caught.value.refusal.reason, caught.value.refusal.sentence


def test_tokens_are_boto3s() -> None:
    made = generate_db_auth_token("Db.example.com", 6432, "app user/ü", REGION, KEY, NOW_S + 0.9)
    assert made == TOKEN
    made = generate_db_auth_token("db.example.com", 443, "app", REGION, TEMPORARY, NOW_S)
    assert made == TEMPORARY_TOKEN


@pytest.mark.parametrize(
    ("host", "user", "region", "said"),
    [
        ("db.example.com/x", "app", REGION, "is not host:port"),
        ("::1", "app", REGION, "is not host:port"),
        ("db", "", REGION, "name is empty"),
        ("db", "app", "eu central", "is no region"),
    ],
)
def test_what_no_token_can_be_made_of(host: str, user: str, region: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        generate_db_auth_token(host, 1, user, region, KEY, NOW_S)


def test_what_a_token_claims() -> None:
    token = parse(TOKEN.encode())
    assert (token.host, token.signed_host) == ("db.example.com:6432", "db.example.com:6432")
    assert (token.encoded_user, token.region) == ("app%20user%2F%C3%BC", REGION)
    assert (token.signed_at_s, token.expires_s, token.ends_at_s) == (NOW_S, 900, NOW_S + 900)
    assert token.access_key_id == KEY.access_key_id
    assert token.encoded_session_token is None
    assert token.claims == (
        'signed for user "app user/ü" at host db.example.com:6432 in region eu-central-1,'
        " from 2026-11-28T10:30:00Z to 2026-11-28T10:45:00Z, with access key …0001"
    )
    temporary = parse(TEMPORARY_TOKEN.encode())
    assert temporary.signed_host == "db.example.com"
    assert temporary.encoded_session_token == "s3ssion%2F%2B%3D"
    assert "s3ssion" not in f"{temporary!r} {temporary.claims}"
    assert temporary.signature not in f"{temporary!r} {temporary.claims}"


def test_parameters_in_any_order() -> None:
    start, _, query = TOKEN.partition("?")
    turned = f"{start}?{'&'.join(reversed(query.split('&')))}"
    assert parse(turned.encode()) == parse(TOKEN.encode())


def test_what_is_claimed_is_shown_in_bounds() -> None:
    claims = parse(re.sub("DBUser=[^&]*", "DBUser=%0A%22" + "x" * 500, TOKEN).encode()).claims
    assert '"??xxx' in claims
    assert "x" * 120 in claims
    assert "x" * 130 not in claims


@pytest.mark.parametrize("text", ["", "hunter2", "db:6432/?hunter2", "X-Amz-Signature=hunter2"])
def test_passwords_are_no_tokens(text: str) -> None:
    assert refused(text) == (Reason.NOT_A_TOKEN, "it is no IAM token")
    assert not is_token_like(text.encode())
    assert is_token_like(TOKEN.encode())


SIGNATURE = "&X-Amz-Signature="


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("connect", "Connect", "its Action is not of the form"),
        ("Action=connect&", "", "it has no Action"),
        ("DBUser=app%20user%2F%C3%BC", "DBUser=", "its DBUser is not of the form"),
        ("app%20user", "app+user", "its DBUser is not of the form"),
        ("DBUser=app", "DBUser=ü", "characters that no token has"),
        ("HMAC-SHA256", "HMAC-SHA1", "its X-Amz-Algorithm"),
        ("%2Frds-db", "%2frds-db", "its X-Amz-Credential"),
        ("T103000Z", "T106000Z", "its X-Amz-Date is no date"),
        ("T103000Z", "T10300Z", "its X-Amz-Date is not"),
        ("=20261128T", "=20261129T", "of another day"),
        ("Expires=900", "Expires=0", "its X-Amz-Expires"),
        ("Expires=900", "Expires=-1", "its X-Amz-Expires"),
        ("Expires=900", "Expires=9999999999", "its X-Amz-Expires"),
        ("Expires=900", "Expires=٩", "characters that no token has"),
        ("Headers=host", "Headers=host%3Bx-forebay-proxy-id", "its X-Amz-SignedHeaders"),
        (SIGNATURE, SIGNATURE + "0", "its X-Amz-Signature"),
        ("27414", "2741", "its X-Amz-Signature"),
        ("27414", "2741\n", "its X-Amz-Signature"),
        (SIGNATURE, "&X-Amz-Expires=900" + SIGNATURE, "is repeated"),
        (SIGNATURE, "&x-amz-expires=86400" + SIGNATURE, "is repeated"),
        (SIGNATURE, "&Version=2011-06-15" + SIGNATURE, "that no token has"),
        (SIGNATURE, "&" + SIGNATURE, "that no token has"),
        (SIGNATURE, "&a&b&c&d" + SIGNATURE, "more parameters than any token"),
        ("X-Amz-Expires", "x-amz-expires", "that no token has"),
        ("Db.example.com:6432", "https://db.example.com:6432", "does not begin with host:port"),
        ("Db.example.com:6432", "db.example.com", "does not begin with host:port"),
        ("Db.example.com:6432", "u@db.example.com:6432", "does not begin with host:port"),
    ],
)
def test_what_is_no_token(old: str, new: str, said: str) -> None:
    assert old in TOKEN
    reason, sentence = refused(TOKEN.replace(old, new, 1))
    assert reason is Reason.MALFORMED
    assert said in sentence


def test_requests_for_other_services() -> None:
    reason, sentence = refused(TOKEN.replace("%2Frds-db%2F", "%2Fsts%2F"))
    assert (reason, "the service sts" in sentence) == (Reason.WRONG_SERVICE, True)


@pytest.mark.parametrize("length", range(0, len(TOKEN), 7))
def test_what_is_cut_off(length: int) -> None:
    reason, _ = refused(TOKEN[:length])
    assert reason in (Reason.NOT_A_TOKEN, Reason.MALFORMED)


def test_headers_and_times() -> None:
    assert host_header("db:443") == "db"
    assert host_header("db:4431") == "db:4431"
    assert time_text(NOW_S) == "2026-11-28T10:30:00Z"
