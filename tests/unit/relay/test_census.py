"""All micro-pools together: when the manager is called, and who gets what comes free."""

from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from forebay.relay import Census, MicroPool, Waiter
from forebay.relay.census import OPENING_LIMIT
from tests.unit.relay.ledgers import interpreted

CENSUSES = {"compiled": (Census, MicroPool, Waiter)}
_micropool = interpreted("micropool")
CENSUSES["interpreted"] = (interpreted("census").Census, _micropool.MicroPool, _micropool.Waiter)


class World:
    """Micro-pools before one server, and what their manager was called for."""

    def __init__(self, kind: str, limit: int) -> None:
        census, self._pool, self._waiter = CENSUSES[kind]
        self.census: Any = census()
        self.census.limit = limit
        self.census.waiting_limit = 1000
        self.calls: list[str] = []
        self.manager = SimpleNamespace(
            wanted=lambda _: self.calls.append("wanted"),
            schedule=lambda: self.calls.append("schedule"),
            take_away=lambda _: self.calls.append("take_away"),
        )

    def pool(self, *waits_since: float, borrowed: int = 0) -> Any:
        pool = self._pool("app", "user", self.census, self.manager, None)
        for _ in range(borrowed):
            pool.begin_opening()
            pool.end_opening(True)
        pool.keeps_next = False
        for since in waits_since:
            self.wait(pool, since)
        return pool

    def wait(self, pool: Any, since: float) -> Any:
        waiter = self._waiter()
        pool.wait(waiter, since)
        return waiter

    def give_back(self, pool: Any, now: float = 100.0) -> Any:
        self.calls.clear()
        return pool.give_back(SimpleNamespace(idle_since=now), False, now)


@pytest.fixture(params=CENSUSES)
def full(request: pytest.FixtureRequest) -> World:
    """Ten connections are allowed."""
    return World(request.param, 10)


class TestWaiting:
    def test_is_nothing_to_decide_while_all_connections_are_in_use(self, full: World) -> None:
        pools = full.pool(borrowed=6), full.pool(borrowed=4)
        for pool in pools * 50:
            full.wait(pool, 1.0)
        assert full.calls == []
        for pool in pools * 50:
            assert full.give_back(pool) is not None
            assert full.calls == []

    def test_may_open_a_connection(self, full: World) -> None:
        full.pool(1.0, borrowed=9)
        assert full.calls == ["wanted"]

    def test_may_make_room(self, full: World) -> None:
        idle = full.pool(borrowed=10)
        full.give_back(idle)
        full.pool(1.0)
        assert full.calls == ["wanted"]

    def test_goes_on_while_enough_are_being_opened(self, full: World) -> None:
        pool = full.pool(borrowed=2)
        pool.begin_opening()
        full.wait(pool, 1.0)
        assert full.calls == []
        full.wait(pool, 2.0)
        assert full.calls == ["wanted"]

    def test_may_be_too_many(self, full: World) -> None:
        pool = full.pool(borrowed=10)
        full.census.waiting_limit = 2
        for _ in range(2):
            full.wait(pool, 1.0)
        assert full.calls == []
        full.wait(pool, 1.0)
        assert full.calls == ["wanted"]

    def test_may_be_in_vain(self, full: World) -> None:
        full.pool(borrowed=10)
        pool = full.pool()
        pool.retry_at = 50.0
        full.wait(pool, 1.0)
        assert full.calls == ["wanted"]


