"""Which address and which encryption are tried, in which order."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from forebay.net.connecting import Attempt, attempts, resolve, server_name
from forebay.net.target import Target
from forebay.net.tls import ClientContexts, TLSConfigurationError, self_signed_certificate

CONTEXTS = ClientContexts()


@pytest.mark.parametrize(
    ("sslmode", "order"),
    [
        ("disable", ["plain"]),
        ("allow", ["plain", "tls"]),
        ("prefer", ["tls or plain", "plain"]),
        ("require", ["tls"]),
    ],
)
def test_what_is_tried_for_each_sslmode(sslmode: str, order: list[str]) -> None:
    tried = attempts(Target("db.test", 5432, sslmode), CONTEXTS)
    assert [kind(each) for each in tried] == order
    assert [each.last for each in tried] == [False] * (len(tried) - 1) + [True]


def kind(attempt: Attempt) -> str:
    if attempt.context is None:
        return "plain"
    return "tls" if attempt.required else "tls or plain"


def test_our_own_certificate_is_shown(tmp_path: Path) -> None:
    certificate, key = self_signed_certificate(("app",))
    (tmp_path / "crt").write_text(certificate)
    (tmp_path / "key").write_text(key)
    target = Target(
        "db.test", sslmode="require", sslcert=str(tmp_path / "crt"), sslkey=str(tmp_path / "key")
    )
    (attempt,) = attempts(target, CONTEXTS)
    (without,) = attempts(Target("db.test", sslmode="require"), CONTEXTS)
    assert attempt.context is not without.context
    with pytest.raises(TLSConfigurationError, match="go together"):
        attempts(replace(target, sslkey=None), CONTEXTS)


def test_unix_sockets_are_never_encrypted() -> None:
    assert attempts(Target("/run/postgresql", 5432, "require"), CONTEXTS) == [Attempt(None)]


@pytest.mark.parametrize(
    ("host", "places"),
    [
        ("/run/postgresql", [(socket.AF_UNIX, "/run/postgresql/.s.PGSQL.5432")]),
        ("192.0.2.1", [(socket.AF_INET, ("192.0.2.1", 5432))]),
        ("2001:db8::1", [(socket.AF_INET6, ("2001:db8::1", 5432))]),
    ],
)
async def test_addresses_are_not_looked_up(host: str, places: list[tuple[int, object]]) -> None:
    assert await resolve(Target(host, 5432)) == places


async def test_an_address_of_a_name_is_connected_to_and_the_name_asked_for() -> None:
    target = Target("db.test", 5432, "require", hostaddr="192.0.2.1")
    assert await resolve(target) == [(socket.AF_INET, ("192.0.2.1", 5432))]
    (require,) = attempts(target, CONTEXTS)
    assert server_name(target, require) == "db.test"


def test_the_name_that_is_asked_for() -> None:
    """An address is verified, but not asked for (RFC 6066 allows names only)."""
    (require,) = attempts(Target("db.test", 5432, "require"), CONTEXTS)
    assert server_name(Target("db.test"), require) == "db.test"
    assert server_name(Target("192.0.2.1"), require) is None
    assert require.context is not None
    verifying = Attempt(ClientContexts().get("verify-full", "system"), required=True)
    assert server_name(Target("192.0.2.1"), verifying) == "192.0.2.1"
