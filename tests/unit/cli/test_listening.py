"""Proxies whose target leads back to them, and addresses that are taken."""

import socket

import pytest

from forebay.cli import listening
from forebay.cli.listening import look, look_at_page
from forebay.cli.occupants import Occupant
from forebay.config import AuthSettings, Config, NodeSettings, ProxySettings, TargetSettings
from tests.harness.gathering import gathered

ENVIRON = {"A": '{"username": "app", "password": "x"}'}


def findings(**proxies: tuple[str, str]) -> dict[str, listening.Findings]:
    """By proxy: where it listens, and its target."""
    settings = {
        name: ProxySettings(
            listen=listen,
            auth=[AuthSettings(secret="env:A")],
            target=TargetSettings(hosts=[host]),
        )
        for name, (listen, host) in proxies.items()
    }
    config = Config(proxies=settings)
    return look(config, gathered(config, ENVIRON))


@pytest.mark.parametrize(
    ("listen", "host", "loops"),
    [
        ("127.0.0.1:6432", "127.0.0.1:5432", False),
        ("127.0.0.1:6432", "localhost:6432", True),
        (":6432", "localhost:6432", True),
        ("0.0.0.0:6432", "127.0.0.1:6432", True),
        ("127.0.0.1:6432", "192.0.2.1:6432", False),
        ("0.0.0.0:6432", "192.0.2.1:6432", False),
        ("/tmp:6432", "/tmp/../tmp:6432", True),
        ("/tmp:6432", "localhost:6432", False),
    ],
)
def test_a_proxy_that_would_connect_to_itself(
    listen: str, host: str, loops: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "try_addresses", lambda _: [])
    problems = findings(shop=(listen, host))["shop"].problems
    assert [("connect to itself" in each) for each in problems] == ([True] if loops else [])


def test_through_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "try_addresses", lambda _: [])
    found = findings(
        a=("127.0.0.1:1", "127.0.0.1:2"),
        b=("127.0.0.1:2", "127.0.0.1:3"),
        c=("127.0.0.1:3", "127.0.0.1:1"),
        d=("127.0.0.1:4", "127.0.0.1:1"),
    )
    assert found["a"].problems == ["its target leads back to it, through proxies.c"]
    assert not found["d"].problems


@pytest.mark.parametrize("occupant", [None, Occupant(7, False), Occupant(7, True)])
def test_an_address_that_is_taken(
    occupant: Occupant | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "forebay_that_listens", lambda _: occupant)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        found = findings(shop=(address, "192.0.2.1:5432"))["shop"]
    told = found.problems + found.warnings
    assert len(told) == 1
    assert address in told[0]
    assert bool(found.warnings) is (occupant is not None and not occupant.is_orphan)
    assert ("a Forebay worker that has outlived its node has it" in told[0]) is (
        occupant is not None and occupant.is_orphan
    )


def test_where_the_page_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "forebay_that_listens", lambda _: None)
    assert look_at_page(NodeSettings(control_listen=""), {}) == listening.Findings()
    assert look_at_page(NodeSettings(control_listen="127.0.0.1:0"), {}) == listening.Findings()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        node = NodeSettings(control_listen=address)
        (problem,) = look_at_page(node, {}).problems
        assert problem.startswith(f"node.control_listen: can't listen on {address}: ")
        monkeypatch.setattr(listening, "DEFAULT_CONTROL_LISTEN", address)
        found = look_at_page(node, {})
        assert found.problems == []
        assert found.warnings[0].endswith("there would be no page")
        occupant = Occupant(pid=7, is_orphan=False)
        monkeypatch.setattr(listening, "forebay_that_listens", lambda _: occupant)
        assert "in use by a Forebay that runs (pid 7)" in look_at_page(node, {}).warnings[0]


def test_a_token_that_is_none() -> None:
    node = NodeSettings(control_listen="", control_token="env:T")
    assert look_at_page(node, {"T": "0123456789abcdef"}).problems == []
    (problem,) = look_at_page(node, {"T": "hunter2"}).problems
    assert problem.startswith("node.control_token: env:T: holds 7 characters")
