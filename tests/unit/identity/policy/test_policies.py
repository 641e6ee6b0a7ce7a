import json
from typing import Any

import pytest

from forebay.identity.policy import Decision, Policies

CONNECT = "rds-db:connect"
ROLE = "arn:aws:iam::111122223333:role/publisher"
SESSION = "arn:aws:sts::111122223333:assumed-role/publisher/i-0123"
ALICE = "arn:aws:iam::111122223333:user/alice"
PREFIX = "arn:aws:rds-db:eu-central-1:111122223333:dbuser:prx-orders"


def statement(effect: str, principal: Any, *resources: str, **others: Any) -> dict[str, Any]:
    return {
        "Effect": effect,
        "Principal": "*" if principal == "*" else {"AWS": principal},
        "Action": CONNECT,
        "Resource": list(resources),
        **others,
    }


def policies(*statements: dict[str, Any]) -> Policies:
    return Policies.parse(
        {"app.json": json.dumps({"Version": "2012-10-17", "Statement": statements})}
    )


def decide(
    found: Policies,
    principal: str = SESSION,
    user: str = "app",
    source_ip: str | None = "10.0.0.1",
    now_s: float = 0.0,
) -> Decision:
    return found.decide(principal, CONNECT, f"{PREFIX}/{user}", source_ip=source_ip, now_s=now_s)


def test_an_allowed_login_names_its_statement() -> None:
    found = policies(statement("Allow", ROLE, f"{PREFIX}/app", Sid="PublisherAsApp"))
    assert decide(found) == Decision(
        True,
        f'app.json: statement 1 (Sid "PublisherAsApp") allows {SESSION} to do {CONNECT} on '
        f"{PREFIX}/app",
    )


def test_without_a_policy_nobody_is_allowed() -> None:
    assert decide(Policies.parse({})) == Decision(
        False,
        f"no statement allows {SESSION} to do {CONNECT} on {PREFIX}/app "
        "(no statement that allows is about this principal)",
    )


@pytest.mark.parametrize("deny_first", [False, True])
def test_deny_wins(deny_first: bool) -> None:
    allow = statement("Allow", "*", f"{PREFIX}/*")
    deny = statement("Deny", ROLE, f"{PREFIX}/admin*")
    found = policies(*((deny, allow) if deny_first else (allow, deny)))
    denied = decide(found, user="admin1")
    assert not denied.allowed
    assert denied.reason.startswith(f"app.json: statement {1 if deny_first else 2} denies ")
    assert decide(found).allowed
    assert decide(found, ALICE, "admin1").allowed


def test_what_came_closest() -> None:
    found = policies(
        statement("Allow", ALICE, f"{PREFIX}/*"),
        statement("Allow", ROLE, f"{PREFIX}/reader"),
        statement("Deny", ROLE, f"{PREFIX}/other"),
    )
    assert decide(found).reason.endswith(
        "(app.json: statement 2 is about this principal, but not about this resource)"
    )
    condition = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    found = policies(statement("Allow", ROLE, f"{PREFIX}/*", Condition=condition))
    assert decide(found).reason.endswith(
        "(app.json: statement 1 would, but its Condition is not fulfilled)"
    )


def test_conditions_of_address_and_time() -> None:
    condition = {
        "IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "2001:db8::/32"]},
        "DateLessThan": {"aws:CurrentTime": "2027-01-01"},
    }
    found = policies(statement("Allow", ROLE, f"{PREFIX}/*", Condition=condition))
    assert decide(found, source_ip="192.0.2.9").allowed
    assert decide(found, source_ip="::ffff:192.0.2.9").allowed
    assert not decide(found, source_ip="192.0.2.9", now_s=1_798_761_600).allowed
    assert not decide(found, source_ip="10.0.0.1").allowed
    assert not decide(found, source_ip=None).allowed


