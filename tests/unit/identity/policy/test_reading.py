import json
from typing import Any

import pytest

from forebay.identity.policy.places import MAX_VALUES, PolicyError
from forebay.identity.policy.reading import (
    MAX_DOCUMENT_CHARACTERS,
    MAX_DOCUMENTS,
    MAX_STATEMENTS,
    read_policies,
)

ROLE = "arn:aws:iam::111122223333:role/app"
SESSION = "arn:aws:sts::111122223333:assumed-role/app/one"
RESOURCE = "arn:aws:rds-db:us-east-1:111122223333:dbuser:prx-1/app"


def statement(**changes: Any) -> dict[str, Any]:
    """A good one, with changes; a key given as None is left out."""
    whole = {
        "Effect": "Allow",
        "Principal": {"AWS": ROLE},
        "Action": "rds-db:connect",
        "Resource": RESOURCE,
        **changes,
    }
    return {key: value for key, value in whole.items() if value is not None}


def document(*statements: Any, **others: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **others})


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        read_policies({"app.json": text})
    return [str(problem) for problem in caught.value.problems]


def test_a_statement_alone_or_a_list() -> None:
    for text in (document(statement()), json.dumps({"Statement": statement()})):
        (found,) = read_policies({"app.json": text})
        assert found.place == "app.json: statement 1"
        assert found.allows
        assert found.principals == {ROLE}


def test_several_documents_keep_their_order_and_names() -> None:
    first = document(statement(Sid="One"), statement(Effect="Deny"), Id="x")
    found = read_policies({"a": first, "b": document(statement(Sid="One"))})
    assert [(each.place, each.allows) for each in found] == [
        ('a: statement 1 (Sid "One")', True),
        ("a: statement 2", False),
        ('b: statement 1 (Sid "One")', True),
    ]
    assert read_policies({}) == []


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        ("*", None),
        ({"AWS": "*"}, None),
        ({"AWS": [ROLE, "*"]}, None),
        ({"AWS": [ROLE, SESSION]}, {ROLE, SESSION}),
        ({"AWS": SESSION}, {SESSION}),  # and not everybody who has the role
        ({"AWS": "arn:aws:iam::111122223333:role/a/path/app"}, {ROLE}),
        ({"AWS": "arn:aws:iam::111122223333:user/a/alice"},) * 2,
    ],
)
def test_principals(principal: Any, expected: Any) -> None:
    (found,) = read_policies({"a": document(statement(Principal=principal))})
    if isinstance(expected, dict):
        expected = {expected["AWS"]}
    assert found.principals == expected


@pytest.mark.parametrize("action", ["*", "rds-db:*", "RDS-DB:Connect", "rds-db:c?nn*", ["*"]])
def test_actions(action: Any) -> None:
    (found,) = read_policies({"a": document(statement(Action=action))})
    assert found.actions.cover("rds-db:connect")
    (found,) = read_policies({"a": document(statement(Action=None, NotAction=action))})
    assert not found.actions.cover("rds-db:connect")


def test_other_services_make_sense_in_not_action_only() -> None:
    (found,) = read_policies({"a": document(statement(Action=None, NotAction="iam:*"))})
    assert found.actions.cover("rds-db:connect")
    assert problems(document(statement(Action="iam:*")))


