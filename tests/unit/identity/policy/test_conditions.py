import pytest

from forebay.identity.policy.arns import parse_principal
from forebay.identity.policy.conditions import (
    Request,
    check_operator,
    compile_condition,
    parse_address,
)

ROLE = "arn:aws:iam::111122223333:role/app"
USER = "arn:aws:iam::111122223333:user/team/alice"
SESSION = "arn:aws:sts::111122223333:assumed-role/app/i-0123"
NEW_YEAR_S = 1_798_761_600  # 2027-01-01T00:00:00Z


def request(principal: str = SESSION, source_ip: str | None = "10.1.2.3", now_s: float = 0.0):
    address = None if source_ip is None else parse_address(source_ip)
    return Request(parse_principal(principal), address, now_s)


def holds(operator: str, key: str, *values: str, **of: str | float | None) -> bool:
    check_operator(operator)
    return compile_condition(operator, key, values).holds(request(**of))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "source_ip", "expected"),
    [
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "11.1.2.3", False),
        (["10.1.2.3"], "10.1.2.3", True),
        (["10.1.2.3"], "10.1.2.4", False),
        (["192.0.2.0/24", "10.0.0.0/8"], "10.1.2.3", True),
        (["2001:db8::/32"], "2001:db8:1::5", True),
        (["2001:db8::1"], "2001:db8::2", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["0.0.0.0/0", "::/0"], None, False),
    ],
)
def test_addresses(values: list[str], source_ip: str | None, expected: bool) -> None:
    assert holds("IpAddress", "aws:SourceIp", *values, source_ip=source_ip) is expected
    assert holds("NotIpAddress", "AWS:sourceip", *values, source_ip=source_ip) is not expected


@pytest.mark.parametrize(
    ("operator", "before", "then", "after"),
    [
        ("DateGreaterThan", False, False, True),
        ("DateGreaterThanEquals", False, True, True),
        ("DateLessThan", True, False, False),
        ("DateLessThanEquals", True, True, False),
    ],
)
@pytest.mark.parametrize(
    "value",
    ["2027-01-01", "2027-01-01T00:00Z", "2027-01-01T01:00:00.0+01:00", str(NEW_YEAR_S)],
)
def test_times(operator: str, before: bool, then: bool, after: bool, value: str) -> None:
    found = [
        holds(operator, "aws:CurrentTime", value, now_s=NEW_YEAR_S + offset_s)
        for offset_s in (-0.5, 0, 0.5)
    ]
    assert found == [before, then, after]


@pytest.mark.parametrize(
    ("operators", "value", "principal", "expected"),
    [
        (("StringEquals", "StringLike", "ArnEquals", "ArnLike"), ROLE, SESSION, True),
        (("StringEquals", "ArnLike"), ROLE.replace("role/", "role/path/"), SESSION, True),
        (("StringEquals", "ArnLike"), ROLE, USER, False),
        (("StringLike", "ArnLike"), "arn:aws:iam::*:role/a*", SESSION, True),
        (("StringLike", "ArnLike"), "arn:aws:iam::*:role/A*", SESSION, False),
        (("StringLike", "ArnLike"), "arn:aws:iam::111122223333:*", USER, True),
        (("StringLike", "ArnLike"), "arn:aws:iam::111122223333:user/team/*", USER, True),
        (("StringLike", "ArnLike"), "arn:aws:iam::111122223333:?ole/app", SESSION, True),
        (("StringLike",), "arn:*:role/app", SESSION, True),
        (("StringLike",), "*/alice", USER, True),
        (("StringEquals",), USER + "-assumed-role", USER, False),
        (("StringLike",), "ar?:*/team/alice", USER, True),
    ],
)
def test_principals(operators: tuple[str], value: str, principal: str, expected: bool) -> None:
    for operator in operators:
        negated = operator.replace("String", "StringNot").replace("Arn", "ArnNot")
        assert holds(operator, "aws:PrincipalArn", value, principal=principal) is expected
        assert holds(negated, "aws:PrincipalArn", value, principal=principal) is not expected


