"""What is paused is kept, told, and ended."""

import asyncio

import pytest

from forebay.node.errors import WorkerUnavailableError
from forebay.node.pausing import EVERYTHING, Pausing, PausingError
from tests.unit.control.fakes import FakeObserver, FakeReconciler


class World:
    def __init__(self) -> None:
        self.brought = FakeReconciler()
        self.asked = FakeObserver()
        self.pausing = Pausing(self.brought, self.asked)

    @property
    def paused(self) -> set[str]:
        return set(self.pausing.of("app"))


async def test_a_pause_is_kept_until_it_is_resumed() -> None:
    world = World()
    world.asked.left = [3, 2, 0]
    assert await world.pausing.do("app", "pause", "shop") == 3
    assert await world.pausing.left("app", "shop") == 2
    assert await world.pausing.left("app", "shop") == 0
    assert world.paused == {"shop"}
    assert world.pausing.of("other") == frozenset()
    await world.pausing.do("app", "resume", "shop")
    assert world.paused == set()


async def test_resume_ends_all_pauses() -> None:
    world = World()
    await world.pausing.do("app", "pause", "a")
    await world.pausing.do("app", "kill", "b")
    assert world.paused == {"a", "b"}
    assert world.asked.commands[-1] == ("app", "kill", "b")
    await world.pausing.do("app", "resume", EVERYTHING)
    assert world.paused == set()


async def test_what_makes_no_sense_is_refused_as_by_pgbouncer() -> None:
    world = World()
    with pytest.raises(PausingError, match="pooler is not paused/suspended"):
        await world.pausing.do("app", "resume", EVERYTHING)
    with pytest.raises(PausingError, match="database shop is not paused"):
        await world.pausing.do("app", "resume", "shop")
    await world.pausing.do("app", "pause", EVERYTHING)
    for action in ("pause", "kill"):
        with pytest.raises(PausingError, match="already suspended/paused"):
            await world.pausing.do("app", action, "shop")
    with pytest.raises(PausingError, match="database shop is not paused"):
        await world.pausing.do("app", "resume", "shop")


async def test_reconnect_pauses_nothing() -> None:
    world = World()
    assert await world.pausing.do("app", "reconnect", "shop") == 0
    assert world.asked.commands == [("app", "reconnect", "shop")]
    assert world.paused == set()


async def test_whoever_leaves_ends_the_pause_and_others_hear_of_it() -> None:
    world = World()
    world.asked.left = [1]
    await world.pausing.do("app", "pause", "shop")
    await world.pausing.undo("app", "shop")
    assert world.paused == set()
    with pytest.raises(PausingError, match="it was resumed"):
        await world.pausing.left("app", "shop")
    await world.pausing.undo("app", "shop")  # nothing is left to be undone


async def test_what_cannot_be_undone_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    await world.pausing.do("app", "pause", "shop")

    async def fail(proxy: str, databases: frozenset[str]) -> None:
        raise WorkerUnavailableError("gone")

    monkeypatch.setattr(world.brought, "pause", fail)
    await world.pausing.undo("app", "shop")
    assert "PAUSE could not be undone: gone" in caplog.text


async def test_a_pause_for_a_switchover_ends_with_it() -> None:
    expected: list[str] = []
    world = World()
    world.pausing = Pausing(world.brought, world.asked, expected.append)
    await world.pausing.do("app", "pause", "a", until_switchover=True)
    await world.pausing.do("app", "pause", "b")
    assert (set(expected), world.paused) == ({"app"}, {"a", "b"})
    world.pausing.switched(["other", "app"])
    await asyncio.sleep(0)
    assert world.paused == {"b"}
    world.pausing.switched(["app"])
    await asyncio.sleep(0)
    assert world.paused == {"b"}


async def test_what_was_resumed_before_the_switchover_is_not_resumed_again() -> None:
    world = World()
    for database in ("a", EVERYTHING):
        await world.pausing.do("app", "pause", database, until_switchover=True)
        await world.pausing.do("app", "resume", database)
        await world.pausing.do("app", "pause", database)
        world.pausing.switched(["app"])
        await asyncio.sleep(0)
        assert world.paused == {database}
        await world.pausing.do("app", "resume", database)
