"""Calls both ways: answered, refused, not answered, and cut off."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from forebay.channel import (
    Applied,
    Apply,
    CallError,
    Calls,
    Drained,
    Figures,
    FiguresRequest,
    NewerSecret,
    ProxyFigures,
    Refreshed,
    SilenceError,
    WorkerFigures,
    node_end,
    worker_end,
)

ASKED = NewerSecret(proxy="app", user="u")
STEPS = Apply(drain_timeout_s=1)


class Ends:
    """A node that is asked by its worker, and the worker. What they answer is for the test."""

    def __init__(self, ours: Any, theirs: Any) -> None:
        self.channels = ours, theirs
        self.heard: list[object] = []
        self.answers: dict[type, object] = {NewerSecret: Refreshed(changed=True), Apply: Applied()}
        self.hold: asyncio.Event | None = None
        self.node = Calls(ours, "worker", self._answer, self.heard.append)
        self.worker = Calls(theirs, "node", self._answer, self.heard.append)
        self.running = [asyncio.ensure_future(each.run()) for each in (self.node, self.worker)]

    async def _answer(self, request: object) -> object:
        if isinstance(request, Apply) and self.hold is not None:
            await self.hold.wait()
        answer = self.answers[type(request)]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    ours, theirs = socket.socketpair()
    made = Ends(await node_end(ours), await worker_end(theirs))
    yield made
    for channel in made.channels:
        channel.close()
        await channel.wait_closed()
    await asyncio.gather(*made.running)


async def test_both_ask(ends: Ends) -> None:
    answers = await asyncio.gather(
        ends.node.ask(STEPS, Applied, 20), ends.worker.ask(ASKED, Refreshed, 20)
    )
    assert answers == [Applied(), Refreshed(changed=True)]


async def test_a_slow_answer_holds_up_no_other(ends: Ends) -> None:
    ends.hold = asyncio.Event()
    ends.answers[FiguresRequest] = Figures(worker=WorkerFigures())
    slow = asyncio.ensure_future(ends.node.ask(STEPS, Applied, 20))
    assert await ends.node.ask(FiguresRequest(), Figures, 20) == Figures(worker=WorkerFigures())
    assert not slow.done()
    ends.hold.set()
    assert await slow == Applied()


@pytest.mark.parametrize(
    ("error", "level", "reason"),
    [
        (ValueError("no such key"), logging.DEBUG, "no such key"),
        (RuntimeError(), logging.ERROR, "RuntimeError"),
    ],
)
async def test_a_refusal_is_told_with_its_reason(
    ends: Ends, error: Exception, level: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "forebay.channel")
    ends.answers[Apply] = error
    with pytest.raises(CallError, match=reason):
        await ends.node.ask(STEPS, Applied, 20)
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (level, "Apply of the node failed")


async def test_an_answer_to_something_else_is_none(ends: Ends) -> None:
    ends.answers[Apply] = Figures(worker=WorkerFigures())
    with pytest.raises(CallError, match="answered something else"):
        await ends.node.ask(STEPS, Applied, 20)


async def test_an_answer_that_has_no_form_is_a_refusal(ends: Ends) -> None:
    bad = WorkerFigures(proxies={"app": ProxyFigures(target="\udcff")})  # no text
    ends.answers[FiguresRequest] = Figures(worker=bad)
    with pytest.raises(CallError, match="the answer can't be told"):
        await ends.node.ask(FiguresRequest(), Figures, 20)
    ends.answers[FiguresRequest] = Figures(worker=WorkerFigures())
    assert await ends.node.ask(FiguresRequest(), Figures, 20) == Figures(worker=WorkerFigures())


async def test_who_keeps_silent_and_answers_late(ends: Ends) -> None:
    ends.hold = asyncio.Event()
    with pytest.raises(SilenceError, match="the worker did not answer within 0"):
        await ends.node.ask(STEPS, Applied, 0)
    ends.hold.set()
    ends.answers[FiguresRequest] = Figures(worker=WorkerFigures())
    assert await ends.node.ask(FiguresRequest(), Figures, 20) == Figures(worker=WorkerFigures())


async def test_who_is_gone(ends: Ends) -> None:
    ends.hold = asyncio.Event()
    asked = asyncio.ensure_future(ends.node.ask(STEPS, Applied, 20))
    await asyncio.sleep(0)
    ends.channels[1].close()
    for question in (asked, ends.node.ask(STEPS, Applied, 20)):
        with pytest.raises(CallError, match="the worker has ended"):
            await question
    ends.hold.set()


async def test_what_is_no_call_is_heard(ends: Ends) -> None:
    assert ends.worker.tell(Drained())
    await ends.worker.ask(ASKED, Refreshed, 20)
    assert ends.heard == [Drained()]


async def test_what_cannot_be_taken_does_not_end_the_conversation(
    ends: Ends, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise KeyError("a mistake of ours")

    ends.node._hear = fail
    ends.worker.tell(Drained())
    assert await ends.worker.ask(ASKED, Refreshed, 5.0) == Refreshed(changed=True)
    assert "What the worker said could not be taken" in caplog.text
