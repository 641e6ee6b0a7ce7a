"""What relayed work asks of asyncio."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from forebay.worker.agenda import Agenda


def agenda() -> tuple[Agenda, Any]:
    """An agenda on the running loop, and the poller of its relay."""
    poller = SimpleNamespace(interrupted=False)
    return Agenda(asyncio.get_running_loop(), cast(Any, poller)), poller


async def test_what_is_asked_for_soon_is_done_later_than_now_and_in_order() -> None:
    mine, poller = agenda()
    done: list[object] = []
    over = asyncio.Event()
    mine.soon(done.append, "first")
    assert poller.interrupted, "or the relay would go on"
    assert not done
    mine.soon(done.append, "second")
    mine.soon(over.set)
    await over.wait()
    assert done == ["first", "second"]


async def test_a_timer_interrupts_the_relay_and_may_be_cancelled() -> None:
    mine, poller = agenda()
    done: list[object] = []
    over = asyncio.Event()
    cancelled = mine.later(0.0, done.append, "cancelled")
    assert poller.interrupted
    cancelled.cancel()
    mine.later(0.0, done.append, "due")
    mine.later(0.0, over.set)
    await over.wait()
    assert done == ["due"]
    before = mine.now()
    far = mine.later(700.0, done.append, "far")
    assert before + 700.0 <= far.when() <= mine.now() + 700.0
    far.cancel()


async def test_a_task_that_fails_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    mine, poller = agenda()
    over = asyncio.Event()

    async def fails() -> None:
        asyncio.get_running_loop().call_soon(over.set)
        raise RuntimeError("no luck")

    mine.spawn(fails(), "a task of this test")
    assert poller.interrupted
    await over.wait()
    (record,) = caplog.records
    assert "a task of this test failed" in record.getMessage()
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "no luck"
