"""What STS answers, and what others answer in its place."""

import pytest

from forebay.identity.sts.answers import MAX_ANSWER_BYTES, read_answer
from forebay.identity.tokens import Reason, Refusal
from tests.harness.sts import ACCOUNT, USER_ARN, error, identity

BUCKETS = (
    '<?xml version="1.0" encoding="UTF-8"?><ListAllMyBucketsResult'
    ' xmlns="http://s3.amazonaws.com/doc/2006-03-01"><Owner><ID>1</ID></Owner><Buckets></Buckets>'
    "</ListAllMyBucketsResult>"
)


def answer(body: str | bytes, status: int = 200) -> str | Refusal:
    return read_answer(status, body.encode() if isinstance(body, str) else body, "prx-orders")


@pytest.mark.parametrize(
    "arn",
    [
        USER_ARN,
        f"arn:aws:iam::{ACCOUNT}:user/team/dev",
        f"arn:aws-cn:iam::{ACCOUNT}:user/dev@example.com",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/i-0123",
        f"arn:aws:sts::{ACCOUNT}:federated-user/dev",
    ],
)
def test_who_is_let_in(arn: str) -> None:
    assert answer(identity(arn)) == arn
    assert answer('<?xml version="1.0" encoding="UTF-8"?>' + identity(arn)) == arn


@pytest.mark.parametrize(
    ("body", "reason", "said"),
    [
        (BUCKETS, Reason.STS_FAILED, "answered 200 without a GetCallerIdentityResult"),
        ("", Reason.STS_FAILED, "is not XML"),
        ("{}", Reason.STS_FAILED, "is not XML"),
        (identity()[:-1], Reason.STS_FAILED, "is not XML"),
        (identity() + identity(), Reason.STS_FAILED, "is not XML"),
        (b"\xff" + identity().encode(), Reason.STS_FAILED, "is not XML"),
        (identity(namespace="http://evil/"), Reason.STS_FAILED, "without a GetCallerIdentity"),
        (f"<x>{identity()}</x>", Reason.STS_FAILED, "without a GetCallerIdentityResult"),
        (identity().replace("Account>", "Count>"), Reason.STS_FAILED, "without a GetCaller"),
        (
            identity().replace("<UserId>", "<Arn>x</Arn><UserId>"),
            Reason.STS_FAILED,
            "has Arn twice",
        ),
        (
            "<!DOCTYPE x [<!ENTITY a 'b'>]>" + identity("&a;"),
            Reason.STS_FAILED,
            "has a document type",
        ),
        ("<a>" * 100 + "</a>" * 100, Reason.STS_FAILED, "nested too deeply"),
        ("<a>" * 30_000, Reason.STS_FAILED, "with more than 65536 bytes"),
        (identity("x" * 60_000), Reason.STS_FAILED, "has a long Arn"),
        (identity(account="444455556666"), Reason.STS_FAILED, "not its Arn's"),
        (identity(f"arn:aws:iam::{ACCOUNT}:root"), Reason.WRONG_PRINCIPAL, ':root", which is not'),
        (identity(f"arn:aws:iam::{ACCOUNT}:role/x"), Reason.WRONG_PRINCIPAL, "is not the ARN"),
        (identity("arn:aws:iam::1:user/dev", "1"), Reason.WRONG_PRINCIPAL, "is not the ARN"),
        (identity(f"arn:aws:sts::{ACCOUNT}:assumed-role/x"), Reason.WRONG_PRINCIPAL, "is not the"),
        (identity(f"{USER_ARN}\n"), Reason.WRONG_PRINCIPAL, "is not the ARN"),
        (identity(""), Reason.WRONG_PRINCIPAL, "is not the ARN"),
    ],
)
def test_who_is_not(body: str | bytes, reason: Reason, said: str) -> None:
    found = answer(body)
    assert isinstance(found, Refusal)
    assert found.reason is reason
    assert said in found.sentence
    assert found.sentence.isprintable()


@pytest.mark.parametrize(
    ("status", "body", "reason", "said"),
    [
        (403, error("SignatureDoesNotMatch"), Reason.STS_REFUSED, "another proxy than prx-orders"),
        (403, error("InvalidClientTokenId"), Reason.STS_REFUSED, "is not known there"),
        (403, error("ExpiredToken"), Reason.STS_REFUSED, "temporary credentials have expired"),
        (400, error("Novel"), Reason.STS_REFUSED, "STS refuses the token with Novel"),
        (400, error("Throttling"), Reason.TOO_MANY, "it is asked too often"),
        (429, error("Whatever"), Reason.TOO_MANY, "it is asked too often"),
        (500, error("InternalFailure"), Reason.STS_FAILED, "answered 500 InternalFailure"),
        (403, error("hunter2 <"), Reason.STS_FAILED, "is not XML"),
        (403, error("hunter2 hunter2"), Reason.STS_FAILED, "answered 403"),
        (403, identity(), Reason.STS_FAILED, "answered 403"),
        (201, identity(), Reason.STS_FAILED, "answered 201"),
        (302, "", Reason.STS_FAILED, "answered 302; redirects are not followed"),
        (503, "<html>", Reason.STS_FAILED, "is not XML"),
    ],
)
def test_errors(status: int, body: str, reason: Reason, said: str) -> None:
    found = answer(body, status)
    assert isinstance(found, Refusal)
    assert found.reason is reason
    assert said in found.sentence
    assert "hunter2" not in found.sentence


def test_how_long_an_answer_may_be() -> None:
    body = identity().ljust(MAX_ANSWER_BYTES)
    assert answer(body) == USER_ARN
    assert isinstance(answer(body + " "), Refusal)
