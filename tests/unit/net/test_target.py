"""Where a server is, in libpq's words."""

import pytest

from forebay.net.target import Target


@pytest.mark.parametrize(
    ("host", "is_unix", "text"),
    [
        ("db.test", False, "db.test:5433"),
        ("::1", False, "[::1]:5433"),
        ("/run/postgresql", True, "/run/postgresql/.s.PGSQL.5433"),
    ],
)
def test_targets_print_as_addresses(host: str, is_unix: bool, text: str) -> None:
    target = Target(host, 5433)
    assert target.is_unix is is_unix
    assert str(target) == text


def test_an_address_that_was_found_by_a_name() -> None:
    assert str(Target("db.test", 5433, hostaddr="192.0.2.1")) == "192.0.2.1:5433 (db.test)"
    assert str(Target("db.test", 5433, hostaddr="2001:db8::1")) == "[2001:db8::1]:5433 (db.test)"
