"""Tokens that the database verifies: what is known before and after."""

import pytest

from forebay.identity.access_keys import AccessKey
from forebay.identity.presented import (
    MAX_TOKEN_BYTES,
    AcceptedTokens,
    VerifyingLimit,
    read_presented,
)
from forebay.identity.tokens import Reason, Refusal, Token, generate_db_auth_token

NOW_S = 1_795_861_800.0
HOST = "db.c1x2.eu-west-1.rds.amazonaws.com"
KEY = AccessKey("ASIAFOREBAYTEST00001", "s3cr3t", "s3ssion")


def token(user: str = "app", host: str = HOST, at_s: float = NOW_S) -> bytes:
    return generate_db_auth_token(host, 5432, user, "eu-west-1", KEY, at_s).encode()


def read(text: bytes, now_s: float = NOW_S, user: str = "app") -> Token | Refusal:
    return read_presented(text, user, now_s, hosts=["Other:1", f"{HOST.upper()}:5432"])


def test_what_a_database_could_accept() -> None:
    found = read(token())
    assert isinstance(found, Token)
    assert (found.host, found.encoded_user, found.ends_at_s) == (f"{HOST}:5432", "app", NOW_S + 900)


@pytest.mark.parametrize(
    ("text", "reason", "said"),
    [
        (b"hunter2", Reason.NOT_A_TOKEN, "it is no IAM token"),
        (b"x" * 60_000, Reason.NOT_A_TOKEN, "it is no IAM token"),
        (token()[:-9], Reason.MALFORMED, "X-Amz-Signature is not of the form"),
        (token() + b"0" * MAX_TOKEN_BYTES, Reason.MALFORMED, "longer than 16384 bytes"),
        (token("other"), Reason.WRONG_USER, 'it was signed for user "other" at host db.'),
        (token(host="proxy"), Reason.WRONG_HOST, f"than target.hosts has ({HOST}:5432, other:1)"),
        (token(at_s=NOW_S - 900), Reason.EXPIRED, "the token has expired"),
        (token(at_s=NOW_S + 301), Reason.FROM_THE_FUTURE, "from the future"),
    ],
)
def test_what_none_could(text: bytes, reason: Reason, said: str) -> None:
    found = read(text)
    assert isinstance(found, Refusal)
    assert found.reason is reason
    assert said in found.sentence
    assert "s3ssion" not in found.sentence


def test_accepted_tokens() -> None:
    accepted = AcceptedTokens()
    one, other = token(), token(at_s=NOW_S + 60)
    assert not accepted.is_accepted(one, "app", NOW_S)
    accepted.accept(one, "app", NOW_S + 900)
    assert accepted.is_accepted(one, "app", NOW_S + 899)
    assert not accepted.is_accepted(one, "other", NOW_S)
    assert not accepted.is_accepted(other, "app", NOW_S)
    assert not accepted.is_accepted(one, "app", NOW_S + 900)
    assert "Signature" not in repr(vars(accepted))


def test_the_newest_one_opens_connections() -> None:
    accepted = AcceptedTokens()
    assert accepted.newest("app", NOW_S) is None
    accepted.accept(b"newer", "app", NOW_S + 900)
    accepted.accept(b"older", "app", NOW_S + 800)
    assert accepted.newest("app", NOW_S + 899) == b"newer"
    assert accepted.newest("other", NOW_S) is None
    accepted.reject(b"older", "app")
    assert not accepted.is_accepted(b"older", "app", NOW_S)
    assert accepted.newest("app", NOW_S) == b"newer"
    accepted.reject(b"newer", "app")
    assert accepted.newest("app", NOW_S) is None
    accepted.accept(b"newer", "app", NOW_S + 900)
    assert accepted.newest("app", NOW_S + 900) is None


def test_tokens_and_users_are_bounded() -> None:
    accepted = AcceptedTokens(tokens=2, users=2)
    for number in range(3):
        accepted.accept(b"token", f"user{number}", NOW_S + 900)
    known = [accepted.is_accepted(b"token", f"user{number}", NOW_S) for number in range(3)]
    assert known == [False, True, True]
    assert accepted.newest("user0", NOW_S) is None
    assert accepted.newest("user1", NOW_S) == b"token"
    accepted.accept(b"token", "user3", NOW_S + 900)
    assert accepted.newest("user2", NOW_S) is None  # used less recently than user1


def test_so_many_at_a_time() -> None:
    limit = VerifyingLimit(at_a_time=2, per_second=100)
    assert limit.begin(0) is limit.begin(0) is None
    refusal = limit.begin(0)
    assert refusal is not None
    assert refusal.reason is Reason.TOO_MANY
    assert refusal.sentence == "2 logins have the database verify their tokens already"
    limit.end()
    assert limit.begin(0) is None


def test_so_many_a_second() -> None:
    limit = VerifyingLimit(at_a_time=100, per_second=2)
    said = [limit.begin(now_s) for now_s in (5.0, 5.0, 5.0, 5.5, 5.5, 100.0, 100.0, 100.0, 99.0)]
    assert [each is None for each in said] == [
        *(True, True, False),
        *(True, False),
        *(True, True, False, False),
    ]
    assert said[2] is not None
    assert said[2].sentence == "more than 2 logins a second have tokens verified"