class TestWhoGetsIt:
    def test_the_own_queue(self, full: World) -> None:
        owner = full.pool(1.0, borrowed=10)
        full.pool(2.0)
        assert full.give_back(owner) is not None
        assert full.calls == []

    def test_another_that_needs_it_when_the_owner_does_not(self, full: World) -> None:
        owner, other = full.pool(borrowed=1), full.pool(5.0, borrowed=9)
        assert full.census.claimant(owner, 10.0) is other
        assert full.give_back(owner) is None
        assert full.calls == ["take_away"]
        assert full.census.size == 9

    def test_the_longer_wait(self, full: World) -> None:
        owner = full.pool(borrowed=9)
        other = full.pool(3.0, borrowed=1)
        full.wait(owner, 5.0)
        assert full.census.claimant(owner, 10.0) is other
        assert full.give_back(owner) is None
        assert full.calls == ["take_away"]

    def test_but_not_beyond_an_equal_share(self, full: World) -> None:
        owner, other = full.pool(borrowed=5), full.pool(3.0, borrowed=5)
        full.wait(owner, 5.0)
        assert full.census.claimant(owner, 10.0) is None
        other.drop(object())
        assert full.census.claimant(owner, 10.0) is other
        full.pool(borrowed=1)  # one more to share with
        assert full.census.claimant(owner, 10.0) is None

    def test_with_less_room_than_pools_everybody_has_a_turn(self, full: World) -> None:
        full.census.limit = 1
        owner = full.pool(borrowed=1)
        pools = [full.pool(float(number)) for number in range(5)]
        full.wait(owner, 9.0)
        assert full.census.claimant(owner, 10.0) is pools[0]

    def test_nobody_who_backs_off(self, full: World) -> None:
        owner, other = full.pool(borrowed=10), full.pool(3.0)
        other.retry_at = 200.0
        assert full.give_back(owner) is None
        assert full.calls == []
        assert full.give_back(owner, now=200.0) is None
        assert full.calls == ["schedule"]  # one is idle: the manager makes room

    def test_first_the_pool_for_which_it_was_opened(self, full: World) -> None:
        other = full.pool(1.0, borrowed=9)
        owner = full.pool()
        owner.begin_opening()
        owner.end_opening(True)
        place = full.wait(owner, 2.0)
        assert full.census.claimant(owner, 10.0) is None  # beyond an equal share
        other.drop(object())
        other.drop(object())
        assert full.give_back(owner) is place

    def test_nobody_while_many_are_being_opened(self, full: World) -> None:
        owner = full.pool(borrowed=10)
        full.census.limit = 20
        opening = full.pool()
        for _ in range(OPENING_LIMIT):
            opening.begin_opening()
        full.pool(1.0)
        assert full.give_back(owner) is None
        assert full.calls == ["schedule"]

    def test_nobody_when_there_are_too_many(self, full: World) -> None:
        owner = full.pool(1.0, borrowed=10)
        full.census.limit = 9
        assert full.census.is_over
        assert full.give_back(owner) is None
        assert full.calls == ["take_away"]
        assert full.give_back(owner) is not None


@pytest.mark.parametrize("kind", CENSUSES)
@pytest.mark.parametrize("seed", range(20))
def test_the_queues_stand_in_the_order_of_their_firsts(kind: str, seed: int) -> None:
    random = Random(seed)
    world = World(kind, 5)
    census = world.census
    pools = [world.pool() for _ in range(6)]
    waiting: dict[Any, list[Any]] = {pool: [] for pool in pools}
    for now in range(300):
        pool = random.choice(pools)
        if random.random() < 0.5 or not waiting[pool]:
            waiting[pool].append(world.wait(pool, now // 2))
        else:
            # The first is served, or anybody leaves.
            at = 0 if random.random() < 0.7 else random.randrange(len(waiting[pool]))
            pool.leave(waiting[pool].pop(at))
        found, each = [], census.first
        while each is not None:
            found.append(each)
            assert each.behind is None or each.behind.before is each
            assert each.waits_since == waiting[each][0].waits_since
            each = each.behind
        assert set(found) == {pool for pool in pools if waiting[pool]}
        assert [each.waits_since for each in found] == sorted(each.waits_since for each in found)
        assert census.last is (found[-1] if found else None)
        assert census.waiting == sum(map(len, waiting.values()))
        assert census.in_demand == len(found)
