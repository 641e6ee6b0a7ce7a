"""Policies decided by Forebay and by MiniStack's iam:SimulatePrincipalPolicy.

How MiniStack is had, and where it is looked for, tests/harness/ministack.py says.
"""

import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forebay.identity.policy import Policies
from tests.harness.ministack import MiniStack

CONNECT = "rds-db:connect"
# The account and the address that MiniStack's simulator takes.
ACCOUNT = "000000000000"
ADDRESS = "127.0.0.1"
PRINCIPALS = (f"arn:aws:iam::{ACCOUNT}:user/ab", f"arn:aws:iam::{ACCOUNT}:role/ab")
PREFIX = "arn:aws:rds-db:us-east-1:111122223333:dbuser:"
RESOURCES = [PREFIX + user for user in ("p/a", "p/b", "p/ab", "q/a", "q/A", "p/a/b", "p/é")]
VALUES = [
    *("*", "arn:aws:rds-db:*:*:dbuser:*", "arn:*:rds-db:us-*:1111????3333:dbuser:p/?"),
    *(PREFIX + user for user in ("p/a", "p/b", "p/*", "*/a", "?/a", "p/??", "p/*b", "p/**?", "*")),
]
CONDITIONS: list[dict[str, Any]] = [
    {"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "127.0.0.0/8"]}},
    {"IpAddress": {"aws:SourceIp": "2001:db8::/32"}},
    {"NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24", "127.0.0.1"]}},
    {"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}},
    {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}},
    {"DateLessThan": {"aws:CurrentTime": "2020-01-01"}},
    {"DateLessThanEquals": {"aws:currenttime": ["2020-01-01", "2100-01-01T00:00:00+01:00"]}},
    {"StringEquals": {"aws:PrincipalArn": PRINCIPALS[0]}},
    {"StringNotEquals": {"aws:PrincipalArn": [PRINCIPALS[0], f"arn:aws:iam::{ACCOUNT}:root"]}},
    {"StringLike": {"aws:PrincipalArn": "*:role/a?"}},
    {"StringNotLike": {"aws:PrincipalArn": ["*:role/*", "*:user/x*"]}},
    {
        "ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"},
        "IpAddress": {"aws:SourceIp": ADDRESS},
    },
    {"ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:*"}},
]
CASE_COUNT = 400

Case = tuple[str, list[dict[str, Any]], str]
Simulate = Callable[[list[Case]], list[str]]


@pytest.fixture(scope="module")
def simulate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulate]:
    """Asks a MiniStack of this module's own."""
    with MiniStack(tmp_path_factory.mktemp("ministack")) as server:

        def ask(cases: list[Case]) -> list[str]:
            said = subprocess.run(
                [
                    server.programs / "python",
                    Path(__file__).with_name("simulate_policies.py"),
                    server.url,
                ],
                input=json.dumps(
                    [(arn, _policy(said, arn), resource) for arn, said, resource in cases]
                ),
                env=server.environment,
                cwd=server.home,
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
            assert said.returncode == 0, said.stderr
            answers: list[str] = json.loads(said.stdout)
            return answers

        yield ask


def _policy(said: list[dict[str, Any]], arn: str) -> dict[str, Any]:
    """What AWS would have attached to this principal: its statements, without their Principal."""
    attached = [
        {key: value for key, value in each.items() if key != "Principal"}
        for each in said
        if each["Principal"] == "*" or arn in each["Principal"]["AWS"]
    ]
    nothing = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": attached or [nothing]}


def statement(chosen: random.Random) -> dict[str, Any]:
    said = {
        "Effect": chosen.choice(("Allow", "Allow", "Deny")),
        "Principal": chosen.choice(("*", {"AWS": list(PRINCIPALS)}, {"AWS": [PRINCIPALS[0]]})),
        chosen.choice(("Action",) * 5 + ("NotAction",)): chosen.choice(
            (CONNECT, "*", "rds-db:*", "RDS-DB:c*T", [CONNECT])
        ),
        chosen.choice(("Resource",) * 3 + ("NotResource",)): chosen.choice(
            (chosen.choice(VALUES), chosen.sample(VALUES, 2))
        ),
    }
    if chosen.random() < 0.5:
        said["Condition"] = chosen.choice(CONDITIONS)
    return said


def decide(arn: str, said: list[dict[str, Any]], resource: str) -> str:
    """Forebay's decision in the simulator's words."""
    found = Policies.parse({"a": json.dumps({"Version": "2012-10-17", "Statement": said})})
    decision = found.decide(arn, CONNECT, resource, source_ip=ADDRESS, now_s=time.time())
    if decision.allowed:
        return "allowed"
    return "explicitDeny" if " denies " in decision.reason else "implicitDeny"


@pytest.mark.slow
def test_the_same_is_allowed_and_denied(simulate: Simulate) -> None:
    chosen = random.Random(13)
    cases: list[Case] = [
        (
            chosen.choice(PRINCIPALS),
            [statement(chosen) for _ in range(chosen.randint(1, 4))],
            chosen.choice(RESOURCES),
        )
        for _ in range(CASE_COUNT)
    ]
    simulated = simulate(cases)
    assert set(simulated) == {"allowed", "explicitDeny", "implicitDeny"}
    wrong = [
        (case, answer)
        for case, answer in zip(cases, simulated, strict=True)
        if answer != decide(*case)
    ]
    assert not wrong


def allow(resource: str) -> list[dict[str, Any]]:
    return [{"Effect": "Allow", "Principal": "*", "Action": CONNECT, "Resource": resource}]


def test_where_the_simulator_differs_from_the_documentation(simulate: Simulate) -> None:
    """Each of these is a way to let in or keep out somebody; IAM's user guide is on our side."""
    user = PRINCIPALS[0]
    cases: list[tuple[str, str, str]] = [
        # A star that does not end its segment stays within it.
        (PREFIX + "p/*b", "p/a:b", "implicitDeny"),
        (PREFIX + "p/?b", "p/:b", "implicitDeny"),
        # A line feed is a character like any other.
        (PREFIX + "p/a", "p/a\n", "implicitDeny"),
        (PREFIX + "p/*", "p/a\nb", "allowed"),
        # Variables and escapes.
        (PREFIX + "p/${aws:username}", "p/ab", "allowed"),
        (PREFIX + "p/${*}", "p/*", "allowed"),
    ]
    simulated = simulate([(user, allow(said), PREFIX + asked) for said, asked, _ in cases])
    for (said, asked, expected), answer in zip(cases, simulated, strict=True):
        assert decide(user, allow(said), PREFIX + asked) == expected
        assert answer != expected, f"the simulator has learnt {said}: compare it above"
