"""The loop around a cluster, with one that only counts."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence

import pytest

from forebay.config.addresses import Address
from forebay.topology.monitor import Monitor
from forebay.topology.reports import Failure, HintKind, Report, Verdict
from forebay.topology.sources.static import StaticSource
from tests.harness.fake_postgres import SILENCE, FakePostgres
from tests.unit.topology.servers import answering, prober


class Counting:
    """Wants each server asked once, and again for each hint. Its verdict is up with an answer."""

    def __init__(self) -> None:
        self.hosts: list[Address] = []
        self.wanted: list[Address] = []
        self.found: list[Report | Failure] = []
        self.hints: list[HintKind] = []
        self.expected = 0
        self.verdict = Verdict("HOLD", 0, None, (), 0.0)

    def set_hosts(self, hosts: Sequence[Address], now: float) -> None:
        self.hosts = list(hosts)
        self.wanted = list(hosts)

    def answered(self, address: Address, report: Report, now: float, asked_at: float) -> None:
        assert asked_at <= now
        self.found.append(report)
        self.verdict = Verdict("UP", 1, address, (), now)

    def failed(self, address: Address, failure: Failure, now: float, asked_at: float) -> None:
        assert asked_at <= now
        self.found.append(failure)
        self.verdict = Verdict("HOLD", 1, None, (), now)

    def hint(self, address: Address | None, kind: HintKind, now: float) -> None:
        self.hints.append(kind)
        self.wanted = list(self.hosts)

    def expect(self, now: float) -> None:
        self.expected += 1

    def due(self, now: float) -> list[Address]:
        return list(self.wanted)

    def asked(self, address: Address, now: float) -> None:
        self.wanted.remove(address)

    def next_at(self, now: float) -> float:
        return math.inf


class Looking(StaticSource):
    """Counts looks."""

    trouble = "nobody answers"
    looks = 0

    def look(self) -> None:
        self.looks += 1


class Hearsay(StaticSource):
    """Passes on what others say."""

    is_final = False


class Verdicts:
    """Keeps what it is told, and waits for it."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Verdict] = asyncio.Queue()

    def __call__(self, verdict: Verdict) -> None:
        self._queue.put_nowait(verdict)

    async def until(self, state: str) -> Verdict:
        while (verdict := await self._queue.get()).state != state:
            pass
        return verdict

    @property
    def empty(self) -> bool:
        return self._queue.empty()


@pytest.fixture
async def server() -> AsyncIterator[FakePostgres]:
    async with FakePostgres(answering()) as fake:
        yield fake


async def test_it_asks_and_tells(server: FakePostgres) -> None:
    asker, address = prober(server.port)
    cluster, told, source = Counting(), Verdicts(), Looking([address])
    monitor = Monitor(cluster, source, asker, told)
    monitor.start()
    assert (await told.until("HOLD")).epoch == 0
    assert (await told.until("UP")).writer == address
    assert monitor.verdict.state == "UP"
    assert monitor.trouble == "nobody answers"
    assert source.looks == 1  # while nobody was known to write
    monitor.expect()
    assert cluster.expected == 1
    await monitor.stop()
    assert told.empty


async def test_a_connection_that_ends_is_a_hint(server: FakePostgres) -> None:
    asker, address = prober(server.port)
    cluster, told = Counting(), Verdicts()
    monitor = Monitor(cluster, StaticSource([address]), asker, told)
    monitor.start()
    await told.until("UP")
    server.refusal = lambda user: b"E\0\0\0\x1fSFATAL\0C57P03\0Mstarting up\0\0"
    await server.end()
    await told.until("HOLD")
    assert cluster.hints == ["lost"]
    await monitor.stop()


async def test_other_hosts(server: FakePostgres) -> None:
    asker, address = prober(server.port)
    cluster, told = Counting(), Verdicts()
    monitor = Monitor(cluster, StaticSource([]), asker, told)
    monitor.start()
    await told.until("HOLD")
    monitor.set_hosts([address])
    assert (await told.until("UP")).writer == address
    monitor.hint(address, "silent")
    await told.until("UP")
    assert cluster.hints == ["silent"]
    await monitor.stop()


