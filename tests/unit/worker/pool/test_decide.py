"""Who may open a connection, and who must give one up for it."""

from types import SimpleNamespace
from typing import Any

import pytest

from forebay.relay import Census, MicroPool, Waiter
from forebay.relay.census import OPENING_LIMIT
from forebay.worker.pool.decide import Step, next_step

NOW = 100.0


class World:
    """Micro-pools before one server that allows so many connections."""

    def __init__(self, limit: int) -> None:
        self.census = Census()
        self.census.limit = limit
        self.census.waiting_limit = 1000
        self.manager: Any = SimpleNamespace(wanted=lambda _: None, schedule=lambda: None)
        self.pools: list[MicroPool] = []

    def pool(
        self, *waits_since: float, opening: int = 0, borrowed: int = 0, idle: tuple[float, ...] = ()
    ) -> MicroPool:
        pool = MicroPool("app", "user", self.census, self.manager, None)  # type: ignore[arg-type]
        for _ in range(borrowed + len(idle) + opening):
            pool.begin_opening()
        for _ in range(borrowed + len(idle)):
            pool.end_opening(True)
        for since in idle:
            pool.give_back(SimpleNamespace(idle_since=since), False, since)  # type: ignore[arg-type]
        for since in waits_since:
            pool.wait(Waiter(), since)
        self.pools.append(pool)
        return pool

    def step(self) -> Step | None:
        return next_step(self.census, self.pools, NOW)


def test_nobody_waits() -> None:
    world = World(10)
    world.pool()
    assert world.step() is None


def test_open_while_there_is_room() -> None:
    world = World(10)
    pool = world.pool(1.0, borrowed=9)
    assert world.step() == Step(pool)


def test_connections_on_their_way_count() -> None:
    world = World(10)
    world.pool(1.0, 1.0, opening=2)
    assert world.step() is None
    pool = world.pool(2.0)
    assert world.step() == Step(pool)


def test_only_so_many_at_once() -> None:
    world = World(100)
    world.pool(*[1.0] * 20, opening=OPENING_LIMIT)
    assert world.step() is None


def test_before_the_limit_is_known_one_is_opened() -> None:
    world = World(-1)
    pool = world.pool(1.0, 1.0, 1.0)
    assert world.step() == Step(pool)
    pool.begin_opening()
    assert world.step() is None


def test_the_longest_idle_one_of_another_pool_makes_room() -> None:
    world = World(3)
    old = world.pool(idle=(1.0, 8.0))
    world.pool(idle=(2.0,))
    pool = world.pool(9.0)
    assert world.step() == Step(pool, (old,))


def test_nothing_can_be_done() -> None:
    world = World(3)
    world.pool(borrowed=3)
    world.pool(1.0)
    assert world.step() is None


@pytest.mark.parametrize("retry_at", [NOW + 1, NOW])
def test_who_backs_off_is_passed_over(retry_at: float) -> None:
    world = World(3)
    backing_off, other = world.pool(1.0), world.pool(2.0)
    backing_off.retry_at = retry_at
    assert world.step() == Step(other if retry_at > NOW else backing_off)
