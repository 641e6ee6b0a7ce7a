"""Who is let in to the admin database, and who has to go."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from forebay.channel import AdminResult, Begin
from forebay.config.settings import ProxySettings, TargetSettings
from forebay.net.login import LoggedIn
from forebay.net.stream import Stream
from forebay.worker.admin import DATABASES, MAX_CONSOLES, Admin
from forebay.worker.sessions.cancel_keys import CancelKeys
from tests.unit.control.fakes import until

TARGET = TargetSettings(hosts=["db"])
USED = ProxySettings(target=TARGET, admin_users=["ops"], stats_users=["metrics"])


class World:
    def __init__(self) -> None:
        self.settings = USED
        keys = CancelKeys(Begin(worker_number=1, cancel_secret=b"s"), "app")
        self.admin = Admin("app", self.ask, keys, lambda: self.settings)
        self.theirs: list[socket.socket] = []

    async def ask(self, request: Any, expected: type[Any], timeout_s: float, /) -> Any:
        return AdminResult(tag="SHOW")

    def login(self, user: str) -> LoggedIn:
        ours, theirs = socket.socketpair()
        self.theirs.append(theirs)
        return LoggedIn(Stream(ours), user, "pgbouncer", (), 0, "")

    def close(self) -> None:
        for each in self.theirs:
            each.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    found = World()
    yield found
    found.admin.close()
    await until(lambda: not found.admin.consoles)
    found.close()


def refused(world: World, user: str) -> str | None:
    login = world.login(user)
    error = world.admin.obstacle(login)
    login.stream.close()
    return None if error is None else error.sqlstate


async def test_who_is_let_in(world: World) -> None:
    assert {user: refused(world, user) for user in ("ops", "metrics", "app")} == {
        "ops": None,
        "metrics": None,
        "app": "42501",
    }


async def test_without_users_there_is_none(world: World) -> None:
    assert all(map(world.admin.is_meant, DATABASES))
    assert not world.admin.is_meant("shop")
    world.settings = ProxySettings(target=TARGET)
    assert not any(map(world.admin.is_meant, DATABASES))


async def test_there_are_not_too_many(world: World) -> None:
    for _ in range(MAX_CONSOLES):
        world.admin.admit(world.login("ops"), {})
    assert len(world.admin.consoles) == MAX_CONSOLES
    assert refused(world, "ops") == "53300"


async def test_who_may_not_use_it_any_more_has_to_go(world: World) -> None:
    for user in ("ops", "ops", "metrics"):
        world.admin.admit(world.login(user), {})
    await asyncio.sleep(0)

    def users() -> list[str]:
        return sorted(each.user for each in world.admin.consoles.values())

    world.admin.part(lambda user: user != "metrics")
    await until(lambda: len(users()) <= 2)
    assert users() == ["ops", "ops"]
    world.settings = ProxySettings(target=TARGET, stats_users=["metrics"])
    world.admin.part(lambda _: True)
    await until(lambda: not users())


async def test_a_cancel_needs_the_key(world: World) -> None:
    world.admin.admit(world.login("ops"), {})
    ((number, console),) = world.admin.consoles.items()
    world.admin.cancel(number, b"wrong")
    world.admin.cancel(number + 1, console.key)
    assert not console._cancelled.is_set()
    world.admin.cancel(number, console.key)
    assert console._cancelled.is_set()
