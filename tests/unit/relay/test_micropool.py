"""A micro-pool: whose turn it is, and what is counted."""

from typing import Any

import pytest

from forebay import relay
from tests.unit.relay.ledgers import interpreted

SETTINGS = object()


class Manager:
    """Notes what the pool asks."""

    def __init__(self) -> None:
        self.wanted_by: list[Any] = []
        self.taken: list[Any] = []
        self.scheduled = 0

    def wanted(self, pool: Any) -> None:
        self.wanted_by.append(pool)

    def take_away(self, server: Any) -> None:
        self.taken.append(server)

    def schedule(self) -> None:
        self.scheduled += 1


@pytest.fixture(params=["compiled", "interpreted"])
def module(request: pytest.FixtureRequest) -> Any:
    return relay if request.param == "compiled" else interpreted("micropool")


@pytest.fixture
def pool(module: Any) -> Any:
    return module.MicroPool("app", "alice", relay.Census(), Manager(), None)


def connected(pool: Any, *servers: Any, now: float = 0.0) -> None:
    """The pool has these connections, idle."""
    for each in servers:
        pool.begin_opening()
        pool.end_opening(True)
        pool.give_back(each, False, now)


class Server:
    def __init__(self, settings: object) -> None:
        self.settings = settings


def server(settings: object = SETTINGS) -> Any:
    return Server(settings)


def waiting(pool: Any) -> list[Any]:
    found, place = [], pool.first_waiter
    while place is not None:
        found.append(place)
        place = place.waits_before
    assert len(found) == pool.waiting
    return found


def test_nothing_to_borrow(pool: Any) -> None:
    assert pool.borrow(SETTINGS) is None
    assert (pool.tally.borrows, pool.borrowed) == (0, 0)


def test_the_newest_is_borrowed_first(pool: Any) -> None:
    servers = [server() for _ in range(3)]
    connected(pool, *servers)
    assert [pool.borrow(SETTINGS) for _ in range(3)] == servers[::-1]
    assert (pool.tally.borrows, pool.borrowed, pool.size) == (3, 3, 3)


def test_one_with_equal_settings_is_preferred(pool: Any) -> None:
    mine, other = object(), object()
    fitting = server(mine)
    connected(pool, server(other), fitting, server(other), server(other))
    assert pool.borrow(mine) is fitting
    assert pool.borrow(mine).settings is other
    assert len(pool.idle) == 2


def test_the_search_is_bounded(pool: Any) -> None:
    mine = object()
    connected(pool, server(mine), *(server() for _ in range(100)))
    newest = pool.idle[-1]
    assert pool.borrow(mine) is newest


def test_a_freed_connection_is_idle(pool: Any) -> None:
    mine = server()
    connected(pool, mine)
    pool.borrow(SETTINGS)
    assert (pool.borrowed, pool.census.idle) == (1, 0)
    assert pool.give_back(mine, False, 5.0) is None
    assert pool.idle == [mine]
    assert (pool.borrowed, pool.size, pool.census.idle) == (0, 1, 1)


def test_a_freed_connection_goes_to_the_first_who_waits(pool: Any, module: Any) -> None:
    mine = server()
    connected(pool, mine)
    pool.borrow(SETTINGS)
    places = [module.Waiter() for _ in range(3)]
    for number, place in enumerate(places):
        pool.wait(place, float(number))
    assert waiting(pool) == places
    served = [pool.give_back(mine, False, 10.0) for _ in range(4)]
    assert served == [*places, None]
    assert (pool.census.waits.count, pool.census.waits.sum_us) == (3, 27e6)
    assert (pool.borrowed, pool.idle) == (0, [mine])
    assert (pool.manager.scheduled, pool.manager.taken) == (0, [])


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


def test_a_retired_one_is_taken_away(pool: Any, module: Any) -> None:
    mine = server()
    connected(pool, mine)
    pool.borrow(SETTINGS)
    place = module.Waiter()
    pool.wait(place, 1.0)
    assert pool.give_back(mine, True, 2.0) is None
    assert pool.manager.taken == [mine]
    assert (pool.borrowed, pool.idle, pool.size, pool.waiting) == (0, [], 0, 1)
    assert (pool.census.size, pool.census.waiting, pool.census.in_demand) == (0, 1, 1)


def test_an_idle_one_may_be_lost(pool: Any) -> None:
    first, second = server(), server()
    connected(pool, first, second)
    pool.take(first)
    pool.drop(first)
    assert (pool.idle, pool.borrowed, pool.size, pool.census.idle) == ([second], 0, 1, 1)
    pool.drop(second)
    assert (pool.idle, pool.size, pool.census.idle, pool.census.in_demand) == ([], 0, 0, 0)


@pytest.mark.parametrize("since", [0.5, 1.0, 1.5, 3.5])
def test_who_comes_from_elsewhere_takes_its_place_by_time(
    pool: Any, module: Any, since: float
) -> None:
    """Behind those who have waited as long, before those who came later."""
    places = {number: module.Waiter() for number in (1.0, 2.0, 3.0)}
    for number, place in places.items():
        pool.wait(place, number)
    moved = module.Waiter()
    pool.take_place(moved, since, 9.0)
    behind = sum(number <= since for number in places)
    expected = [*places.values()]
    expected.insert(behind, moved)
    assert waiting(pool) == expected
    assert (moved.waits_since, moved.waiting_in) == (since, pool)
    assert pool.waits_since == min(since, 1.0)
    for place in expected:
        assert pool.next_waiter() is place
    assert (pool.first_waiter, pool.last_waiter, pool.waiting) == (None, None, 0)


def test_who_comes_from_elsewhere_may_bring_its_pool_forward(module: Any) -> None:
    """Which of several micro-pools is served next follows who has waited longest."""
    census, manager = relay.Census(), Manager()
    pools = [module.MicroPool("app", name, census, manager, None) for name in "abc"]
    for number, each in enumerate(pools):
        each.wait(module.Waiter(), 10.0 + number)
    pools[2].take_place(module.Waiter(), 10.5, 20.0)
    assert [pools[0].behind, pools[2].behind, pools[1].behind] == [pools[2], pools[1], None]
    pools[1].take_place(module.Waiter(), 1.0, 20.0)
    assert census.first is pools[1]
    assert pools[1].waits_since == 1.0
    empty = module.MicroPool("app", "d", census, manager, None)
    empty.take_place(module.Waiter(), 5.0, 20.0)
    assert pools[1].behind is empty
    assert census.waiting == 6


def test_each_who_waits_is_told_of_where_others_could_help(pool: Any, module: Any) -> None:
    pool.census.waiting_limit = 100
    pool.census.limit = 1
    mine = server()
    connected(pool, mine)
    pool.borrow(SETTINGS)
    pool.wait(module.Waiter(), 1.0)
    assert pool.manager.wanted_by == []
    pool.census.has_others = True
    pool.wait(module.Waiter(), 2.0)
    pool.census.on_hold = True
    pool.wait(module.Waiter(), 3.0)
    assert pool.manager.wanted_by == [pool, pool]
