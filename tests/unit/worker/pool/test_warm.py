"""Connections to standbys, kept for the one that is promoted."""

from typing import Any, cast

import pytest

from forebay.net.connector import ConnectError, Target
from forebay.relay import MicroPool
from forebay.worker.pool import warm as module
from forebay.worker.pool.warm import KEPT, LOOK_S, SETTLE_S, STANDBYS, Ready, Warm
from tests.unit.worker.pool.pools import World

A, B = Target("a"), Target("b")


class Connection:
    is_closed = False
    answers = True

    def __init__(self, target: Target) -> None:
        self.target = target

    def close(self) -> None:
        self.is_closed = True


class Place:
    """Keeps connections for the micro-pool "app", which a test may replace."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World()
        self.pool: MicroPool | None = self.world.pool()
        self.made: list[Connection] = []
        self.unreachable: set[Target] = set()
        self.warm = Warm(cast(Any, self.world.clock), cast(Any, self), lambda: self.pool)

        async def answers(ready: Ready) -> bool:
            return cast(Any, ready.connection).answers

        monkeypatch.setattr(module, "_answers", answers)

    async def connect_to(self, target: Target, pool: MicroPool) -> tuple[Connection, str]:
        if target in self.unreachable:
            raise ConnectError("no route", transient=True)
        self.made.append(Connection(target))
        return self.made[-1], "login"

    def open_to(self, target: Target) -> list[Connection]:
        return [each for each in self.made if each.target == target and not each.is_closed]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(monkeypatch)


def test_two_are_kept_to_each_standby(place: Place) -> None:
    place.warm.want([A, B])
    assert place.made == []
    place.world.pass_time(SETTLE_S)
    place.warm.want([A, B])
    place.world.pass_time(10 * LOOK_S)
    assert [len(place.open_to(each)) for each in (A, B)] == [KEPT, KEPT]
    assert len(place.made) == 2 * KEPT


def test_of_many_standbys_the_first_are_kept_ready(place: Place) -> None:
    place.warm.want([Target(str(number)) for number in range(100)])
    place.world.pass_time(LOOK_S)
    assert len(place.made) == STANDBYS * KEPT


def test_the_one_that_is_promoted_is_taken_from(place: Place) -> None:
    place.warm.want([A])
    place.world.pass_time(SETTLE_S)
    place.warm.want([])
    assert place.warm.take(B, place.world.pool()) is None
    assert place.warm.take(A, place.world.pool("other")) is None
    first = place.warm.take(A, place.world.pool())
    assert first is not None
    place.world.pass_time(SETTLE_S)
    assert place.open_to(A) == [cast(Any, first.connection)]
    assert place.warm.take(A, place.world.pool()) is None


def test_one_that_does_not_answer_is_replaced(place: Place) -> None:
    place.warm.want([A])
    place.world.pass_time(SETTLE_S)
    place.made[0].answers = False
    place.world.pass_time(LOOK_S)
    assert place.made[0].is_closed
    assert len(place.open_to(A)) == KEPT


def test_they_are_of_the_micro_pool_that_has_most_to_do(place: Place) -> None:
    place.pool = None
    place.warm.want([A])
    place.world.pass_time(SETTLE_S)
    assert place.made == []
    place.pool = place.world.pool()
    place.world.pass_time(LOOK_S)
    place.pool = place.world.pool("other")
    place.world.pass_time(LOOK_S)
    assert [each.is_closed for each in place.made] == [True, True, False, False]


def test_one_that_cannot_be_reached_is_tried_again(place: Place) -> None:
    place.unreachable.add(A)
    place.warm.want([A, B])
    place.world.pass_time(SETTLE_S)
    assert [len(place.open_to(each)) for each in (A, B)] == [0, KEPT]
    place.unreachable.clear()
    place.world.pass_time(LOOK_S)
    assert len(place.open_to(A)) == KEPT


def test_nothing_is_kept_at_the_end(place: Place) -> None:
    place.warm.want([A])
    place.world.pass_time(SETTLE_S)
    place.warm.close()
    place.warm.want([A, B])
    place.world.pass_time(10 * LOOK_S)
    assert place.open_to(A) == place.open_to(B) == []
