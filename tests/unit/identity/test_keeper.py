import asyncio
import heapq
import itertools
import json
import logging
from collections.abc import AsyncIterator, Hashable, Sequence

import pytest

from forebay.config.settings import Hidden
from forebay.identity import keeper as module
from forebay.identity.holding import Held
from forebay.identity.keeper import FOLLOW_S, MIN_INTERVAL_S, Keeper
from forebay.identity.secrets import SecretError, User
from forebay.identity.sources.source import Source, SourceError, Versions

TURNS = 50
"""Of the loop, after which everything waits for something outside."""
STARTED_AT_S = 1_700_000_000.0
ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:"


class Time:
    """A clock that goes when it is told to, and who sleeps by it."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._sleeping: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    async def sleep(self, duration_s: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleeping, (self.now_s + duration_s, next(self._numbers), done))
        await done

    async def settle(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def advance(self, duration_s: float) -> None:
        end_s = self.now_s + duration_s
        await self.settle()
        while self._sleeping and self._sleeping[0][0] <= end_s:
            self.now_s, _, done = heapq.heappop(self._sleeping)
            if not done.done():
                done.set_result(None)
            await self.settle()
        self.now_s = end_s


class Stub:
    """A source as the test wants it; `content` may be what fetching raises."""

    def __init__(self, source: str, world: "World") -> None:
        self.source = source
        self.is_remote = source.startswith(("arn:", "secretsmanager:"))
        self._world = world

    async def fetch(self) -> Versions:
        world = self._world
        world.fetches.append((world.time.now_s, self.source))
        world.running += 1
        world.most = max(world.most, world.running)
        content = world.contents[self.source]
        try:
            await world.may_answer.wait()
        finally:
            world.running -= 1
        if isinstance(content, Exception):
            raise content
        return content

    def fingerprint(self) -> Hashable:
        return self._world.prints.get(self.source)


class World:
    """Sources, and a keeper that has written down what changed."""

    def __init__(self) -> None:
        self.time = Time()
        self.contents: dict[str, Versions | Exception] = {}
        self.prints: dict[str, Hashable] = {}
        self.fetches: list[tuple[float, str]] = []
        self.running = self.most = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.changed: list[str] = []
        self.is_closed = False
        self.keeper = Keeper(
            self,
            self.changed.append,
            clock=lambda: self.time.now_s,
            wall_clock=lambda: self.time.now_s - 1000.0 + STARTED_AT_S,
            sleep=self.time.sleep,
            uniform=lambda low, high: (low + high) / 2,
        )

    def put(
        self,
        source: str,
        password: str,
        version: str = "",
        *,
        previous: bytes | None = None,
        pending: bytes | None = None,
    ) -> None:
        content = {"username": source.rpartition(":")[2], "password": password}
        self.contents[source] = Versions(json.dumps(content).encode(), previous, pending, version)

    def fail(self, source: str, sentence: str = "is gone", *, transient: bool = True) -> None:
        self.contents[source] = SourceError(sentence, transient=transient)

    def current(self, source: str) -> str | None:
        (user,) = self.keeper.versions(source).current
        return None if user.password is None else user.password.reveal()

    def fetched_at(self, source: str) -> list[float]:
        return [at_s - 1000.0 for at_s, each in self.fetches if each == source]

    # ---- what the keeper asks for ----

    def make(self, source: str) -> Source:
        if source not in self.contents:
            raise SourceError("is of no kind")
        return Stub(source, self)

    async def fingerprints(self, sources: Sequence[Source]) -> list[Hashable]:
        return [each.fingerprint() for each in sources]

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.keeper.close()
    assert world.is_closed
    assert asyncio.all_tasks() == {asyncio.current_task()}


APP, OTHER, FILE = f"{ARN}app", f"{ARN}other", "file:/f"


async def test_opening(world: World) -> None:
    world.put(APP, "1", "v1")
    world.put(FILE, "2")
    await world.keeper.open([APP, FILE, APP])
    assert world.keeper.versions(APP) == Held(
        (User("app", Hidden("1")),), version_id="v1", fetched_at_s=1000.0
    )
    assert world.current(FILE) == "2"
    assert len(world.fetches) == 2
    assert world.changed == []


async def test_all_that_is_wrong_is_told_and_nothing_changes(world: World) -> None:
    world.put(APP, "1")
    await world.keeper.open([APP])
    world.put(OTHER, "1")
    world.fail("env:A", "is not set")
    world.contents["env:B"] = Versions(b"hunter2")
    with pytest.raises(SecretError) as caught:
        await world.keeper.open([OTHER, "env:A", "env:B", "hunter2"])
    assert set(caught.value.problems) == {
        "a secret: is of no kind",
        "env:A: is not set",
        'env:B: is not JSON; it must be {"username": "…", "password": "…"}',
    }
    assert world.current(APP) == "1"
    with pytest.raises(KeyError):
        world.keeper.versions(OTHER)
    await world.time.advance(100)
    assert world.fetched_at(APP)[-1] > 0
    assert world.fetched_at(OTHER) == [0.0]


async def test_what_is_not_listed_any_more_is_dropped(world: World) -> None:
    world.put(APP, "1")
    world.put(OTHER, "1")
    await world.keeper.open([APP, OTHER])
    await world.keeper.open([OTHER])
    with pytest.raises(KeyError):
        world.keeper.versions(APP)
    assert not await world.keeper.refresh(APP)
    await world.time.advance(100)
    assert world.fetched_at(APP) == [0.0]
    assert world.keeper.figures().keys() == {OTHER}


async def test_a_remote_source_is_read_each_minute(world: World) -> None:
    world.put(APP, "1", "v1")
    await world.keeper.open([APP])
    await world.time.advance(151)
    assert world.fetched_at(APP) == [0, 30, 90, 150]
    world.put(APP, "2", "v2")
    await world.time.advance(60)
    assert (world.current(APP), world.changed) == ("2", [APP])
    held = world.keeper.versions(APP)
    assert (held.changed_at_s, held.fetched_at_s) == (1210.0, 1210.0)


async def test_other_versions_come_and_go(world: World) -> None:
    world.put(APP, "1", "v1")
    await world.keeper.open([APP])
    other = b'{"username": "app", "password": "2"}'
    for number, (previous, pending) in enumerate(((None, other), (other, None), (None, None)), 1):
        world.put(APP, "1", "v1", previous=previous, pending=pending)
        await world.time.advance(60)
        assert len(world.changed) == number
    assert world.keeper.versions(APP).changed_at_s == -float("inf")


async def test_another_version_that_cannot_be_used_is_told_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.put(APP, "1", "v1", pending=b"hunter2")
    await world.keeper.open([APP])
    await world.time.advance(200)
    (record,) = caplog.records
    assert f"{APP}: its AWSPENDING is not JSON" in record.message
    assert "hunter2" not in caplog.text


async def test_a_file_is_followed(world: World) -> None:
    world.put(FILE, "1")
    world.prints[FILE] = 1
    await world.keeper.open([FILE])
    await world.time.advance(10)
    assert world.fetched_at(FILE) == [0]
    world.put(FILE, "2")
    world.prints[FILE] = 2
    await world.time.advance(FOLLOW_S)
    assert world.changed == []  # it may be being written
    await world.time.advance(FOLLOW_S)
    assert (world.current(FILE), world.changed) == ("2", [FILE])
    assert world.keeper.versions(FILE).previous == (User("/f", Hidden("1")),)
    await world.time.advance(10)
    assert len(world.fetches) == 2


async def test_a_file_that_is_half_written(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.put(FILE, "1")
    world.prints[FILE] = 1
    await world.keeper.open([FILE])
    world.contents[FILE] = Versions(b'{"username": "/f", "passw')
    world.prints[FILE] = 2
    await world.time.advance(2 * FOLLOW_S)
    held = world.keeper.versions(FILE)
    assert (world.current(FILE), held.failing_since_s) == ("1", 1002.0)
    assert held.error is not None
    world.put(FILE, "2")  # without its looking any different
    await world.time.advance(10)
    assert (world.current(FILE), world.changed) == ("2", [FILE])


async def test_a_failure_later(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world.put(APP, "1", "v1")
    await world.keeper.open([APP])
    world.fail(APP, "is throttled")
    await world.time.advance(100)
    assert world.fetched_at(APP) == [0, 30, 32, 36, 44, 60, 92]
    held = world.keeper.versions(APP)
    assert (world.current(APP), held.failing_since_s, held.error) == ("1", 1030, "is throttled")
    figures = world.keeper.figures()[APP]
    assert (figures.age_s, figures.failing_for_s) == (100, 70)
    world.put(APP, "1", "v1")
    await world.time.advance(100)
    held = world.keeper.versions(APP)
    assert (held.failing_since_s, held.error, world.changed) == (None, None, [])
    assert [record.message for record in caplog.records] == [
        f"{APP}: is throttled; what was read at 2023-11-14T22:13:20Z serves on",
        f"{APP} is read again; since 2023-11-14T22:13:50Z it could not be",
    ]
    assert world.keeper.figures()[APP].failing_for_s is None


async def test_pauses_grow_no_further_than_so_far(world: World) -> None:
    world.put(APP, "1", "v1")
    await world.keeper.open([APP])
    world.fail(APP)
    await world.time.advance(3000)
    last = world.fetched_at(APP)[-2:]
    assert last[1] - last[0] == module.MAX_RETRY_S


async def test_an_error_of_forebays_own(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.put(APP, "1", "v1")
    await world.keeper.open([APP])
    world.contents[APP] = ZeroDivisionError("ours")
    await world.time.advance(31)
    assert world.keeper.versions(APP).error == "can't be read for an internal error"
    assert "ZeroDivisionError" in caplog.text
    world.put(APP, "2", "v2")
    await world.time.advance(10)
    assert world.current(APP) == "2"


async def test_a_change_that_is_not_carried_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.keeper._on_change = lambda _: 1 // 0  # type: ignore[assignment]
    world.put(APP, "1", "v1")
    await world.keeper.open([APP])
    world.put(APP, "2", "v2")
    await world.time.advance(31)
    assert world.current(APP) == "2"
    assert f"The change of {APP} was not carried out" in caplog.text
    await world.keeper.close()


async def test_looking_at_files_fails_once(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.put(FILE, "1")
    world.prints[FILE] = 1
    await world.keeper.open([FILE])
    with monkeypatch.context() as patch:
        patch.setattr(world, "fingerprints", None)
        await world.time.advance(FOLLOW_S)
    assert "Secret files can't be looked at" in caplog.text
    world.put(FILE, "2")
    world.prints[FILE] = 2
    await world.time.advance(3 * FOLLOW_S)
    assert world.current(FILE) == "2"


async def test_refreshing(world: World) -> None:
    world.put(APP, "1", "v1")
    await world.keeper.open([APP])
    await world.time.advance(10)
    world.put(APP, "2", "v2")
    assert await world.keeper.refresh(APP)
    assert (world.current(APP), world.changed) == ("2", [APP])
    assert world.fetched_at(APP) == [0, 10]
    assert not await world.keeper.refresh("env:NONE")


async def test_many_ask_at_once_and_one_reads(world: World) -> None:
    world.put(APP, "1", "v1")
    await world.keeper.open([APP])
    await world.time.advance(10)
    world.put(APP, "2", "v2")
    assert await asyncio.gather(*(world.keeper.refresh(APP) for _ in range(100))) == [True] * 100
    assert world.fetched_at(APP) == [0, 10]


async def test_who_asks_soon_after_waits(world: World) -> None:
    """What was read before the call may be old by now."""
    world.put(APP, "1", "v1")
    await world.keeper.open([APP])
    await world.time.advance(1)
    world.put(APP, "2", "v2")
    first = asyncio.ensure_future(world.keeper.refresh(APP))
    await world.time.advance(1)
    second = asyncio.ensure_future(world.keeper.refresh(APP))
    await world.time.settle()
    assert not first.done()
    await world.time.advance(MIN_INTERVAL_S)
    assert await first
    assert await second
    assert world.fetched_at(APP) == [0, 5]
    assert not await asyncio.wait_for(_refreshed(world, APP), None)
    assert world.fetched_at(APP) == [0, 5, 10]


async def _refreshed(world: World, source: str) -> bool:
    asking = asyncio.ensure_future(world.keeper.refresh(source))
    await world.time.advance(MIN_INTERVAL_S)
    return await asking


async def test_what_is_being_read_is_waited_for_but_not_relied_upon(world: World) -> None:
    world.put(APP, "1", "v1")
    await world.keeper.open([APP])
    world.may_answer.clear()
    await world.time.advance(30)  # it is being read
    world.put(APP, "2", "v2")
    asking = asyncio.ensure_future(world.keeper.refresh(APP))
    await world.time.settle()
    world.may_answer.set()
    await world.time.advance(MIN_INTERVAL_S)
    assert await asking
    assert world.fetched_at(APP) == [0, 30, 35]


async def test_a_change_that_was_being_read_is_news(world: World) -> None:
    world.put(APP, "1", "v1")
    await world.keeper.open([APP])
    world.put(APP, "2", "v2")
    world.may_answer.clear()
    await world.time.advance(30)
    asking = asyncio.ensure_future(world.keeper.refresh(APP))
    await world.time.settle()
    world.may_answer.set()
    assert await asking
    assert world.fetched_at(APP) == [0, 30]


async def test_a_refresh_of_what_fails(world: World) -> None:
    """Not for longer than a client would wait."""
    world.put(APP, "1", "v1")
    await world.keeper.open([APP])
    world.fail(APP)
    await world.time.advance(31)
    world.put(APP, "2", "v2")
    asking = asyncio.ensure_future(world.keeper.refresh(APP))
    await world.time.advance(4)
    assert await asking
    world.fail(APP)
    await world.time.advance(200)
    asked_at_s = world.fetched_at(APP)[-1]
    assert not await world.keeper.refresh(APP)
    assert world.fetched_at(APP)[-1] == asked_at_s


async def test_a_caller_that_gives_up(world: World) -> None:
    world.put(APP, "1", "v1")
    await world.keeper.open([APP])
    world.put(APP, "2", "v2")
    first, second = (asyncio.ensure_future(world.keeper.refresh(APP)) for _ in range(2))
    await world.time.settle()
    first.cancel()
    await world.time.advance(MIN_INTERVAL_S)
    assert first.cancelled()
    assert await second


async def test_a_source_that_is_dropped_while_it_is_refreshed(world: World) -> None:
    world.put(APP, "1", "v1")
    await world.keeper.open([APP])
    asking = asyncio.ensure_future(world.keeper.refresh(APP))
    await world.time.settle()
    await world.keeper.open([])
    assert not await asking


async def test_a_file_is_refreshed_at_once(world: World) -> None:
    world.put(FILE, "1")
    await world.keeper.open([FILE])
    await world.time.advance(0.6)
    world.put(FILE, "2")
    assert await world.keeper.refresh(FILE)


async def test_opening_afresh(world: World) -> None:
    world.put(APP, "1", "v1")
    world.put(FILE, "1")
    await world.keeper.open([APP, FILE])
    world.put(APP, "2", "v2")
    world.put(FILE, "2")
    await world.keeper.open([APP, FILE])
    assert (world.current(APP), world.current(FILE)) == ("1", "1")
    await world.keeper.open([APP, FILE], fresh=[APP, FILE])
    assert (world.current(APP), world.current(FILE)) == ("2", "2")
    assert sorted(world.changed) == [APP, FILE]


async def test_opening_afresh_what_fails(world: World) -> None:
    world.put(APP, "1", "v1")
    world.put(FILE, "1")
    await world.keeper.open([APP, FILE])
    world.fail(APP)
    await world.keeper.open([APP, FILE], fresh=[APP, FILE])
    assert world.current(APP) == "1"
    world.fail(FILE, "is not there", transient=False)
    with pytest.raises(SecretError) as caught:
        await world.keeper.open([APP, FILE], fresh=[APP, FILE])
    assert caught.value.problems == (f"{FILE}: is not there",)
    assert world.current(FILE) == "1"


async def test_thousands(world: World) -> None:
    sources = [f"{ARN}s{number}" for number in range(2000)]
    for source in sources:
        world.put(source, "1", "v1")
    world.may_answer.clear()
    opening = asyncio.ensure_future(world.keeper.open(sources))
    await world.time.settle()
    assert world.running == module.FETCHES_AT_ONCE
    world.may_answer.set()
    await opening
    assert world.most == module.FETCHES_AT_ONCE
    assert world.keeper.figures().keys() == set(sources)


async def test_nothing_can_be_reached_at_the_start(world: World) -> None:
    sources = [f"{ARN}s{number}" for number in range(500)]
    for source in sources:
        world.fail(source, "can't be reached")
    world.put("env:A", "1")
    with pytest.raises(SecretError) as caught:
        await world.keeper.open([*sources, "env:A"])
    tried = len([source for _, source in world.fetches if source != "env:A"])
    assert tried == module.GIVE_UP_AFTER
    assert caught.value.problems[-1] == f"{500 - tried} more secrets in AWS were not tried"
    assert world.fetched_at("env:A") == [0]


async def test_closing_while_it_is_opened() -> None:
    world = World()
    world.put(APP, "1", "v1")
    world.may_answer.clear()
    opening = asyncio.ensure_future(world.keeper.open([APP]))
    await world.time.settle()
    await world.keeper.close()
    world.may_answer.set()
    await opening
    assert world.keeper.figures() == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_closing_ends_what_is_under_way() -> None:
    world = World()
    world.put(APP, "1", "v1")
    world.put(FILE, "1")
    await world.keeper.open([APP, FILE])
    world.may_answer.clear()
    await world.time.advance(40)
    asking = asyncio.ensure_future(world.keeper.refresh(APP))
    await world.time.settle()
    await world.keeper.close()
    assert not await asking
    assert world.current(APP) == "1"
