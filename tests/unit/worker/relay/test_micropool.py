"""A micro-pool: whose turn it is, and what is counted."""

from types import SimpleNamespace
from typing import Any

import pytest

from forebay.worker import relay
from tests.unit.worker.relay.ledgers import interpreted

SETTINGS = object()


class Manager:
    """Notes what the pool asks."""

    def __init__(self) -> None:
        self.wanted_by: list[Any] = []
        self.waits: list[float] = []
        self.keeps = True

    def wanted(self, pool: Any) -> None:
        self.wanted_by.append(pool)

    def waited(self, pool: Any, wait_s: float) -> None:
        self.waits.append(wait_s)

    def may_keep(self, pool: Any, server: Any) -> bool:
        return self.keeps


@pytest.fixture(params=["compiled", "interpreted"])
def module(request: pytest.FixtureRequest) -> Any:
    return relay if request.param == "compiled" else interpreted("micropool")


@pytest.fixture
def pool(module: Any) -> Any:
    return module.MicroPool("app", "alice", Manager(), None)


def server(settings: object = SETTINGS) -> Any:
    return SimpleNamespace(settings=settings)


def waiting(pool: Any) -> list[Any]:
    found, place = [], pool.first_waiter
    while place is not None:
        found.append(place)
        place = place.waits_before
    assert len(found) == pool.waiting
    return found


def test_nothing_to_borrow(pool: Any) -> None:
    assert pool.borrow(SETTINGS) is None
    assert (pool.borrows, pool.borrowed) == (0, 0)


def test_the_newest_is_borrowed_first(pool: Any) -> None:
    servers = [server() for _ in range(3)]
    pool.idle.extend(servers)
    assert [pool.borrow(SETTINGS) for _ in range(3)] == servers[::-1]
    assert (pool.borrows, pool.borrowed, pool.size) == (3, 3, 3)


def test_one_with_equal_settings_is_preferred(pool: Any) -> None:
    mine, other = object(), object()
    fitting = server(mine)
    pool.idle.extend([server(other), fitting, server(other), server(other)])
    assert pool.borrow(mine) is fitting
    assert pool.borrow(mine).settings is other
    assert len(pool.idle) == 2


def test_the_search_is_bounded(pool: Any) -> None:
    mine = object()
    pool.idle.extend([server(mine), *(server() for _ in range(100))])
    newest = pool.idle[-1]
    assert pool.borrow(mine) is newest


def test_a_freed_connection_is_idle(pool: Any) -> None:
    mine = server()
    pool.idle.append(mine)
    pool.borrow(SETTINGS)
    assert pool.give_back(mine, False, 5.0) is None
    assert pool.idle == [mine]
    assert (pool.borrowed, pool.size) == (0, 1)


def test_a_freed_connection_goes_to_the_first_who_waits(pool: Any, module: Any) -> None:
    places = [module.Waiter() for _ in range(3)]
    for number, place in enumerate(places):
        pool.wait(place, float(number))
    assert waiting(pool) == places
    assert pool.manager.wanted_by == [pool] * 3
    mine = server()
    pool.borrowed = 1
    served = [pool.give_back(mine, False, 10.0) for _ in range(4)]
    assert served == [*places, None]
    assert pool.manager.waits == [10.0, 9.0, 8.0]
    assert (pool.borrowed, pool.idle) == (0, [mine])


@pytest.mark.parametrize("leaving", [0, 1, 2])
def test_anyone_may_leave_the_queue(pool: Any, module: Any, leaving: int) -> None:
    places = [module.Waiter() for _ in range(3)]
    for place in places:
        pool.wait(place, 1.0)
    left = places.pop(leaving)
    pool.leave(left)
    assert waiting(pool) == places
    pool.leave(left)  # harmless
    assert waiting(pool) == places
    assert left.waiting_in is None
    for place in places:
        pool.leave(place)
    assert waiting(pool) == []
    assert pool.last_waiter is None
    pool.wait(left, 2.0)
    assert waiting(pool) == [left]


def test_another_pool_takes_it(pool: Any, module: Any) -> None:
    pool.contended = True
    pool.manager.keeps = False
    pool.borrowed = 1
    place = module.Waiter()
    pool.wait(place, 1.0)
    assert pool.give_back(server(), False, 2.0) is None
    assert (pool.borrowed, pool.idle, pool.waiting) == (0, [], 1)


def test_a_retired_one_is_asked_about(pool: Any) -> None:
    pool.manager.keeps = False
    pool.borrowed = 1
    assert pool.give_back(server(), True, 2.0) is None
    assert pool.idle == []
