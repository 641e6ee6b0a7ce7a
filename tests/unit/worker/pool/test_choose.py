"""Which reader gets clients, and who moves; properties stand in tests/properties."""

import pytest

from forebay.worker.pool.choose import (
    MOVED_AT_ONCE,
    Load,
    Move,
    Queue,
    is_near,
    least_loaded,
    rebalance,
    relief,
    weights,
)


@pytest.mark.parametrize(
    ("loads", "chosen"),
    [
        ([], None),
        ([Load(100)], 0),
        ([Load(100, 5), Load(100, 4)], 1),
        ([Load(100), Load(100)], 0),  # of equal ones the first
        ([Load(100, clients=3), Load(100, clients=2)], 1),  # all idle: the fewest clients
        ([Load(400, 10), Load(100, 4)], 0),  # four times as big
        ([Load(400, 20), Load(100, 4)], 1),
        ([Load(400, clients=7), Load(100, clients=1)], 0),
        ([Load(0, 5), Load(300, 5), Load(100, 5)], 1),  # one that is not known is an average one
        ([Load(0, 3), Load(0, 2)], 1),
        ([Load(100, is_failing=True), Load(100, 99, 99)], 1),
        ([Load(100, 5, is_failing=True), Load(100, 4, is_failing=True)], 1),
    ],
)
def test_the_next_client_goes_where_it_weighs_least(loads: list[Load], chosen: int | None) -> None:
    assert least_loaded(loads) == chosen


def test_what_is_not_known_weighs_what_the_others_do() -> None:
    assert weights([Load(0), Load(100), Load(300)]) == [200, 100, 300]
    assert weights([Load(0), Load(0)]) == [1, 1]


@pytest.mark.parametrize(
    ("lag_s", "bound_s", "was_near", "near"),
    [
        (None, None, False, True),
        (1e9, None, False, True),
        (None, 5, True, False),  # nobody knows
        (5.0, 5, True, True),
        (5.1, 5, True, False),
        (4.9, 5, False, False),  # it was further behind a moment ago
        (4.0, 5, False, True),
        (0.0, 5, False, True),
    ],
)
def test_a_lag_about_the_bound_does_not_come_and_go(
    lag_s: float | None, bound_s: float | None, was_near: bool, near: bool
) -> None:
    assert is_near(lag_s, bound_s, was_near) == near


@pytest.mark.parametrize(
    ("loads", "move"),
    [
        ([], None),
        ([Load(100, clients=9)], None),
        ([Load(100, clients=5), Load(100, clients=5)], None),
        ([Load(100, clients=6), Load(100, clients=5)], None),
        ([Load(100, clients=2), Load(100, clients=0)], Move(0, 1, 1)),
        ([Load(100, clients=1), Load(100, clients=0)], None),  # it would only be the other way
        ([Load(100, clients=0), Load(100, clients=300)], Move(1, 0, 3)),
        ([Load(100, clients=0), Load(100, clients=90_000)], Move(1, 0, MOVED_AT_ONCE)),
        ([Load(300, clients=75), Load(100, clients=25)], None),
        ([Load(100, clients=50), Load(300, clients=50)], Move(0, 1, 1)),
        ([Load(100, clients=0, is_failing=True), Load(100, clients=9)], None),
        ([Load(100, clients=103), Load(100, clients=97)], None),  # about its share
    ],
)
def test_a_reader_that_joins_gets_its_share_little_by_little(
    loads: list[Load], move: Move | None
) -> None:
    assert rebalance(loads) == move


@pytest.mark.parametrize(
    ("queues", "moves"),
    [
        ([], []),
        ([Queue(3)], []),
        ([Queue(3), Queue(idle=2)], [Move(0, 1, 2)]),
        ([Queue(3, room=3), Queue(idle=9)], []),  # connections will be opened for them there
        ([Queue(3, room=1), Queue(room=9)], [Move(0, 1, 2)]),
        ([Queue(3), Queue(2, room=3)], [Move(0, 1, 1)]),  # what is for those there is not for them
        ([Queue(3), Queue(room=9, is_failing=True)], []),
        ([Queue(3), Queue(idle=9, is_closed=True)], []),
        ([Queue(5), Queue(idle=1), Queue(idle=2)], [Move(0, 2, 2), Move(0, 1, 1)]),
        ([Queue(2, room=9, is_failing=True), Queue(room=1)], [Move(0, 1, 1), Move(0, 1, 1)]),
        ([Queue(2, is_failing=True), Queue(7), Queue(3)], [Move(0, 2, 2)]),
        ([Queue(2, is_failing=True), Queue(1, is_failing=True)], []),
        ([Queue(2), Queue(7)], []),
    ],
)
def test_who_waits_in_vain_goes_where_connections_are(
    queues: list[Queue], moves: list[Move]
) -> None:
    assert relief(queues) == moves
