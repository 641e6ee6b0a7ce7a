"""What passes between a node's workers when a statement needs a database for itself."""

import asyncio

import pytest

from forebay.channel import Evacuate, Evacuated, EvacuationMessage, Reopen
from forebay.node import evacuations
from forebay.node.evacuations import Evacuations

SERVER = ("db.internal", 5432)


class Worker:
    """A member that keeps what it is told. `answers`: it does as it is told, at once."""

    def __init__(self, exchange: Evacuations, answers: bool = True) -> None:
        self.exchange = exchange
        self.answers = answers
        self.is_gone = False
        self.told: list[EvacuationMessage] = []
        exchange.join(self)

    def post(self, message: EvacuationMessage) -> bool:
        if self.is_gone:
            return False
        self.told.append(message)
        if self.answers and isinstance(message, Evacuate):
            asyncio.get_running_loop().call_soon(self.exchange.take, self, Evacuated(id=message.id))
        return True

    def asks(self, number: int) -> None:
        self.exchange.take(
            self, Evacuate(id=number, server=SERVER, alone=[b"shop"], made=[b"copy"])
        )

    async def hears(self, message: EvacuationMessage) -> None:
        async with asyncio.timeout(10):
            while message not in self.told:  # noqa: ASYNC110 - a toy
                await asyncio.sleep(0.001)


@pytest.fixture
def exchange() -> Evacuations:
    return Evacuations()


async def test_the_only_worker(exchange: Evacuations) -> None:
    worker = Worker(exchange)
    worker.asks(5)
    assert worker.told == [Evacuated(id=5)]
    exchange.take(worker, Reopen(id=5))
    assert worker.told == [Evacuated(id=5)]


async def test_all_others_are_told(exchange: Evacuations) -> None:
    """By numbers of the node's own: two workers may ask by the same one."""
    workers = [Worker(exchange) for _ in range(3)]
    workers[0].asks(1)
    workers[1].asks(1)
    for worker in workers[:2]:
        await worker.hears(Evacuated(id=1))
    told = [message for message in workers[2].told if isinstance(message, Evacuate)]
    assert [(each.server, each.alone, each.made) for each in told] == [
        (SERVER, [b"shop"], [b"copy"])
    ] * 2
    assert len({each.id for each in told}) == 2
    exchange.take(workers[0], Reopen(id=1))
    assert workers[2].told[-1] == Reopen(id=told[0].id)
    assert not any(isinstance(message, Reopen) for message in workers[0].told)


async def test_nobody_goes_on_before_all_have_answered(exchange: Evacuations) -> None:
    asker, silent = Worker(exchange), Worker(exchange, answers=False)
    Worker(exchange)
    asker.asks(1)
    for _ in range(10):
        await asyncio.sleep(0)
    assert asker.told == []
    (request,) = silent.told
    assert isinstance(request, Evacuate)
    exchange.take(silent, Evacuated(id=request.id))
    await asker.hears(Evacuated(id=1))


async def test_a_worker_that_does_not_answer(
    exchange: Evacuations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evacuations, "ANSWER_TIMEOUT_S", 0.01)
    asker, silent = Worker(exchange), Worker(exchange, answers=False)
    asker.asks(1)
    await asker.hears(Evacuated(id=1))
    exchange.take(asker, Reopen(id=1))
    assert isinstance(silent.told[-1], Reopen)


async def test_a_worker_that_dies_instead_of_answering(exchange: Evacuations) -> None:
    asker, dies = Worker(exchange), Worker(exchange, answers=False)
    asker.asks(1)
    dies.is_gone = True
    exchange.leave(dies)
    await asker.hears(Evacuated(id=1))
    asker.asks(2)
    assert asker.told[-1] == Evacuated(id=2)


async def test_a_worker_that_dies_while_it_has_a_database_for_itself(
    exchange: Evacuations,
) -> None:
    dies, other = Worker(exchange), Worker(exchange)
    dies.asks(1)
    await dies.hears(Evacuated(id=1))
    exchange.leave(dies)
    (request, end) = other.told
    assert end == Reopen(id=request.id)


async def test_what_is_over_before_all_have_answered(exchange: Evacuations) -> None:
    asker, silent = Worker(exchange), Worker(exchange, answers=False)
    asker.asks(1)
    exchange.take(asker, Reopen(id=1))
    assert [type(message) for message in silent.told] == [Evacuate, Reopen]
    await asker.hears(Evacuated(id=1))
