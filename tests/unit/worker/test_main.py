"""The worker's process, without the process: what the node says to it, and what it answers."""

import asyncio
import logging
import resource
import socket
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, Self, cast

import pytest

from forebay.channel import (
    Answer,
    Applied,
    Apply,
    Begin,
    Call,
    Channel,
    Drain,
    Drained,
    Evacuate,
    Failed,
    Figures,
    FiguresRequest,
    Looking,
    NewerSecret,
    NodeMessage,
    NodeRequest,
    Notice,
    Refreshed,
    Reopen,
    WorkerAnswer,
    WorkerFigures,
    WorkerMessage,
    node_end,
    pass_descriptors,
    worker_end,
)
from forebay.relay import Relay
from forebay.worker import main
from forebay.worker.main import WorkerProcess, raise_descriptor_limit

STEPS = Apply(drain_timeout_s=30)


class Plane:
    """A data plane that notes what it is to do. `refuses`: what it raises when it is to change."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ask: Any) -> None:
        self.ask = ask
        self.passed: dict[int, socket.socket] = {}
        self.refuses: Exception | None = None
        self.drains: list[float] = []
        self.heard: list[object] = []
        self.may_drain = asyncio.Event()
        self.may_drain.set()
        self.fails: Exception | None = None
        self.evacuator = cast(Any, self)

    def hear(self, message: object) -> None:
        self.heard.append(message)

    def begin(self, begin: Begin) -> None:
        self.heard.append(begin)

    async def apply(self, steps: Apply, passed: Mapping[int, socket.socket]) -> None:
        self.passed.update(passed)
        if self.refuses is not None:
            raise self.refuses

    async def drain(self, timeout_s: float) -> None:
        self.drains.append(timeout_s)
        if self.fails is not None:
            raise self.fails
        await self.may_drain.wait()

    async def answer(self, request: Looking) -> WorkerAnswer:
        if self.fails is not None:
            raise self.fails
        return Figures(worker=WorkerFigures(started_at=7.0))


class Worker:
    """A worker's process on one end of a channel; a test has the other end."""

    def __init__(
        self,
        node: Channel[NodeMessage, WorkerMessage],
        here: Channel[WorkerMessage, NodeMessage],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.node, self.here = node, here
        self.news: list[Notice] = []
        self.descriptors, theirs = socket.socketpair()
        theirs.settimeout(20)
        self.process = WorkerProcess(loop, cast(Any, Plane), here, theirs)
        self.plane = cast(Plane, self.process._plane)
        self.task = loop.create_task(self.process.run())

    @classmethod
    async def start(cls) -> Self:
        ours, theirs = socket.socketpair()
        return cls(await node_end(ours), await worker_end(theirs))

    async def say(self, message: NodeMessage) -> None:
        assert await self.node.send(message)

    async def hear(self) -> WorkerMessage | None:
        """The next message, but for news of the log."""
        while isinstance(message := await self.node.receive(), Notice):
            self.news.append(message)
        return message

    async def ask(self, request: NodeRequest, number: int = 7) -> WorkerMessage | None:
        await self.say(Call(id=number, request=request))
        return await self.hear()

    async def serve(self) -> None:
        assert await self.ask(STEPS) == Answer(id=7, result=Applied())


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    started = await Worker.start()
    yield started
    started.task.cancel()
    await asyncio.gather(started.task, return_exceptions=True)
    for end in (started.node, started.here):
        end.close()
        await end.wait_closed()
    started.descriptors.close()
    started.process._descriptors.close()


async def test_it_serves_what_it_is_told_until_it_is_drained(worker: Worker) -> None:
    await worker.serve()
    await worker.say(Drain(timeout_s=3))
    assert await worker.hear() == Drained()
    assert await worker.hear() is None
    assert await worker.task == 0
    assert worker.plane.drains == [3]


@pytest.mark.parametrize("error", [ValueError("no such key"), KeyError("x"), RuntimeError()])
async def test_one_that_cannot_begin_says_why_and_ends(worker: Worker, error: Exception) -> None:
    worker.plane.refuses = error
    reason = str(error) or "RuntimeError"
    assert await worker.ask(STEPS) == Failed(id=7, reason=reason)
    assert await worker.hear() == Drained()
    assert await worker.task == 1


async def test_one_that_refuses_a_change_serves_on(worker: Worker) -> None:
    await worker.serve()
    worker.plane.refuses = ValueError("not so")
    assert await worker.ask(STEPS) == Failed(id=7, reason="not so")
    told = Figures(worker=WorkerFigures(started_at=7.0))
    assert await worker.ask(FiguresRequest(), 8) == Answer(id=8, result=told)


async def test_listening_sockets_come_along(worker: Worker) -> None:
    """Also with what is refused: what comes with the next change is not taken for them."""
    await worker.serve()
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    names = [each.getsockname() for each in listeners]
    pass_descriptors(worker.descriptors, [each.fileno() for each in listeners[:2]])
    worker.plane.refuses = ValueError("not so")
    await worker.ask(Apply(passed=[4, 5], drain_timeout_s=1))
    worker.plane.refuses = None
    pass_descriptors(worker.descriptors, [listeners[2].fileno()])
    await worker.ask(Apply(passed=[6], drain_timeout_s=1))
    found = {number: each.getsockname() for number, each in worker.plane.passed.items()}
    assert found == dict(zip([4, 5, 6], names, strict=True))
    for each in (*listeners, *worker.plane.passed.values()):
        each.close()


async def test_the_node_is_asked(worker: Worker) -> None:
    await worker.serve()
    request = NewerSecret(proxy="app", user="u")
    asked = asyncio.ensure_future(worker.plane.ask(request, Refreshed, 20))
    assert await worker.hear() == Call(id=1, request=request)
    await worker.say(Answer(id=1, result=Refreshed(changed=True)))
    assert await asked == Refreshed(changed=True)


async def test_statistics_that_cannot_be_told_end_nothing(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    await worker.serve()
    worker.plane.fails = RuntimeError("no luck")
    assert await worker.ask(FiguresRequest(), 8) == Failed(id=8, reason="no luck")
    assert await worker.ask(STEPS) == Answer(id=7, result=Applied())
    assert "FiguresRequest of the node failed" in caplog.text
    assert worker.news == [Notice(level="ERROR", text="FiguresRequest of the node failed")]


async def test_what_concerns_other_workers_is_heard(worker: Worker) -> None:
    await worker.serve()
    said: list[NodeMessage] = [
        Begin(worker_number=1, cancel_secret=b""),
        Evacuate(id=1, server=("db", 5432), alone=[b"shop"]),
        Reopen(id=1),
    ]
    for message in said:
        await worker.say(message)
    await worker.ask(FiguresRequest())
    assert worker.plane.heard == said


async def test_a_signal_drains_and_a_second_one_at_once(worker: Worker) -> None:
    await worker.serve()
    worker.plane.may_drain.clear()
    worker.process.on_terminate()
    worker.process.on_terminate()
    await asyncio.sleep(0)
    assert worker.plane.drains == [30, 0]
    worker.plane.may_drain.set()
    assert await worker.task == 0


async def gone(worker: Worker) -> None:
    """The node dies."""
    worker.node.close()
    await worker.node.wait_closed()


async def test_without_its_node_it_serves_on_until_a_signal(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    await worker.serve()
    said = _heard(caplog, "serving on with what is known")
    await gone(worker)
    await said
    assert not worker.task.done()
    worker.process.on_terminate()
    assert await worker.task == 0
    assert worker.plane.drains == [30]


async def test_without_a_configuration_there_is_nothing_to_serve(worker: Worker) -> None:
    await gone(worker)
    assert await worker.task == 1


async def test_a_drain_that_lasts_too_long_ends_all_the_same(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await worker.serve()
    monkeypatch.setattr(main, "DRAIN_GRACE_S", 0.0)
    worker.plane.may_drain.clear()
    await worker.say(Drain(timeout_s=0))
    assert await worker.task == 1
    assert "Draining took longer than 0 s" in caplog.text


async def test_a_drain_that_fails_is_told_of(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    await worker.serve()
    worker.plane.fails = RuntimeError("no luck")
    await worker.say(Drain(timeout_s=3))
    assert await worker.task == 1
    assert "Draining failed" in caplog.text


def _heard(caplog: pytest.LogCaptureFixture, words: str) -> Coroutine[Any, Any, object]:
    """Is over when the log has said so."""
    said = asyncio.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if words in record.getMessage():
                said.set()

    logging.getLogger("forebay.worker").addHandler(listener := Listener())

    async def wait() -> None:
        try:
            await said.wait()
        finally:
            logging.getLogger("forebay.worker").removeHandler(listener)

    return wait()


@pytest.mark.parametrize(
    ("soft", "hard", "may", "expected"),
    [
        (1024, 4096, True, 4096),
        (4096, 4096, True, 4096),
        (1024, resource.RLIM_INFINITY, True, main.MANY_DESCRIPTORS),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, True, main.MANY_DESCRIPTORS),
        (1024, 4096, False, 1024),
    ],
)
def test_it_takes_as_many_descriptors_as_it_may(
    soft: int, hard: int, may: bool, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to: list[tuple[int, int]] = []

    def setrlimit(which: int, limits: tuple[int, int]) -> None:
        if not may:
            raise ValueError("not permitted")
        set_to.append(limits)

    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    assert raise_descriptor_limit() == expected
    assert set_to == ([(expected, hard)] if may and soft not in (expected, -1) else [])


def test_the_loop_is_the_relays() -> None:
    loop: Any = main.relay_loop()
    try:
        assert isinstance(loop._selector, Relay)
    finally:
        loop.close()
