"""One answer for all who ask for the same."""

import asyncio

import pytest

from forebay.node.shared import Shared


class Source:
    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.fails = False

    async def ask(self) -> int:
        self.asked += 1
        number = self.asked
        await self.may_answer.wait()
        if self.fails:
            raise ValueError("no answer")
        return number


async def test_those_who_ask_meanwhile_get_the_same() -> None:
    source = Source()
    shared = Shared(source.ask, age_s=3600)
    source.may_answer.clear()
    asking = [asyncio.ensure_future(shared.get()) for _ in range(100)]
    await asyncio.sleep(0)
    asking[0].cancel()  # who leaves takes nobody's answer away
    source.may_answer.set()
    assert await asyncio.gather(*asking[1:]) == [1] * 99
    assert await shared.get() == 1
    assert source.asked == 1


async def test_an_old_answer_serves_nobody() -> None:
    source = Source()
    shared = Shared(source.ask, age_s=-1)
    assert [await shared.get(), await shared.get()] == [1, 2]


async def test_an_error_is_told_to_all_and_not_kept() -> None:
    source = Source()
    shared = Shared(source.ask, age_s=3600)
    source.fails = True
    found = await asyncio.gather(shared.get(), shared.get(), return_exceptions=True)
    assert [str(each) for each in found] == ["no answer"] * 2
    assert source.asked == 1
    source.fails = False
    assert await shared.get() == 2


async def test_an_error_that_nobody_waits_for_is_nobodys() -> None:
    source = Source()
    shared = Shared(source.ask, age_s=3600)
    source.fails = True
    source.may_answer.clear()
    asking = asyncio.ensure_future(shared.get())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    source.may_answer.set()
    source.fails = False
    assert await shared.get() in (1, 2)


async def test_what_was_forgotten_is_asked_for_anew() -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        number = asked
        await gates[number - 1].wait()
        return number

    shared = Shared(ask, 60.0)
    first = asyncio.ensure_future(shared.get())
    await asyncio.sleep(0)
    shared.forget()
    gates[1].set()
    assert await shared.get() == 2
    gates[0].set()
    assert await first == 1  # who had asked before has an answer of before
    assert await shared.get() == 2
