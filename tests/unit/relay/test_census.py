"""All micro-pools together: when the manager is called, and who gets what comes free."""

from collections.abc import Iterator
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from forebay.relay import Census, Group, MicroPool, Waiter
from forebay.relay.census import OPENING_LIMIT
from tests.unit.relay.ledgers import interpreted

CENSUSES = {"compiled": (Census, MicroPool, Waiter, Group)}
_micropool, _census = interpreted("micropool"), interpreted("census")
CENSUSES["interpreted"] = (_census.Census, _micropool.MicroPool, _micropool.Waiter, _census.Group)


class World:
    """Micro-pools before one server, and what their manager was called for."""

    def __init__(self, kind: str, limit: int) -> None:
        census, self._pool, self._waiter, self._group = CENSUSES[kind]
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

    def group(self, limit: int) -> Any:
        group = self._group()
        group.limit = limit
        return group

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


class TestGroups:
    def test_who_can_get_none_stands_in_the_line_of_the_group(self, full: World) -> None:
        group = full.group(limit=2)
        owner, other = full.pool(borrowed=2), full.pool()
        for pool in (owner, other):
            pool.join(group, None)
        full.wait(other, 1.0)
        assert full.calls == [], "the manager can do nothing about it"
        assert (other.line, full.census.first, group.first) == (group, None, other)
        assert full.give_back(owner) is None
        assert full.calls == ["take_away"]
        assert (other.line, full.census.first, group.first) == (full.census, other, None)
        assert (group.size, group.in_demand) == (1, 2)

    def test_a_connection_that_becomes_idle_is_room(self, full: World) -> None:
        group = full.group(limit=1)
        owner, other = full.pool(borrowed=1), full.pool()
        for pool in (owner, other):
            pool.join(None, group)
        full.wait(other, 1.0)
        other.retry_at = 200.0
        assert full.give_back(owner) is None
        assert (group.idle, full.census.first, full.calls) == (1, other, [])
        owner.take(owner.idle[0])
        assert group.idle == 0

    def test_whose_limit_was_lowered_gives_up_what_comes_free(self, full: World) -> None:
        group = full.group(limit=3)
        owner = full.pool(1.0, 1.0, borrowed=3)
        owner.join(group, None)
        group.limit = 2
        assert group.is_over
        assert full.give_back(owner) is None
        assert full.calls == ["take_away"]
        assert full.give_back(owner) is not None

    def test_the_share_is_one_of_the_group_s(self, full: World) -> None:
        group = full.group(limit=4)
        owner, other = full.pool(borrowed=2), full.pool(borrowed=2)
        for pool in (owner, other):
            pool.join(group, None)
        full.wait(other, 3.0)
        place = full.wait(owner, 5.0)
        assert full.give_back(owner) is place, "other has its half"
        full.wait(owner, 5.0)
        other.drop(object())
        other.begin_opening()
        assert full.give_back(owner) is not None, "one is being opened for it"

    def test_those_of_no_group_pay_nothing(self, full: World) -> None:
        group = full.group(limit=1)
        limited = full.pool(borrowed=1)
        limited.join(group, None)
        for number in range(50):
            pool = full.pool()
            pool.join(group, None)
            full.wait(pool, float(number))
        assert full.census.first is None
        free = full.pool(borrowed=9)
        place = full.wait(free, 99.0)
        assert full.give_back(free) is place


@pytest.mark.parametrize("kind", CENSUSES)
@pytest.mark.parametrize("seed", range(20))
def test_each_stands_in_one_line_and_the_lines_are_in_order(kind: str, seed: int) -> None:
    """Whatever comes and goes, and joins and leaves groups."""
    random = Random(seed)
    world = World(kind, 12)
    users, databases = ([world.group(limit=2) for _ in range(3)] for _ in range(2))
    pools = [world.pool() for _ in range(9)]
    for number, pool in enumerate(pools):
        pool.join(users[number // 3], databases[number % 3])
    waiting: dict[Any, list[Any]] = {pool: [] for pool in pools}
    for now in range(400):
        pool = random.choice(pools)
        match random.randrange(6):
            case 0 | 1:
                waiting[pool].append(world.wait(pool, float(now)))
            case 2 if waiting[pool]:
                pool.leave(waiting[pool].pop(random.randrange(len(waiting[pool]))))
            case 3 if pool.borrowed:
                served = world.give_back(pool, float(now))
                if served is not None:
                    waiting[pool].remove(served)
            case 4 if (found := world.census.neediest(None, float(now))) is not None:
                if not any(
                    each.is_full(found) for each in (found.user_group, found.database_group)
                ):
                    found.begin_opening()
                    found.end_opening(True)
            case 5:
                user_group, database_group = pool.user_group, pool.database_group
                pool.join(random.choice([None, *users]), random.choice([None, *databases]))
                pool.join(user_group, database_group)
        lines = [world.census, *users, *databases]
        in_lines = {line: list(standing_in(line)) for line in lines}
        stands = [pool for found in in_lines.values() for pool in found]
        assert sorted(map(id, stands)) == sorted(id(pool) for pool in pools if waiting[pool])
        for line, found in in_lines.items():
            assert all(pool.line is line for pool in found)
            since = [pool.waits_since for pool in found]
            assert since == sorted(since)
            assert not (found and line is not world.census and line.has_room(None))
        for group in (*users, *databases):
            mine = [pool for pool in pools if group in (pool.user_group, pool.database_group)]
            assert group.size == sum(pool.size for pool in mine)
            assert group.idle == sum(len(pool.idle) for pool in mine)
            assert group.in_demand == sum(bool(pool.size or pool.waiting) for pool in mine)
            assert group.kept is None or (group.kept.waiting and group.kept.line is not group)


def standing_in(line: Any) -> Iterator[Any]:
    pool = line.first
    while pool is not None:
        yield pool
        assert pool.behind is not None or line.last is pool
        pool = pool.behind
