"""Looking up names with a system that answers, hangs, or fails."""

import asyncio
import socket
import threading
from typing import Any

import pytest

from forebay.topology.sources.resolver import MAX_ADDRESSES, Resolver


def found(*addresses: str) -> list[tuple[Any, ...]]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in addresses]


async def test_all_addresses_once() -> None:
    resolver = Resolver(lambda *_, **__: found("192.0.2.2", "192.0.2.1", "192.0.2.2"))
    assert await resolver.addresses("db.test") == ["192.0.2.2", "192.0.2.1"]


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
async def test_addresses_are_not_looked_up(address: str) -> None:
    resolver = Resolver(lambda *_, **__: pytest.fail("it was looked up"))
    assert await resolver.addresses(address) == [address]


async def test_failures() -> None:
    def fail(*_: object, **__: object) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(socket.gaierror, match="not known"):
        await Resolver(fail).addresses("db.test")


async def test_a_name_that_is_none() -> None:
    with pytest.raises(OSError, match=r"invalid host name|not known"):
        await Resolver().addresses("x" * 70 + ".test")


async def test_a_resolver_that_hangs_has_one_thread_per_name() -> None:
    gate, asked = threading.Event(), list[str]()

    def hang(host: str, *_: object, **__: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        gate.wait(60.0)
        return found("192.0.2.1")

    resolver = Resolver(hang)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await resolver.addresses("db.test", timeout_s=0.01)
    waiting = asyncio.ensure_future(resolver.addresses("db.test", timeout_s=60.0))
    await asyncio.sleep(0)
    gate.set()
    assert await waiting == ["192.0.2.1"]
    assert asked == ["db.test"]
    assert await resolver.addresses("db.test", timeout_s=60.0) == ["192.0.2.1"]
    assert asked == ["db.test"] * 2


async def test_nobody_waits_for_a_failure_any_more() -> None:
    gate, done = threading.Event(), threading.Event()

    def fail(*_: object, **__: object) -> list[tuple[Any, ...]]:
        gate.wait(60.0)
        done.set()
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    resolver = Resolver(fail)
    with pytest.raises(TimeoutError):
        await resolver.addresses("db.test", timeout_s=0.01)
    gate.set()
    await asyncio.to_thread(done.wait, 60.0)


async def test_the_number_is_bounded() -> None:
    resolver = Resolver(lambda *_, **__: found(*(f"192.0.2.{n}" for n in range(200))))
    assert len(await resolver.addresses("db.test")) == MAX_ADDRESSES
