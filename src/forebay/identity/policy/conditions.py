"""The Condition of a statement: what can be decided at a login, and nothing else.

Three keys are known here: where the client comes from (aws:SourceIp), what time it is
(aws:CurrentTime) and who asks (aws:PrincipalArn). Each other key, operator or value is refused when
the policy is read: a condition that is passed over would let in whom it was to keep out.

Source: "IAM JSON policy elements: Condition operators" in the IAM User Guide. Every operator and
every key must hold; of several values one must (of a negated operator: none may). A key that is not
there (the address of a client on a Unix socket) fulfils negated operators only.
"""

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from forebay.config.errors import meant_by, nearest
from forebay.identity.policy.arns import (
    PARTITIONS,
    PRINCIPAL_SAMPLES,
    Principal,
    can_be_account,
    parse_principal,
)
from forebay.identity.policy.globs import Glob

Address = IPv4Address | IPv6Address
_ARN_PARTS = 6
# Shorter numbers are more likely to be years.
_EPOCH_SECONDS = re.compile(r"[0-9]{9,11}")
# The W3C's profile of ISO 8601, which IAM names: a date, or date and time with their zone.
_ISO_8601 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2}))?"
)


@dataclass(frozen=True, slots=True)
class Request:
    """What conditions look at. ``source_ip``: None on a Unix socket; ``now_s``: Unix time."""

    principal: Principal
    source_ip: Address | None
    now_s: float


_Test = Callable[[Request], bool]
_Compiler = Callable[[str], _Test]


@dataclass(frozen=True, slots=True)
class Condition:
    """One key under one operator."""

    tests: tuple[_Test, ...]
    negated: bool

    def holds(self, request: Request) -> bool:
        """Whether the request fulfils it."""
        return any(test(request) for test in self.tests) is not self.negated


def check_operator(name: str) -> None:
    """Raises ValueError for an operator that is not known here, with those that are."""
    if name in _OPERATORS:
        return
    if name.endswith("IfExists") or name.startswith(("ForAllValues:", "ForAnyValue:")):
        raise ValueError("is not supported; use the operator without its addition")
    right = meant_by(name, _OPERATORS) or f"; known here: {', '.join(_OPERATORS)}"
    raise ValueError(f"is not a condition operator known here{right}")


def compile_condition(name: str, key: str, values: Iterable[str]) -> Condition:
    """What ``{operator: {key: values}}`` asks. Raises ValueError with what would be right."""
    wanted, compiler, negated = _OPERATORS[name]
    if key.casefold() != wanted.casefold():  # names of keys are the same in either case
        known = {each for each, _, _ in _OPERATORS.values()}
        suited = [
            each for each, (its, _, _) in _OPERATORS.items() if its.casefold() == key.casefold()
        ]
        if suited:
            raise ValueError(f"can't be compared by {name}; use one of {', '.join(suited)}")
        raise ValueError(f"is not a condition key known here{nearest(key, known)}")
    return Condition(tuple(compiler(value) for value in values), negated)


def parse_address(text: str) -> Address:
    """An address as policies see it: an IPv4 one within IPv6 is the IPv4 one. Or ValueError."""
    address = ip_address(text)
    return (address.version == 6 and address.ipv4_mapped) or address


def _within(value: str) -> _Test:
    address, slash, length = value.partition("/")
    try:
        network = ip_network(value)
        if (slash and not length.isdecimal()) or "%" in value:
            raise ValueError
    except ValueError:
        try:
            right = f"did you mean {ip_network(value, strict=False)}?"
        except ValueError:
            right = "it must be like 203.0.113.0/24 or 2001:db8::/32"
        raise ValueError(f'"{value}" is no address or CIDR range; {right}') from None
    if parse_address(address) != network.network_address:
        raise ValueError(f'"{value}" is an IPv4 range written as IPv6; write it as IPv4')
    return lambda request: request.source_ip is not None and request.source_ip in network


def _instant_s(value: str) -> float:
    if _EPOCH_SECONDS.fullmatch(value):
        return float(value)
    if _ISO_8601.fullmatch(value):
        try:
            instant = datetime.fromisoformat(value)
            return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            pass
    raise ValueError(f'"{value}" is no time with a zone, such as 2026-12-31T18:00:00Z')


def _time(compare: Callable[[float, float], bool]) -> _Compiler:
    def compiler(value: str) -> _Test:
        limit_s = _instant_s(value)
        return lambda request: compare(request.now_s, limit_s)

    return compiler