def test_a_deny_for_all_but_one_network_holds_on_a_unix_socket() -> None:
    condition = {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    found = policies(
        statement("Allow", ROLE, "*"), statement("Deny", "*", "*", Condition=condition)
    )
    assert decide(found).allowed
    assert not decide(found, source_ip="192.0.2.1").allowed
    assert not decide(found, source_ip=None).allowed


def test_every_user_as_itself() -> None:
    found = policies(statement("Allow", "*", f"{PREFIX}/${{aws:username}}"))
    assert decide(found, ALICE, "alice").allowed
    assert not decide(found, ALICE, "bob").allowed
    assert not decide(found, SESSION, "publisher").allowed


def test_one_session_of_a_role() -> None:
    found = policies(statement("Allow", SESSION, "*"))
    assert decide(found).allowed
    assert not decide(found, SESSION + "4").allowed
    assert not decide(found, ROLE).allowed


def test_signs_in_names_of_clients_are_text() -> None:
    found = policies(statement("Allow", "*", f"{PREFIX}/app"))
    for user in ("*", "ap?", "APP", "app ", "app\n", "x/app", "${aws:username}"):
        assert not decide(found, user=user).allowed


def test_a_colon_in_a_user_name_gets_nobody_past_a_deny() -> None:
    everybody = statement("Allow", "*", f"{PREFIX}/*")
    assert decide(policies(everybody), user="a:admin").allowed
    deny = statement("Deny", "*", f"{PREFIX}/*admin")
    assert not decide(policies(everybody, deny), user="a:admin").allowed
    assert not decide(policies(statement("Allow", "*", f"{PREFIX}/*admin")), user="a:admin").allowed
    but = {"Resource": None, "NotResource": f"{PREFIX}/*admin"}
    for effect, expected in (("Allow", False), ("Deny", True)):
        said = {key: value for key, value in {**statement(effect, "*"), **but}.items() if value}
        others = () if effect == "Allow" else (everybody,)
        decision = decide(policies(said, *others), user="a:admin")
        assert not decision.allowed
        assert ("denies" in decision.reason) is expected


def test_another_action_is_not_covered() -> None:
    found = policies(statement("Allow", "*", "*"))
    resource = f"{PREFIX}/app"
    assert found.decide(ALICE, "RDS-DB:Connect", resource, source_ip=None, now_s=0).allowed
    denied = found.decide(ALICE, "rds-db:drop", resource, source_ip=None, now_s=0)
    assert not denied.allowed
    assert "statement 1 is about this principal, but not about this action" in denied.reason


@pytest.mark.parametrize(
    ("principal", "resource", "source_ip", "said"),
    [
        ("*", f"{PREFIX}/app", None, 'principal "*" is not an ARN'),
        ("", f"{PREFIX}/app", None, "is not an ARN"),
        ("arn:aws:iam::1:user/\n", f"{PREFIX}/app", None, 'user/�" must have'),
        (ALICE, "*", None, "* is not the ARN of a database user"),
        (ALICE, "arn:aws:rds:eu-central-1:111122223333:db:x", None, "is not the ARN"),
        (ALICE, f"{PREFIX}/app", "localhost", '"localhost" is not the address of a client'),
    ],
)
def test_what_is_not_understood_is_denied(
    principal: str, resource: str, source_ip: str | None, said: str
) -> None:
    found = policies(statement("Allow", "*", "*"))
    decision = found.decide(principal, CONNECT, resource, source_ip=source_ip, now_s=0.0)
    assert not decision.allowed
    assert said in decision.reason


def test_a_reason_is_one_printable_line_of_bounded_length() -> None:
    decision = decide(
        policies(statement("Allow", "*", f"{PREFIX}/app")), user="\x1b\n" + "x" * 1_000
    )
    assert not decision.allowed
    assert decision.reason.isprintable()
    assert len(decision.reason) < 900


def test_what_is_allowed_is_told_as_it_is_written() -> None:
    but = {**statement("Allow", "*"), "NotResource": f"{PREFIX}/admin"}
    del but["Resource"]
    found = policies(
        statement("Deny", "*", f"{PREFIX}/other"),
        statement("Allow", ROLE, f"{PREFIX}/app", f"{PREFIX}/${{aws:username}}", Sid="Two"),
        but,
    )
    assert list(found.allowed()) == [
        ('app.json: statement 2 (Sid "Two")', f"{PREFIX}/app"),
        ('app.json: statement 2 (Sid "Two")', f"{PREFIX}/${{aws:username}}"),
        ("app.json: statement 3", "*"),
    ]
