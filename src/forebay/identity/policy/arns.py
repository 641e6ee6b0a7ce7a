"""Who asks, and for what: ARNs of principals and of database users.

Sources: "IAM ARNs", "AWS JSON policy elements: Principal" and "AWS global condition context keys"
(aws:PrincipalArn, aws:username) in the IAM User Guide; "Creating and using an IAM policy for IAM
database access" in the RDS User Guide; "Actions, resources, and condition keys for Amazon RDS IAM
Authentication" in the Service Authorization Reference.
"""

import re
from dataclasses import dataclass

from forebay.config.errors import meant_by, nearest
from forebay.identity.policy.globs import Glob

SERVICE = "rds-db"
PARTITIONS = (
    *("aws", "aws-cn", "aws-us-gov", "aws-eusc"),
    *("aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f"),
)
RESOURCE_FORM = "arn:aws:rds-db:REGION:ACCOUNT:dbuser:PROXY-ID/USER"
PRINCIPAL_FORMS = (
    "arn:aws:iam::ACCOUNT:user/NAME, arn:aws:iam::ACCOUNT:role/NAME, "
    "arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION or arn:aws:sts::ACCOUNT:federated-user/NAME"
)
# What stands after the account in principals' ARNs.
PRINCIPAL_SAMPLES = ("user/name", "role/name", "federated-user/name", "root")
# AWS has none that is longer.
MAX_ARN_CHARACTERS = 2_048
_SHOWN_CHARACTERS = 300
# None of these can make a regular expression slow: one class of characters each.
_REGION = re.compile(r"[a-z0-9*?-]+")
_ACCOUNT = re.compile(r"[0-9*?]+")
_ACCOUNT_NUMBER = re.compile(r"[0-9]{12}")
_ACCOUNT_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated user, role session or root user, in IAM's terms.

    ``arn``: aws:PrincipalArn; of a role's session that is the role's, without a path, which the
    session does not tell (no two roles of an account have one name). ``names``: every ARN by which
    a Principal element can mean it. ``username``: aws:username, which only IAM users have.
    """

    arn: str
    names: frozenset[str]
    username: str | None = None


def parse_principal(arn: str) -> Principal:
    """The principal that an ARN names. Raises ValueError with what would be right."""
    parts = arn.split(":", 5)
    if len(arn) > MAX_ARN_CHARACTERS:
        raise ValueError(f"is over {MAX_ARN_CHARACTERS} characters")
    if len(parts) != 6 or parts[0] != "arn":
        raise ValueError(f"is not an ARN of a principal: {PRINCIPAL_FORMS}")
    _, partition, service, region, account, rest = parts
    if partition not in PARTITIONS:
        raise ValueError(f'has the partition "{partition}"{nearest(partition, PARTITIONS)}')
    if region or not _ACCOUNT_NUMBER.fullmatch(account):
        raise ValueError(
            f"must have an empty region and an account of twelve digits: {PRINCIPAL_FORMS}"
        )
    kind, _, name = rest.partition("/")
    last = name.rpartition("/")[2]
    if (service, kind) == ("iam", "user") and last:
        return Principal(arn, frozenset({arn}), username=last)
    if (service, kind) == ("iam", "role") and last:
        role = f"arn:{partition}:iam::{account}:role/{last}"
        return Principal(role, frozenset({role}))
    if (service, kind) == ("sts", "assumed-role") and name.count("/") == 1 and last:
        if name.startswith("/"):
            raise ValueError(f"names no role: {PRINCIPAL_FORMS}")
        role = f"arn:{partition}:iam::{account}:role/{name.partition('/')[0]}"
        return Principal(role, frozenset({role, arn}))
    if (service, kind) == ("sts", "federated-user") and name and "/" not in name:
        return Principal(arn, frozenset({arn}))
    if (service, rest) == ("iam", "root"):
        return Principal(arn, frozenset({arn}))
    known = ("user", "role") if service == "iam" else ("assumed-role", "federated-user")
    raise ValueError(f"names no principal{meant_by(kind, known)}: {PRINCIPAL_FORMS}")


def check_resource_pattern(text: str) -> None:
    """Raises ValueError for a pattern that no database user's ARN can match, with what is right.

    "*" means every database user. IAM takes no wildcards in the service, and six parts at least.
    """
    if text == "*":
        return
    parts = text.split(":", 5)
    if any("${" in part for part in parts[:5]):
        raise ValueError("has a variable before the fifth colon; IAM allows them after it only")
    if parts[0] != "arn":
        raise ValueError(f'must be "*" or begin with "arn:": {RESOURCE_FORM}')
    if len(parts) < 6:
        raise ValueError(f"has {len(parts)} parts between colons; it must have 7: {RESOURCE_FORM}")
    _, partition, service, region, account, rest = parts
    if not any(Glob(partition).matches(known) for known in PARTITIONS):
        raise ValueError(f'"{partition}" is no partition{nearest(partition, PARTITIONS)}')
    if service != SERVICE:
        raise ValueError(f'has the service "{service}"; it must be {SERVICE}: {RESOURCE_FORM}')
    if not _REGION.fullmatch(region):
        raise ValueError(
            f'has the region "{region}"; it must be like us-east-1, or "*": {RESOURCE_FORM}'
        )
    if not can_be_account(account):
        raise ValueError(f'has the account "{account}"; it must be twelve digits, or "*"')
    _check_database_user(rest)


def _check_database_user(rest: str) -> None:
    kind, colon, user = rest.partition(":")
    if not colon:
        if Glob(kind, segments=True).matches("dbuser:prx-1/user"):
            return
        raise ValueError(f'must go on with "dbuser:" after the account: {RESOURCE_FORM}')
    if not Glob(kind, segments=True).matches("dbuser"):
        raise ValueError(f'has "{kind}:" after the account; it must be "dbuser:": {RESOURCE_FORM}')
    proxy, slash, name = user.partition("/")
    if not slash and "*" not in user:
        raise ValueError(f'names no user: it must end with "PROXY-ID/USER": {RESOURCE_FORM}')
    if slash and not (proxy and name):
        raise ValueError(f'must name both: it must end with "PROXY-ID/USER": {RESOURCE_FORM}')


def can_be_account(pattern: str) -> bool:
    """Whether an account's twelve digits can match it."""
    if not _ACCOUNT.fullmatch(pattern):
        return False
    fixed = len(pattern.replace("*", ""))
    return fixed <= _ACCOUNT_DIGITS if "*" in pattern else fixed == _ACCOUNT_DIGITS


def is_database_user(arn: str) -> bool:
    """Whether it has the form of a database user's ARN."""
    parts = arn.split(":", 6)
    return (
        len(arn) <= MAX_ARN_CHARACTERS
        and len(parts) == 7
        and (parts[0], parts[2], parts[5]) == ("arn", SERVICE, "dbuser")
        and "/" in parts[6]
    )


def shown(text: str) -> str:
    """A text of somebody else's as it may stand in one line: printable, and cut."""
    cut = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return "".join(char if char.isprintable() else "�" for char in cut)
