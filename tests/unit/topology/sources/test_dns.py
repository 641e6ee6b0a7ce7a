"""Addresses of names that come, go, and can't be looked up."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from forebay.config.addresses import Address
from forebay.topology.sources.dns import STAYS_S, DnsSource
from forebay.topology.sources.resolver import Resolver
from tests.unit.topology.sources.proposals import Proposals

NAME, LITERAL = Address("db.test", 5433), Address("192.0.2.9", 5432)
ONE, TWO = Address("192.0.2.1", 5433), Address("192.0.2.2", 5433)


class World:
    """Which names have which addresses."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {"db.test": ["192.0.2.1"]}

    def getaddrinfo(self, host: str, *_: object, **__: object) -> list[tuple[Any, ...]]:
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, 1, 6, "", (each, 0)) for each in self.names[host]]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def source(world: World) -> AsyncIterator[DnsSource]:
    source = DnsSource([NAME], Resolver(world.getaddrinfo), period_s=3600.0)
    yield source
    await source.stop()


async def test_each_address_has_its_name(source: DnsSource) -> None:
    proposed = Proposals()
    source.start(proposed)
    (found,) = await proposed.next()
    assert found == ONE
    assert found.name == "db.test"
    assert source.trouble == ""


async def test_another_address(source: DnsSource, world: World) -> None:
    proposed = Proposals()
    source.start(proposed)
    await proposed.next()
    world.names["db.test"] = ["192.0.2.2", "192.0.2.1"]
    source.look()
    assert await proposed.next() == (ONE, TWO)


async def test_an_address_that_is_gone_stays_for_a_while(
    source: DnsSource, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposed = Proposals()
    source.start(proposed)
    await proposed.next()
    world.names["db.test"] = ["192.0.2.2"]
    source.look()
    assert await proposed.next() == (ONE, TWO)
    loop = asyncio.get_running_loop()
    now = loop.time
    monkeypatch.setattr(loop, "time", lambda: now() + STAYS_S)
    source.look()
    assert await proposed.next() == (TWO,)


async def test_a_name_that_stops_resolving(source: DnsSource, world: World) -> None:
    proposed = Proposals()
    source.start(proposed)
    await proposed.next()
    del world.names["db.test"]
    source.look()
    assert await proposed.next() == (ONE,)
    assert source.trouble == (
        "db.test can't be looked up: Name or service not known; its last 1 addresses are kept"
    )
    world.names["db.test"] = ["192.0.2.1"]
    source.look()
    await proposed.next()
    assert source.trouble == ""


async def test_a_name_that_never_resolved(source: DnsSource, world: World) -> None:
    world.names.clear()
    proposed = Proposals()
    source.start(proposed)
    assert await proposed.next() == ()
    assert source.trouble == "db.test can't be looked up: Name or service not known"


async def test_other_hosts(source: DnsSource) -> None:
    proposed = Proposals()
    source.start(proposed)
    await proposed.next()
    socket_directory = Address("/run/postgresql", 5432)
    source.set_hosts([LITERAL, socket_directory])
    assert await proposed.next() == (LITERAL, socket_directory)
    assert source.trouble == ""
