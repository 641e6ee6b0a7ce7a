"""A worker as the node sees it, with processes that are no workers."""

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from forebay.channel import (
    Answer,
    Applied,
    Apply,
    Figures,
    FiguresRequest,
    Hint,
    Refreshed,
    WorkerFigures,
    WorkerRequest,
    encode,
)
from forebay.node.evacuations import Evacuations
from forebay.node.events import Events
from forebay.node.worker_process import WorkerError, WorkerProcess

SAYS = (
    "import os, sys; os.write(int(sys.argv[1]), bytes.fromhex({!r})); os.read(int(sys.argv[1]), 1)"
)
STEPS = Apply(drain_timeout_s=1)


async def nothing_newer(_: WorkerRequest) -> Refreshed:
    return Refreshed(changed=False)


def hear_nothing(_: Hint) -> None:
    pass


HEARD = Evacuations(), nothing_newer, Events(), hear_nothing


@pytest.fixture
async def running() -> AsyncIterator[list[WorkerProcess]]:
    workers: list[WorkerProcess] = []
    yield workers
    for worker in workers:
        worker.kill()
        await worker.wait()


async def start(program: str, running: list[WorkerProcess]) -> WorkerProcess:
    command = (sys.executable, "-I", "-S", "-c", program)
    worker = await WorkerProcess.start(command, {}, *HEARD)
    running.append(worker)
    return worker


async def test_an_answer_to_each_question(running: list[WorkerProcess]) -> None:
    early = encode(Answer(id=7, result=Applied()))  # nobody has asked for it
    answers = encode(Answer(id=1, result=Applied()))
    answers += encode(Answer(id=2, result=Figures(worker=WorkerFigures(started_at=7.0))))
    program = (
        "import os, sys; fd = int(sys.argv[1]);"
        f"os.write(fd, bytes.fromhex('{early.hex()}')); os.read(fd, 1);"
        f"os.write(fd, bytes.fromhex('{answers[: len(answers) // 2].hex()}'));"
        f"os.write(fd, bytes.fromhex('{answers[len(answers) // 2 :].hex()}'));"
        "sys.stdin.read(); os.read(fd, 65536); os.read(fd, 65536)"
    )
    worker = await start(program, running)
    _, counted = await asyncio.gather(
        worker.apply(STEPS, [], 20), worker.ask(FiguresRequest(), Figures, 20)
    )
    assert counted == Figures(worker=WorkerFigures(started_at=7.0))


async def test_a_worker_that_ends(running: list[WorkerProcess]) -> None:
    worker = await start("import sys; sys.exit(3)", running)
    with pytest.raises(WorkerError, match="has ended"):
        await worker.apply(STEPS, [], 20)
    assert await worker.wait() == 3
    with pytest.raises(WorkerError, match="has ended"):
        await worker.ask(FiguresRequest(), Figures, 20)
    assert not worker.drained


async def test_a_worker_that_keeps_silent(running: list[WorkerProcess]) -> None:
    worker = await start("import time; time.sleep(100)", running)
    with pytest.raises(WorkerError, match="did not answer within"):
        await worker.ask(FiguresRequest(), Figures, 0.01)


async def test_one_that_keeps_silent_about_a_change_is_replaced(
    running: list[WorkerProcess],
) -> None:
    """Nobody knows what it does now."""
    worker = await start("import time; time.sleep(100)", running)
    with pytest.raises(WorkerError, match=r"did not answer within 0\.01 s; it is replaced"):
        await worker.apply(STEPS, [], 0.01)
    assert await worker.wait() < 0


async def test_nonsense_ends_it(
    running: list[WorkerProcess], caplog: pytest.LogCaptureFixture
) -> None:
    worker = await start(SAYS.format("00000001ff"), running)
    assert await worker.wait() < 0
    assert "can't be read" in caplog.text


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(WorkerError, match="can't be started"):
        await WorkerProcess.start(("/no/such/program",), {}, *HEARD)
