"""Where names lead, while they can be looked up and later."""

import socket
import threading
from typing import Any

import pytest

from forebay.net.target import Target
from forebay.topology.places import MAX_NAMES, MAX_PLACES, Places
from forebay.topology.sources.resolver import Resolver

NAMED = Target("db.test", 5433, "verify-full", "root")


class System:
    """What names have which addresses; it may hang."""

    def __init__(self) -> None:
        self.addresses = ["192.0.2.1", "2001:db8::1"]
        self.error: OSError | None = None
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, *_: object, **__: object) -> list[tuple[Any, ...]]:
        self.gate.wait(60.0)
        if self.error is not None:
            raise self.error
        return [(0, 0, 0, "", (each, 0)) for each in self.addresses]


async def test_each_address_keeps_the_name() -> None:
    found = await Places(Resolver(System())).of(NAMED, 60.0)
    assert [each.hostaddr for each in found] == ["192.0.2.1", "2001:db8::1"]
    assert {(each.host, each.port, each.sslrootcert) for each in found} == {
        ("db.test", 5433, "root")
    }


@pytest.mark.parametrize(
    "target",
    [
        Target("/run/postgresql"),
        Target("192.0.2.9"),
        Target("2001:db8::9"),
        Target("db.test", hostaddr="192.0.2.9"),
    ],
)
async def test_what_is_not_looked_up(target: Target) -> None:
    assert await Places(Resolver(System())).of(target, 60.0) == [target]


async def test_the_last_addresses_serve() -> None:
    system = System()
    places = Places(Resolver(system))
    before = await places.of(NAMED, 60.0)
    system.error = socket.gaierror(socket.EAI_AGAIN, "later")
    assert await places.of(NAMED, 60.0) == before
    system.error = None
    system.gate.clear()
    assert await places.of(NAMED, 0.01) == before
    system.gate.set()


async def test_a_name_that_never_had_one() -> None:
    system = System()
    system.error = socket.gaierror(socket.EAI_NONAME, "unknown")
    with pytest.raises(socket.gaierror):
        await Places(Resolver(system)).of(NAMED, 60.0)


async def test_bounds() -> None:
    system = System()
    system.addresses = [f"192.0.2.{n}" for n in range(20)]
    places = Places(Resolver(system))
    assert len(await places.of(NAMED, 60.0)) == MAX_PLACES
    for number in range(MAX_NAMES):
        places._last[f"{number}.test"] = []
    await places.of(Target("other.test"), 60.0)
    assert len(places._last) == MAX_NAMES