def _same_text(value: str) -> _Test:
    if _has_wildcard(value):
        raise ValueError(f'"{value}" has a wildcard; use ArnLike or StringLike')
    try:
        principal = parse_principal(value)
    except ValueError as error:
        raise ValueError(f'"{value}" {error}') from None
    _check_no_session(value)
    return lambda request: request.principal.arn == principal.arn


def _like_text(value: str) -> _Test:
    if not _has_wildcard(value):
        return _same_text(value)
    if value.count(":") >= _ARN_PARTS - 1:
        _check_principal_pattern(value)
    _check_no_session(value)
    _check_no_role_path(value)
    start = min(value.find(sign) for sign in "*?" if sign in value)
    if not ("arn:".startswith(value[:start]) or value.startswith("arn:")):
        raise ValueError(f'"{value}" matches no principal; it must begin with "arn:" or "*"')
    pattern = Glob(value)
    return lambda request: pattern.matches(request.principal.arn)


def _like_arn(value: str) -> _Test:
    """ArnEquals and ArnLike are the same: each of the six parts is compared on its own."""
    if not _has_wildcard(value):
        return _same_text(value)
    _check_principal_pattern(value)
    patterns = [Glob(part) for part in value.split(":", _ARN_PARTS - 1)]

    def test(request: Request) -> bool:
        actual = request.principal.arn.split(":", _ARN_PARTS - 1)
        return all(one.matches(part) for one, part in zip(patterns, actual, strict=True))

    return test


def _has_wildcard(value: str) -> bool:
    return "*" in value or "?" in value


def _check_principal_pattern(value: str) -> None:
    """Raises ValueError for what no principal's ARN can match, with what is right."""
    _check_no_session(value)
    _check_no_role_path(value)
    parts = value.split(":", _ARN_PARTS - 1)
    if len(parts) < _ARN_PARTS or parts[0] != "arn":
        raise ValueError(
            f'"{value}" is no ARN; it must have six parts: arn:aws:iam::ACCOUNT:role/*'
        )
    _, partition, service, region, account, rest = parts
    kind, slash, _ = rest.partition("/")
    for part, known in (
        (partition, PARTITIONS),
        (service, ("iam", "sts")),
        (region, ("",)),
        (kind, ("user", "role", "federated-user", "root") if slash else (*PRINCIPAL_SAMPLES,)),
    ):
        if not any(Glob(part).matches(each) for each in known):
            raise ValueError(f'"{value}": "{part}" matches no principal{meant_by(part, known)}')
    if not can_be_account(account):
        raise ValueError(f'"{value}": the account must be twelve digits, or "*"')


def _check_no_role_path(value: str) -> None:
    kind, _, name = value.rpartition(":")[2].partition("/")
    if "/" in name and Glob(kind).matches("role") and not Glob(kind).matches("user"):
        raise ValueError(
            f'"{value}" has a path before the role\'s name, which a session does not tell; '
            f"write role/{name.rpartition('/')[2]}"
        )


def _check_no_session(value: str) -> None:
    if "${" in value:
        raise ValueError(f'"{value}" has a variable; variables can stand in Resource only')
    if "assumed-role" in value and "user/" not in value:
        raise ValueError(
            f'"{value}" is a session; aws:PrincipalArn is its role: arn:aws:iam::ACCOUNT:role/NAME'
            ' (to name one session, write its ARN as "Principal")'
        )


# Operator: the key that it is for, what a value of it asks, whether it is negated.
_OPERATORS: dict[str, tuple[str, _Compiler, bool]] = {
    "IpAddress": ("aws:SourceIp", _within, False),
    "NotIpAddress": ("aws:SourceIp", _within, True),
    "DateGreaterThan": ("aws:CurrentTime", _time(operator.gt), False),
    "DateGreaterThanEquals": ("aws:CurrentTime", _time(operator.ge), False),
    "DateLessThan": ("aws:CurrentTime", _time(operator.lt), False),
    "DateLessThanEquals": ("aws:CurrentTime", _time(operator.le), False),
    "StringEquals": ("aws:PrincipalArn", _same_text, False),
    "StringNotEquals": ("aws:PrincipalArn", _same_text, True),
    "StringLike": ("aws:PrincipalArn", _like_text, False),
    "StringNotLike": ("aws:PrincipalArn", _like_text, True),
    "ArnEquals": ("aws:PrincipalArn", _like_arn, False),
    "ArnNotEquals": ("aws:PrincipalArn", _like_arn, True),
    "ArnLike": ("aws:PrincipalArn", _like_arn, False),
    "ArnNotLike": ("aws:PrincipalArn", _like_arn, True),
}