def test_of_several_values_one_is_enough_and_negated_none_may_be() -> None:
    assert holds("StringEquals", "aws:PrincipalArn", USER, ROLE)
    assert not holds("StringNotEquals", "aws:PrincipalArn", USER, ROLE)
    assert holds("NotIpAddress", "aws:SourceIp", "192.0.2.0/24", "198.51.100.0/24")


@pytest.mark.parametrize(
    ("operator", "said"),
    [
        ("StringEqual", "did you mean StringEquals?"),
        ("ipaddress", "did you mean IpAddress?"),
        ("Bool", "known here: IpAddress, "),
        ("StringEqualsIfExists", "use the operator without its addition"),
        ("ForAnyValue:StringLike", "use the operator without its addition"),
    ],
)
def test_operators_that_are_not_known(operator: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_operator(operator)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("operator", "key", "value", "said"),
    [
        ("IpAddress", "aws:SourceIP4", "10.0.0.0/8", "did you mean aws:SourceIp?"),
        ("StringEquals", "aws:userid", "x", "is not a condition key known here"),
        ("StringEquals", "aws:SourceIp", "10.0.0.1", "use one of IpAddress, NotIpAddress"),
        ("IpAddress", "aws:SourceIp", "10.0.0.1/8", "did you mean 10.0.0.0/8?"),
        ("IpAddress", "aws:SourceIp", "10.0.0.0/255.0.0.0", "did you mean 10.0.0.0/8?"),
        ("IpAddress", "aws:SourceIp", "10.0.0", "must be like 203.0.113.0/24"),
        ("IpAddress", "aws:SourceIp", "10.0.0.*", "must be like 203.0.113.0/24"),
        ("IpAddress", "aws:SourceIp", "::ffff:10.0.0.0/104", "write it as IPv4"),
        ("IpAddress", "aws:SourceIp", "fe80::1%eth0", "is no address or CIDR range"),
        ("DateLessThan", "aws:CurrentTime", "2027", "is no time with a zone"),
        ("DateLessThan", "aws:CurrentTime", "2027-01-01T00:00:00", "is no time with a zone"),
        ("DateLessThan", "aws:CurrentTime", "2027-02-30", "is no time"),
        ("DateLessThan", "aws:CurrentTime", "tomorrow", "such as 2026-12-31T18:00:00Z"),
        ("StringEquals", "aws:PrincipalArn", "arn:aws:iam::*:role/app", "use ArnLike"),
        ("StringEquals", "aws:PrincipalArn", "app", "is not an ARN of a principal"),
        ("StringEquals", "aws:PrincipalArn", SESSION, "is a session; aws:PrincipalArn is its role"),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:sts::*:assumed-role/app/*", "is a session"),
        ("StringLike", "aws:PrincipalArn", "*:assumed-role/*", "is a session"),
        ("StringLike", "aws:PrincipalArn", "*/${aws:username}", "can stand in Resource only"),
        ("ArnLike", "aws:PrincipalArn", "*", "must have six parts"),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:roles/*", "did you mean role?"),
        ("ArnLike", "aws:PrincipalArn", "arn:asw:iam::*:role/*", "did you mean aws?"),
        ("StringLike", "aws:PrincipalArn", "arn:aws:s3::*:role/*", "matches no principal"),
        ("StringLike", "aws:PrincipalArn", "arn:aws:iam:us-*:*:role/*", "matches no principal"),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::1*x:role/*", "must be twelve digits"),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/team/*", "write role/*"),
        ("StringLike", "aws:PrincipalArn", "*:role/team/app", "write role/app"),
        ("StringLike", "aws:PrincipalArn", "*role/team/app", "write role/app"),
        ("StringLike", "aws:PrincipalArn", "app*", 'must begin with "arn:" or "*"'),
    ],
)
def test_what_is_refused(operator: str, key: str, value: str, said: str) -> None:
    check_operator(operator)
    with pytest.raises(ValueError) as caught:
        compile_condition(operator, key, [value])
    assert said in str(caught.value)
