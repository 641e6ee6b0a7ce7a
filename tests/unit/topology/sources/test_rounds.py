"""Looking around from time to time."""

import asyncio

import pytest

from forebay.topology.sources.rounds import Rounds


class Looks:
    """Counts looks; some fail."""

    def __init__(self) -> None:
        self.count = 0
        self.done: asyncio.Queue[int] = asyncio.Queue()
        self.fails = False

    async def __call__(self) -> None:
        self.count += 1
        self.done.put_nowait(self.count)
        if self.fails:
            raise ZeroDivisionError


async def test_it_begins_with_a_look_and_hurries() -> None:
    looks = Looks()
    rounds = Rounds(looks, 3600.0, "look")
    rounds.start()
    rounds.start()
    assert await looks.done.get() == 1
    rounds.hurry()
    assert await looks.done.get() == 2
    await rounds.stop()
    await rounds.stop()


async def test_from_time_to_time() -> None:
    looks = Looks()
    rounds = Rounds(looks, 0.001, "look")
    rounds.start()
    assert [await looks.done.get() for _ in range(3)] == [1, 2, 3]
    await rounds.stop()


async def test_a_reason_to_look_while_it_looks() -> None:
    gate, looks = asyncio.Event(), asyncio.Queue[None]()

    async def look() -> None:
        looks.put_nowait(None)
        await gate.wait()

    rounds = Rounds(look, 3600.0, "look")
    rounds.start()
    await looks.get()
    rounds.hurry()
    gate.set()
    await looks.get()
    await rounds.stop()


async def test_a_mistake_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    looks = Looks()
    looks.fails = True
    rounds = Rounds(looks, 0.001, "look around")
    rounds.start()
    assert [await looks.done.get() for _ in range(2)] == [1, 2]
    await rounds.stop()
    assert "Failed: look around" in caplog.text
