"""What a token says of itself against what it must say; tests of both verifiers go further."""

import pytest

from forebay.identity.access_keys import AccessKey
from forebay.identity.claims import wrong_claim, wrong_times
from forebay.identity.tokens import Reason, generate_db_auth_token, parse

NOW_S = 1_795_861_800.0
TOKEN = parse(
    generate_db_auth_token("Db", 5432, "app", "us-east-1", AccessKey("A", "s"), NOW_S).encode()
)


@pytest.mark.parametrize(
    ("signed_at_s", "expires_s", "reason"),
    [
        (NOW_S, 900, None),
        (NOW_S, 901, Reason.TOO_LONG_LIVED),
        (NOW_S + 300, 1, None),
        (NOW_S + 301, 900, Reason.FROM_THE_FUTURE),
        (NOW_S - 59, 60, None),
        (NOW_S - 60, 60, Reason.EXPIRED),
    ],
)
def test_times(signed_at_s: float, expires_s: int, reason: Reason | None) -> None:
    found = wrong_times(signed_at_s, expires_s, NOW_S)
    assert (found and found[0]) == reason


@pytest.mark.parametrize(
    ("user", "hosts", "said"),
    [
        ("app", ["db:5432", "x:1"], None),
        ("app", ["x:1", "db:5433"], "another host than target.hosts has (db:5433, x:1)"),
        ("other", ["db:5432"], "another user than the one who logs in"),
    ],
)
def test_host_and_user(user: str, hosts: list[str], said: str | None) -> None:
    found = wrong_claim(TOKEN, user, NOW_S, hosts=hosts, hosts_key="target.hosts")
    assert found is None if said is None else found is not None and said in found[1]
    assert wrong_claim(TOKEN, "app", NOW_S + 900, hosts=["db:5432"], hosts_key="") is not None
