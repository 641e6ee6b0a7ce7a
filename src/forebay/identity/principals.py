"""Whose an access key or a token is: ARNs as GetCallerIdentity tells them.

Sources: "IAM identifiers" and "IAM and AWS STS quotas, name requirements" in the IAM User Guide.
Pure.
"""

import re
from typing import Final

from forebay.identity.policy.arns import PARTITIONS

MAX_PRINCIPAL_CHARACTERS: Final = 2_048
"""As policies have it; AWS's are shorter."""
FORMS: Final = (
    "arn:aws:iam::ACCOUNT:user/NAME, arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION or "
    "arn:aws:sts::ACCOUNT:federated-user/NAME"
)
USER_NAME: Final = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
ACCOUNT: Final = re.compile(r"[0-9]{12}")
PROXY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a proxy may be called in ARNs and signed headers: nothing that divides, no wildcard."""

_PARTITION: Final = "|".join(PARTITIONS)
_NAME: Final = r"[\w+=,.@-]{1,64}"
_PRINCIPAL: Final = re.compile(
    rf"arn:(?:{_PARTITION}):"
    rf"(?:iam::(?P<user>[0-9]{{12}}):user/(?:[!-.0-~]{{1,512}}/){{0,64}}{_NAME}"
    rf"|sts::(?P<role>[0-9]{{12}}):assumed-role/{_NAME}/{_NAME}"
    rf"|sts::(?P<federated>[0-9]{{12}}):federated-user/{_NAME})",
    re.ASCII,
)


def account_of(arn: str) -> str:
    """The account of a user, a role's session or a federated user. Raises ValueError for any other
    text: a root user, a role (whose sessions have ARNs of their own), an account."""
    match = None if len(arn) > MAX_PRINCIPAL_CHARACTERS else _PRINCIPAL.fullmatch(arn)
    if match is None:
        raise ValueError(f"is not the ARN of a user or a session: {FORMS}")
    return match["user"] or match["role"] or match["federated"]


def partition_of(region: str) -> str:
    """The partition that a region is in."""
    for beginning, partition in _PARTITIONS_BY_REGION.items():
        if region.startswith(beginning):
            return partition
    return "aws"


_PARTITIONS_BY_REGION: Final = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "eu-isoe-": "aws-iso-e",
    "us-isof-": "aws-iso-f",
    "eusc-": "aws-eusc",
}
