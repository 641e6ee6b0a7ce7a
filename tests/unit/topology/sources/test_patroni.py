"""Servers that Patroni lists, and Patronis that lie, fail, or are no Patroni."""

import json
from typing import Any

import pytest

from forebay.config.addresses import Address
from forebay.topology.sources.patroni import PatroniSource, members
from forebay.topology.sources.resolver import Resolver
from forebay.topology.sources.source import MAX_SERVERS
from tests.unit.topology.sources.proposals import Proposals

ONE, TWO, THREE = (Address(f"10.0.0.{n}", 5432) for n in (1, 2, 3))


def listed(*found: dict[str, Any]) -> bytes:
    return json.dumps({"members": found, "scope": "shop"}).encode()


def member(host: Any, role: Any = "replica", port: Any = 5432) -> dict[str, Any]:
    return {"name": "x", "host": host, "port": port, "role": role, "state": "streaming", "lag": 0}


@pytest.mark.parametrize("role", ["leader", "master", "primary", "standby_leader"])
def test_the_leader_first(role: str) -> None:
    body = listed(member("10.0.0.1", "sync_standby"), member("10.0.0.2", role), member("10.0.0.3"))
    assert members(body) == [TWO, ONE, THREE]


def test_names_and_addresses() -> None:
    body = listed(member("pg1.internal", port=5433), member("2001:db8::1"))
    assert members(body) == [Address("pg1.internal", 5433), Address("2001:db8::1", 5432)]


@pytest.mark.parametrize(
    "odd",
    [
        {"name": "being made", "role": "replica", "state": "creating replica"},
        member(None),
        member(""),
        member("/run/postgresql"),
        member("10.0.0.9", port=None),
        member("10.0.0.9", port="5432"),
        member("10.0.0.9", port=True),
        member("10.0.0.9", port=0),
        member("10.0.0.9", port=70_000),
        member("10.0.0.9:1"),
        member("x@10.0.0.9"),
        member("*"),
        member("a" * 300),
        member("a\x1bb"),
        member(["10.0.0.9"]),
    ],
)
def test_members_that_have_no_address(odd: dict[str, Any]) -> None:
    assert members(listed(odd, member("10.0.0.1", role=7))) == [ONE]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"members": {}}',
        b'{"members": [1]}',
        b'{"members": []}',
        b'{"members": [{}]}',
        b'{"members": ["\xff"]}',
        b'{"members": ' + b"[" * 100_000,
        listed(*(member(f"pg{n}.internal") for n in range(MAX_SERVERS + 1))),
    ],
)
def test_answers_that_name_no_server(body: bytes) -> None:
    with pytest.raises(ValueError, match="the answer"):
        members(body)


async def test_nobody_to_ask() -> None:
    """The configured hosts are proposed then."""
    urls = ["http://127.0.0.1:1", "https://127.0.0.1:1"]
    source = PatroniSource([ONE], urls, Resolver(), period_s=3600.0, timeout_s=10.0)
    proposed = Proposals()
    source.start(proposed)
    assert await proposed.next() == (ONE,)
    for url in urls:
        assert f"Patroni at {url} can't be asked: " in source.trouble
    assert source.trouble.endswith("; the servers known are kept")
    await source.stop()


async def test_an_authority_that_cannot_be_read() -> None:
    urls = ["https://127.0.0.1:1"]
    source = PatroniSource([ONE], urls, Resolver(), "/nonexistent", period_s=3600.0)
    proposed = Proposals()
    source.start(proposed)
    await proposed.next()
    assert "No such file" in source.trouble
    source.set_hosts([TWO])
    assert source.fallback == (TWO,)
    await source.stop()
