import socket

import pytest

from forebay.embedded.surroundings import (
    HOST,
    PORTS,
    clean_environment,
    free_port,
)


def test_a_free_port_can_be_listened_on() -> None:
    port = free_port()
    assert port in PORTS
    with socket.create_server((HOST, port)):
        assert all(free_port() != port for _ in range(20))


def test_libpq_is_not_steered_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("FOREBAY_X", "stays")
    environment = clean_environment()
    assert "PGHOST" not in environment
    assert environment["FOREBAY_X"] == "stays"