@pytest.mark.parametrize(
    ("changes", "where", "said"),
    [
        ({"Efect": "Allow"}, "statement 1: Efect", "did you mean Effect?"),
        ({"effect": "Allow"}, "statement 1: effect", "did you mean Effect?"),
        ({"Effect": None}, "statement 1", 'has no "Effect"'),
        ({"Effect": "allow"}, "statement 1: Effect", "did you mean Allow?"),
        ({"Effect": ["Allow"]}, "statement 1: Effect", 'must be "Allow" or "Deny"'),
        ({"Sid": "a\nb"}, "statement 1: Sid", "must be letters, digits"),
        ({"Sid": 5}, "statement 1: Sid", "must be letters, digits"),
        ({"Sid": "X", "Effect": "Den"}, 'statement 1 (Sid "X"): Effect', "did you mean Deny?"),
        ({"Principal": None}, "statement 1", 'has no "Principal", so nothing says whom'),
        ({"Principal": None, "NotPrincipal": "*"}, "statement 1: NotPrincipal", "ArnNotLike"),
        ({"Principal": ROLE}, "statement 1: Principal", 'must be "*" or {"AWS": …}'),
        ({"Principal": {}}, "statement 1: Principal", 'must be "*" or {"AWS": …}'),
        ({"Principal": {"Service": "x"}}, "statement 1: Principal", 'must be "*" or {"AWS": …}'),
        ({"Principal": {"AWS": []}}, "statement 1: Principal.AWS", "is an empty list"),
        ({"Principal": {"AWS": "app"}}, "statement 1: Principal.AWS", '"app" is not an ARN'),
        ({"Principal": {"AWS": ROLE + "*"}}, "statement 1: Principal.AWS", "is a pattern"),
        ({"Principal": {"AWS": "111122223333"}}, "statement 1: Principal.AWS", "is an account"),
        (
            {"Principal": {"AWS": "arn:aws:iam::111122223333:root"}},
            "statement 1: Principal.AWS",
            "is an account",
        ),
        ({"Action": None}, "statement 1", 'has no "Action"; it must have one of the two'),
        ({"NotAction": "*"}, "statement 1", 'has both "Action" and "NotAction"'),
        ({"Action": "rds-db:conect"}, "statement 1: Action", "the only one is rds-db:connect"),
        ({"Action": "rds:connect"}, "statement 1: Action", "with the service rds-db"),
        ({"Action": "connect"}, "statement 1: Action", "with the service rds-db"),
        ({"Action": "rds*:connect"}, "statement 1: Action", "wildcard in the service"),
        ({"Action": ["rds-db:connect", "s3:*"]}, "statement 1: Action", '"s3:*" is no action'),
        (
            {"Action": None, "NotAction": "rds-db:conect"},
            "statement 1: NotAction",
            "the only one is rds-db:connect",
        ),
        (
            {"Action": None, "NotAction": "rds:connect"},
            "statement 1: NotAction",
            "the only one is rds-db:connect",
        ),
        ({"Resource": None}, "statement 1", 'has no "Resource"'),
        ({"NotResource": "*"}, "statement 1", 'has both "Resource" and "NotResource"'),
        ({"Resource": "arn:aws:rds:*"}, "statement 1: Resource", "has 4 parts"),
        (
            {"Resource": None, "NotResource": RESOURCE.replace("rds-db", "rds")},
            "statement 1: NotResource",
            "it must be rds-db",
        ),
        ({"Resource": RESOURCE + "-&{aws:username}"}, "statement 1: Resource", "Terraform's"),
        (
            {"Resource": RESOURCE + "${aws:PrincipalTag/team}"},
            "statement 1: Resource",
            "${aws:PrincipalTag/team}, which is not known here",
        ),
        (
            {"Resource": None, "NotResource": RESOURCE + "${aws:username}"},
            "statement 1: NotResource",
            "in NotResource it is not supported",
        ),
        ({"Condition": {}}, "statement 1: Condition", "must be an object that is not empty"),
        ({"Condition": {"Bool": {"a": "b"}}}, "statement 1: Condition.Bool", "known here: Ip"),
        (
            {"Condition": {"IpAddress": {"aws:SourceIp": ["10.0.0.1/8"]}}},
            "statement 1: Condition.IpAddress.aws:SourceIp",
            "did you mean 10.0.0.0/8?",
        ),
        (
            {"Condition": {"IpAddress": {"aws:SourceIp": []}}},
            "statement 1: Condition.IpAddress.aws:SourceIp",
            "is an empty list",
        ),
        (
            {"Condition": {"IpAddress": "aws:SourceIp"}},
            "statement 1: Condition.IpAddress",
            "must be an object",
        ),
    ],
)
def test_what_is_wrong_in_a_statement(changes: dict[str, Any], where: str, said: str) -> None:
    (problem,) = problems(document(statement(**changes)))
    assert problem.startswith(f"app.json: {where}: ")
    assert said in problem.removeprefix(f"app.json: {where}: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON: Expecting value (line 1, column 1)"),
        ('{\n  "Version" "2012-10-17"\n}', "(line 2, column 13)"),
        ("\ufeff{}", "BOM"),
        ("[" * 60_000, "is nested too deeply"),
        ("NaN", "NaN is no value"),
        ("1" * 5_000, "limit"),
        ("[]", "must be a JSON object"),
        ('{"Version": "2012-10-17"}', "Statement: must be there"),
        ('{"Statement": []}', "at least one"),
        ('{"Statement": [5]}', "statement 1: is 5; it must be an object"),
        ('{"Statement": [{"Effect": "Deny", "Effect": "Allow"}]}', 'the key "Effect" twice'),
        (document(statement(), version="2012-10-17"), "did you mean Version?"),
        (document(statement(), Version="2012-10-18"), 'it must be "2012-10-17"'),
        (document(statement(), Version=["2012-10-17"]), 'it must be "2012-10-17"'),
        (document(statement(Sid="A"), statement(Sid="A")), "has the Sid of statement 1"),
        (" " * (MAX_DOCUMENT_CHARACTERS + 1), "is over 65536 characters; split it"),
    ],
)
def test_what_is_wrong_in_a_document(text: str, said: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith("app.json: ")
    assert said in problem


def test_variables_need_the_version_that_has_them() -> None:
    own = statement(Resource=RESOURCE.replace("app", "${aws:username}"))
    assert read_policies({"a": document(own)})
    for old in (json.dumps({"Statement": own}), document(own, Version="2008-10-17")):
        assert 'they need "Version": "2012-10-17"' in problems(old)[0]


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(PolicyError) as caught:
        read_policies(
            {
                "a": document(statement(Effect="allow", Action="x"), statement(Resource="y")),
                "b": "{",
            }
        )
    assert [(each.where, each.key) for each in caught.value.problems] == [
        ("a", "statement 1: Effect"),
        ("a", "statement 1: Action"),
        ("a", "statement 2: Resource"),
        ("b", ""),
    ]


def test_limits() -> None:
    short = document(statement())
    with pytest.raises(PolicyError, match="at most 100 are possible"):
        read_policies(dict.fromkeys(map(str, range(MAX_DOCUMENTS + 1)), short))
    many = document(*[statement(Principal="*", Resource="*")] * 500)
    assert len(read_policies({"a": many, "b": many})) == MAX_STATEMENTS
    with pytest.raises(PolicyError, match="have 1001 statements; at most 1000"):
        read_policies({"a": many, "b": many, "c": short})
    lists = document(statement(Principal="*", Action=["*"] * 2_500, Resource=["*"] * 2_500))
    assert read_policies({"a": lists})
    with pytest.raises(PolicyError, match=f"at most {MAX_VALUES} are possible"):
        read_policies({"a": lists, "b": short})
