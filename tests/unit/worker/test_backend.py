"""One database server of a proxy's: where it is, and what is known of it."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from forebay.config.settings import PoolSettings, ProxySettings, TargetSettings
from forebay.net.connector import Target
from forebay.net.tls import ClientContexts
from forebay.session.settings import InternTable
from forebay.worker.backend import Backend, Common, limits_of
from forebay.worker.evacuation import Evacuator
from tests.unit.worker.clock import Clock

SETTINGS = ProxySettings(target=TargetSettings(hosts=["db"]))


class Place:
    """A backend, and what its proxy has."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.intern = InternTable()
        self.forgotten: list[object] = []
        self.evacuator = Evacuator(cast(Any, self.clock))
        greetings = SimpleNamespace(
            forget=lambda: self.forgotten.append("all"),
            forget_databases=lambda is_meant: self.forgotten.append(is_meant("shop")),
        )
        common = Common(
            cast(Any, self.clock),
            self.intern,
            cast(Any, greetings),
            self.evacuator,
            ClientContexts(),
        )
        self.backend = Backend(common, Target("a"), cast(Any, "login"), SETTINGS, 3)

    def holds(self, host: str) -> list[object]:
        """Those that take part in evacuations of this server."""
        return list(self.evacuator._before((host, 5432)))

    async def report(self, version: str) -> None:
        """A connection is opened that reports this version."""
        parameters = self.intern.parameters({"server_version": version})
        self.kept = [*getattr(self, "kept", []), parameters]
        server = SimpleNamespace(parameters=parameters)

        async def opened(pool: object) -> tuple[object, tuple[int, int]]:
            return server, (100, 3)

        cast(Any, self.backend).opener = SimpleNamespace(open=opened)
        pool = cast(Any, SimpleNamespace(database="shop", user="app"))
        assert await self.backend._open(pool) == (server, (100, 3))


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.clock.run()


async def test_a_database_that_reports_something_else_is_not_greeted_for_from_memory(
    place: Place,
) -> None:
    for version, forgotten in (("15.0", 0), ("15.0", 0), ("16.0", 1), ("16.0", 1)):
        await place.report(version)
        assert len(place.forgotten) == forgotten


async def test_what_a_database_reported_is_forgotten_with_it(place: Place) -> None:
    await place.report("15.0")
    place.backend.manager.holds.forget(lambda name: name == "other")
    assert place.forgotten == [False]
    await place.report("15.0")
    place.backend.manager.holds.forget(lambda name: name == "shop")
    await place.report("16.0")
    assert place.forgotten == [False, True]


async def test_another_address_is_another_server(place: Place) -> None:
    """Connections to the one before go; what it reported says nothing of the next."""
    backend = place.backend
    await place.report("15.0")
    assert backend.place == ("a", 5432)
    backend.manager.note_limits(100, 3)
    backend.move(Target("b"))
    assert backend.place == ("b", 5432)
    assert (place.holds("a"), place.holds("b")) == ([], [backend.manager.holds])
    await place.report("16.0")
    assert place.forgotten == []
    backend.stand_aside()
    assert place.holds("b") == []


def test_limits_that_change_hold_at_once(place: Place) -> None:
    backend = place.backend
    backend.manager.note_limits(100, 3)
    settings = ProxySettings(
        target=SETTINGS.target, pool=PoolSettings(max_connections=7, init_query=" SELECT 1 ")
    )
    backend.apply(settings, cast(Any, "other login"))
    assert backend.opener.login == cast(Any, "other login")
    assert backend.manager.census.limit == 7
    assert limits_of(settings).init_query == "SELECT 1"


def test_no_connection_is_opened_ahead_while_nobody_is_to_have_one(place: Place) -> None:
    opened: list[object] = []
    place.backend.manager.probe = opened.append  # type: ignore[method-assign]
    place.backend.manager.pausing.apply(["shop"])
    place.backend.probe("shop", "app")
    assert opened == []
    place.backend.manager.pausing.apply([])
    place.backend.probe("shop", "app")
    assert len(opened) == 1


def test_to_aim_elsewhere_leaves_connections_alone(place: Place) -> None:
    backend = place.backend
    assert not backend.aim(Target("a"))
    assert backend.aim(Target("b"))
    assert (place.holds("a"), place.holds("b")) == ([], [backend.manager.holds])
    backend.stand_aside()