async def test_a_writer_that_answers_stays_whatever_others_say(server: FakePostgres) -> None:
    asker, address = prober(server.port)
    other = Address("127.0.0.1", 1)
    cluster, told, source = Counting(), Verdicts(), Hearsay([address])
    monitor = Monitor(cluster, source, asker, told)
    monitor.start()
    await told.until("UP")
    source.set_hosts([other])
    assert cluster.hosts == [other, address]
    await told.until("HOLD")  # the other one has failed
    cluster.wanted.clear()
    monitor.hint(address, "silent")
    await told.until("HOLD")
    assert cluster.hosts == [other]
    await monitor.stop()


@pytest.mark.parametrize("kind", [StaticSource, Hearsay])
async def test_an_operator_may_take_the_writer_away(
    server: FakePostgres, kind: type[StaticSource]
) -> None:
    asker, address = prober(server.port)
    other = Address("127.0.0.1", 1)
    cluster, told = Counting(), Verdicts()
    monitor = Monitor(cluster, kind([address]), asker, told)
    monitor.start()
    await told.until("UP")
    monitor.set_hosts([other])
    assert cluster.hosts == [other]
    await monitor.stop()


class Slow(Hearsay):
    """Finds the configured hosts later."""

    def set_hosts(self, hosts: Sequence[Address]) -> None:
        self.later = tuple(hosts)

    def find(self) -> None:
        super().set_hosts(self.later)


async def test_what_was_proposed_stays_until_other_hosts_are_found(server: FakePostgres) -> None:
    asker, address = prober(server.port)
    other = Address("127.0.0.1", 1)
    cluster, told, source = Counting(), Verdicts(), Slow([address])
    monitor = Monitor(cluster, source, asker, told)
    monitor.start()
    await told.until("UP")
    monitor.set_hosts([other])
    monitor.hint(address, "silent")
    await told.until("UP")
    assert cluster.hosts == [address]
    source.find()
    assert cluster.hosts == [other]
    await monitor.stop()


async def test_configured_hosts_are_asked_when_nobody_writes(
    server: FakePostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forebay.topology.monitor.FALLBACK_S", 0.0)
    asker, address = prober(server.port)
    source = Hearsay([])
    source.fallback = [address]
    cluster, told = Counting(), Verdicts()
    monitor = Monitor(cluster, source, asker, told)
    monitor.start()
    assert (await told.until("UP")).writer == address
    # There it stays, though nobody proposes it.
    monitor.hint(address, "silent")
    await told.until("UP")
    source.set_hosts([])
    assert cluster.hosts == [address]
    await monitor.stop()


async def test_the_end_does_not_wait_for_answers(server: FakePostgres) -> None:
    asker, address = prober(server.port)
    asked = asyncio.Event()

    def silent(sql: str) -> bytes:
        asked.set()
        return SILENCE

    server.answer = silent
    cluster, told = Counting(), Verdicts()
    monitor = Monitor(cluster, StaticSource([address]), asker, told)
    monitor.start()
    await asked.wait()
    await monitor.stop()
    await monitor.stop()
    assert cluster.found == []


async def test_mistakes_of_ours_do_not_end_it(
    server: FakePostgres, caplog: pytest.LogCaptureFixture
) -> None:
    asker, address = prober(server.port)

    async def fails(_: Address) -> Report:
        raise ZeroDivisionError

    asker.probe = fails  # type: ignore[method-assign]
    cluster, told = Counting(), Verdicts()

    def tell(verdict: Verdict) -> None:
        told(verdict)
        raise ZeroDivisionError

    monitor = Monitor(cluster, StaticSource([address]), asker, tell)
    monitor.start()
    assert (await told.until("HOLD")).epoch == 0
    assert (await told.until("HOLD")).epoch == 1
    await monitor.stop()
    assert "could not be asked" in caplog.text
    assert "could not be told" in caplog.text
