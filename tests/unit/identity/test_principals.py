"""ARNs as GetCallerIdentity tells them."""

import pytest

from forebay.identity.policy.arns import PARTITIONS, parse_principal
from forebay.identity.principals import account_of, partition_of

ACCOUNT = "111122223333"


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:iam::{ACCOUNT}:user/dev",
        f"arn:aws:iam::{ACCOUNT}:user/a/b.c,d=e/dev+x@example.com",
        f"arn:aws-us-gov:sts::{ACCOUNT}:assumed-role/publisher/i-0123",
        f"arn:aws-cn:sts::{ACCOUNT}:federated-user/dev",
    ],
)
def test_principals(arn: str) -> None:
    assert account_of(arn) == ACCOUNT
    parse_principal(arn)  # policies know them too


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "arn:aws:iam::111122223333:root",
        "arn:aws:iam::111122223333:role/publisher",
        "arn:aws:iam::111122223333:user/",
        "arn:aws:iam::111122223333:user/a//",
        "arn:aws:iam::111122223333:user//dev",
        "arn:aws:iam::111122223333:user/dev\n",
        "arn:aws:iam::111122223333:user/dév",
        "arn:aws:iam::111122223333:user/*",
        "arn:aws:iam::11112222333:user/dev",
        "arn:aws:iam::١١١١٢٢٢٢٣٣٣٣:user/dev",
        "arn:aws:iam:us-east-1:111122223333:user/dev",
        "arn:other:iam::111122223333:user/dev",
        "arn:aws:sts::111122223333:assumed-role/publisher",
        "arn:aws:sts::111122223333:assumed-role/path/publisher/session",
        "arn:aws:sts::111122223333:user/dev",
        "arn:aws:iam::111122223333:user/" + "a/" * 1_500 + "dev",
        "arn:aws:iam::111122223333:user/" + "x" * 65,
    ],
)
def test_others(arn: str) -> None:
    with pytest.raises(ValueError, match="is not the ARN of a user or a session"):
        account_of(arn)


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("eu-central-1", "aws"),
        ("us-east-1", "aws"),
        ("us-gov-west-1", "aws-us-gov"),
        ("cn-north-1", "aws-cn"),
        ("us-iso-east-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eusc-de-east-1", "aws-eusc"),
    ],
)
def test_partitions(region: str, partition: str) -> None:
    assert partition_of(region) == partition
    assert partition in PARTITIONS
