"""Which tokens are right, and why others are not."""

import pytest

from forebay.identity import verifier as module
from forebay.identity.access_keys import AccessKey
from forebay.identity.tokens import Reason, Refusal, Verified, generate_db_auth_token, parse
from forebay.identity.verifier import KeysVerifier

NOW_S = 1_795_861_800.0
HOST, PORT, REGION, USER = "db.example.com", 6432, "us-east-1", "app_user"
KEY = AccessKey("AKIAFOREBAYTEST00001", "s3cr3t")
TEMPORARY = AccessKey("ASIAFOREBAYTEST00002", "s3cr3t2", "s3ssion/+=", NOW_S + 3600)
VERIFIER = KeysVerifier([KEY, TEMPORARY], region=REGION, hosts=["DB.example.com:6432", "[::1]:1"])


def token(
    key: AccessKey = KEY,
    *,
    host: str = HOST,
    port: int = PORT,
    user: str = USER,
    region: str = REGION,
    at_s: float = NOW_S,
) -> str:
    return generate_db_auth_token(host, port, user, region, key, at_s)


def reason(
    text: str, user: str = USER, now_s: float = NOW_S, verifier: KeysVerifier = VERIFIER
) -> Reason | None:
    refusal = verifier.check(text.encode(), user, now_s)
    if isinstance(refusal, Verified):
        return None
    for secret in ("s3cr3t", "s3ssion", KEY.access_key_id, text.rpartition("=")[2]):
        assert secret not in repr(refusal)
    return refusal.reason


@pytest.mark.parametrize("key", [KEY, TEMPORARY], ids=["lasting", "temporary"])
def test_right_ones(key: AccessKey) -> None:
    text = token(key)
    assert reason(text) is None
    assert reason(text) is None  # as often as it comes
    assert reason(text, now_s=NOW_S + 899.9) is None
    assert reason(token(key, host="[::1]", port=1)) is None
    assert reason(token(key, host="DB.EXAMPLE.COM")) is None
    assert reason(token(key, user="ü/ \udcff"), user="ü/ \udcff") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hunter2", Reason.NOT_A_TOKEN),
        (token()[:-10], Reason.MALFORMED),
        (token(host="other.example.com"), Reason.WRONG_HOST),
        (token(port=5432), Reason.WRONG_HOST),
        (token(region="us-east-2"), Reason.WRONG_REGION),
        (token(user="other"), Reason.WRONG_USER),
        (token(at_s=NOW_S - 900), Reason.EXPIRED),
        (token(at_s=NOW_S + 301), Reason.FROM_THE_FUTURE),
        (token(KEY._replace(access_key_id="AKIAOTHER")), Reason.UNKNOWN_KEY),
        (token(KEY._replace(secret_access_key="other")), Reason.WRONG_SIGNATURE),
        (token(KEY._replace(session_token="x")), Reason.WRONG_SESSION_TOKEN),
        (token(TEMPORARY._replace(session_token=None)), Reason.WRONG_SESSION_TOKEN),
        (token(TEMPORARY._replace(session_token="other")), Reason.WRONG_SESSION_TOKEN),
        (token().replace("Expires=900", "Expires=901"), Reason.TOO_LONG_LIVED),
        (token().replace("Expires=900", "Expires=899"), Reason.WRONG_SIGNATURE),
    ],
)
def test_wrong_ones(text: str, expected: Reason) -> None:
    assert reason(text) is expected


def test_whose_a_token_is_and_how_long_that_holds() -> None:
    arn = "arn:aws:iam::111122223333:user/dev"
    verifier = KeysVerifier(
        [KEY._replace(owner_arn=arn), TEMPORARY], region=REGION, hosts=[f"{HOST}:{PORT}"]
    )
    found = verifier.check(token().encode(), USER, NOW_S + 10)
    assert found == Verified(arn, NOW_S + 900)
    late = token(TEMPORARY, at_s=NOW_S + 3500).encode()
    assert verifier.check(late, USER, NOW_S + 3500) == Verified(None, NOW_S + 3600)


def test_a_clock_may_be_ahead_a_little() -> None:
    assert reason(token(at_s=NOW_S + 300)) is None


def test_what_the_log_is_told() -> None:
    refusal = VERIFIER.check(token(port=5432).encode(), USER, NOW_S)
    assert isinstance(refusal, Refusal)
    assert refusal.sentence == (
        "the token is for another host than iam.hosts has ([::1]:1, db.example.com:6432); it was"
        ' signed for user "app_user" at host db.example.com:5432 in region us-east-1, from'
        " 2026-11-28T10:30:00Z to 2026-11-28T10:45:00Z, with access key …0001"
    )


def test_an_access_key_that_has_expired() -> None:
    late_s = NOW_S + 3600
    assert reason(token(TEMPORARY, at_s=late_s - 10), now_s=late_s - 1) is None
    assert reason(token(TEMPORARY, at_s=late_s - 10), now_s=late_s) is Reason.KEY_EXPIRED


def test_long_texts_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    text = token(TEMPORARY._replace(session_token="x" * 5000))
    assert reason(text) is Reason.MALFORMED
    long = KeysVerifier(
        [TEMPORARY._replace(session_token="x" * 5000)], region=REGION, hosts=[f"{HOST}:{PORT}"]
    )
    assert reason(text, verifier=long) is None
    read: list[bytes] = []
    monkeypatch.setattr(module, "parse", lambda text: read.append(text) or parse(text))
    assert reason(text) is Reason.MALFORMED
    assert read == []
    assert reason("x" * 65_000) is Reason.NOT_A_TOKEN


def test_a_key_that_is_not_known_is_computed_with_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signed: list[str] = []
    real = module.sign

    def spy(secret: str, **parts: str) -> str:
        signed.append(secret)
        return real(secret, **parts)

    monkeypatch.setattr(module, "sign", spy)
    assert reason(token()) is None
    assert reason(token(KEY._replace(access_key_id="AKIAOTHER"))) is Reason.UNKNOWN_KEY
    assert reason(token(port=1)) is Reason.WRONG_HOST
    assert signed[0] == signed[2] == "s3cr3t" != signed[1]
