"""How clients are spread over readers, whatever the readers are like."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from forebay.worker.pool.choose import Load, Queue, least_loaded, rebalance, relief, weights

COUNTS = st.integers(0, 300)
LOADS = st.lists(
    st.builds(
        Load,
        weight=st.integers(1, 5000),
        outstanding=COUNTS,
        clients=COUNTS,
        is_failing=st.booleans(),
    ),
    min_size=1,
    max_size=6,
)
QUEUES = st.lists(
    st.builds(
        Queue,
        unserved=st.integers(0, 20),
        idle=st.integers(0, 20),
        room=st.integers(0, 20),
        is_closed=st.booleans(),
        is_failing=st.booleans(),
    ),
    max_size=6,
)


@given(LOADS, st.integers(1, 200))
def test_clients_that_come_are_spread_by_weight(loads: list[Load], coming: int) -> None:
    """Nobody has more than one client beyond its share because of them."""
    empty = [replace(each, outstanding=0, clients=0, is_failing=False) for each in loads]
    for _ in range(coming):
        index = least_loaded(empty)
        assert index is not None
        empty[index] = replace(empty[index], clients=empty[index].clients + 1)
    total = sum(weights(empty))
    for each in empty:
        assert each.clients <= coming * each.weight / total + len(empty)


@given(LOADS)
def test_to_rebalance_comes_to_an_end_and_nobody_goes_back(loads: list[Load]) -> None:
    """Who gives never takes, and the other way round; nobody is moved to one that fails."""
    givers: set[int] = set()
    takers: set[int] = set()
    clients = sum(each.clients for each in loads)
    for _ in range(clients + 1):
        move = rebalance(loads)
        if move is None:
            break
        assert move.clients >= 1
        givers.add(move.giver)
        takers.add(move.taker)
        assert not loads[move.taker].is_failing
        for index, change in ((move.giver, -move.clients), (move.taker, move.clients)):
            loads[index] = replace(loads[index], clients=loads[index].clients + change)
            assert loads[index].clients >= 0
    else:
        raise AssertionError("it goes on for ever")
    assert not givers & takers
    assert sum(each.clients for each in loads) == clients


@given(QUEUES)
def test_who_moves_was_stuck_and_finds_something(queues: list[Queue]) -> None:
    moves = relief(queues)
    taken = [0] * len(queues)
    given_away = [0] * len(queues)
    for move in moves:
        assert move.clients >= 1
        assert move.giver != move.taker
        assert queues[move.giver].is_stuck
        assert not queues[move.taker].is_closed
        given_away[move.giver] += move.clients
        taken[move.taker] += move.clients
    for index, queue in enumerate(queues):
        assert given_away[index] <= queue.unserved
        useless = [
            each.clients
            for each in moves
            if each.taker == index
            and (queues[each.giver].is_closed or queues[each.giver].is_failing)
        ]
        # Beyond what it has, it gets only those for whom there is nothing where they are.
        assert taken[index] <= queue.spare + sum(useless)
