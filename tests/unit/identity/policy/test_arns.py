import pytest

from forebay.identity.policy.arns import (
    can_be_account,
    check_resource_pattern,
    is_database_user,
    parse_principal,
    shown,
)

ROLE = "arn:aws:iam::111122223333:role/app"
SESSION = "arn:aws:sts::111122223333:assumed-role/app/i-0123"


def test_a_user() -> None:
    arn = "arn:aws:iam::111122223333:user/team/alice"
    principal = parse_principal(arn)
    assert (principal.arn, principal.names, principal.username) == (arn, {arn}, "alice")


def test_a_session_is_its_role() -> None:
    principal = parse_principal(SESSION)
    assert (principal.arn, principal.username) == (ROLE, None)
    assert principal.names == {ROLE, SESSION}


def test_a_role_is_meant_whatever_its_path() -> None:
    assert parse_principal("arn:aws:iam::111122223333:role/a/b/app").arn == ROLE


@pytest.mark.parametrize(
    "arn",
    ["arn:aws:iam::111122223333:root", "arn:aws-cn:sts::111122223333:federated-user/bob"],
)
def test_others_are_as_they_are_written(arn: str) -> None:
    principal = parse_principal(arn)
    assert (principal.arn, principal.names, principal.username) == (arn, {arn}, None)


@pytest.mark.parametrize(
    ("arn", "said"),
    [
        ("", "is not an ARN"),
        ("alice", "arn:aws:iam::ACCOUNT:user/NAME"),
        ("arn:aws:iam::111122223333", "is not an ARN"),
        ("arn::iam::111122223333:user/a", 'the partition ""; known here: aws, aws-cn'),
        ("arn:asw:iam::111122223333:user/a", "did you mean aws?"),
        ("arn:aws:iam:us-east-1:111122223333:user/a", "empty region"),
        ("arn:aws:iam::1111:user/a", "twelve digits"),
        ("arn:aws:iam::11112222333३:user/a", "twelve digits"),
        ("arn:aws:iam::111122223333:users/a", "did you mean user?"),
        ("arn:aws:iam::111122223333:group/a", "names no principal"),
        ("arn:aws:iam::111122223333:user/", "names no principal"),
        ("arn:aws:iam::111122223333:role/x/", "names no principal"),
        ("arn:aws:sts::111122223333:assumed-role/app", "names no principal"),
        ("arn:aws:sts::111122223333:assumed-role/app/", "names no principal"),
        ("arn:aws:sts::111122223333:assumed-role/a/b/c", "names no principal"),
        ("arn:aws:sts::111122223333:assumed-role//b", "names no role"),
        ("arn:aws:sts::111122223333:root", "names no principal"),
        ("arn:aws:s3::111122223333:user/a", "names no principal"),
        ("arn:aws:iam::111122223333:user/" + "a" * 3_000, "is over 2048 characters"),
    ],
)
def test_no_principal(arn: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_principal(arn)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "arn:aws:rds-db:us-east-1:111122223333:dbuser:prx-1/app",
        "arn:*:rds-db:*:*:*",
        "arn:aws*:rds-db:us-*:1111*:dbuser:*",
        "arn:aws:rds-db:*:*:dbuser:*/app",
        "arn:aws:rds-db:*:????????????:db*:prx-?/a:b",
        "arn:aws:rds-db:*:*:dbuser:prx-1/${aws:username}",
        "arn:aws:rds-db:*:*:dbuser:prx-*",
        "arn:aws:rds-db:*:*:db*",
    ],
)
def test_patterns_of_database_users(pattern: str) -> None:
    check_resource_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("app", 'must be "*" or begin with "arn:"'),
        ("arn:aws:rds-db:us-east-1", "has 4 parts between colons; it must have 7"),
        ("arn:aws:rds-db:*", "has 4 parts"),
        ("arn:aws:rds-db:us-east-1:dbuser:prx-1/app", 'has the account "dbuser"'),
        ("arn:asw:rds-db:*:*:dbuser:p/u", '"asw" is no partition; did you mean aws?'),
        ("arn:aws:rds:*:*:dbuser:p/u", 'has the service "rds"; it must be rds-db'),
        ("arn:aws:*:*:*:dbuser:p/u", "it must be rds-db"),
        ("arn:aws:rds-db::*:dbuser:p/u", 'has the region ""'),
        ("arn:aws:rds-db:US-EAST-1:*:dbuser:p/u", "it must be like us-east-1"),
        ("arn:aws:rds-db:*:1234567890:dbuser:p/u", "it must be twelve digits"),
        ("arn:aws:rds-db:*:1111-2222-3333:dbuser:p/u", "it must be twelve digits"),
        ("arn:aws:rds-db:*::dbuser:p/u", "it must be twelve digits"),
        ("arn:aws:rds-db:*:*:db-user:p/u", 'it must be "dbuser:"'),
        ("arn:aws:rds-db:*:*:dbuser/p/u", 'must go on with "dbuser:"'),
        ("arn:aws:rds-db:*:*:*/app", 'must go on with "dbuser:"'),
        ("arn:aws:rds-db:*:*:dbuser:prx-1", "names no user"),
        ("arn:aws:rds-db:*:*:dbuser:/app", "must name both"),
        ("arn:aws:rds-db:*:*:dbuser:prx-1/", "must name both"),
        ("arn:aws:rds-db:*:${aws:PrincipalAccount}:dbuser:p/u", "before the fifth colon"),
    ],
)
def test_patterns_that_no_database_user_matches(pattern: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_resource_pattern(pattern)
    assert said in str(caught.value)


def test_accounts() -> None:
    assert all(map(can_be_account, ("111122223333", "*", "1*", "?" * 12, "1111222233*33")))
    assert not any(map(can_be_account, ("", "1", "1111222233334", "1" * 13 + "*", "?", "a*")))


def test_forms_of_database_users() -> None:
    arn = "arn:aws:rds-db:us-east-1:111122223333:dbuser:prx-1/app"
    assert is_database_user(arn)
    for other in ("*", "", arn.replace("rds-db", "rds"), arn.replace("/", ""), arn + "x" * 2_048):
        assert not is_database_user(other)


def test_what_is_shown_is_one_line() -> None:
    assert shown("a\nb\x1b[0m\ud800") == "a�b�[0m�"
    assert shown("x" * 1_000) == "x" * 300 + "…"
