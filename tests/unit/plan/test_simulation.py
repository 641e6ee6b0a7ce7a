"""The simulation comes to what the formulas say, where they hold."""

import pytest

from forebay.plan.clients import Clients
from forebay.plan.queueing import FiniteSource
from forebay.plan.simulation import SEED, simulate


def clients(count: int, hold_s: float, think_s: float) -> Clients:
    return Clients(name="", processes=count, hold_s=hold_s, think_s=think_s)


# The seed is fixed, so these never change: the bounds say how near it comes.
@pytest.mark.parametrize(
    ("count", "hold_s", "think_s", "connections"),
    [(300, 0.005, 0.095, 12), (100, 0.02, 0.03, 10), (50, 0.02, 0.18, 6), (5, 0.05, 0.05, 2)],
)
def test_as_the_formula(count: int, hold_s: float, think_s: float, connections: int) -> None:
    predicted = FiniteSource(count, hold_s, think_s, connections).predict()
    found = simulate([clients(count, hold_s, think_s)], connections)
    assert found.utilisation == pytest.approx(predicted.utilisation, rel=0.02)
    assert found.transactions_per_s == pytest.approx(predicted.transactions_per_s, rel=0.02)
    assert found.waits_share == pytest.approx(predicted.waits_share, rel=0.05)
    assert found.wait_mean_s == pytest.approx(predicted.wait_mean_s, rel=0.1)
    assert found.wait_p99_s == pytest.approx(predicted.wait_p99_s, rel=0.1)


def test_the_same_seed_comes_to_the_same() -> None:
    groups = [clients(20, 0.01, 0.1), clients(5, 0.1, 0.2)]
    first, second = (simulate(groups, 3, transactions=2000) for _ in range(2))
    other = simulate(groups, 3, seed=SEED + 1, transactions=2000)
    assert first == second
    assert first != other


def test_with_enough_connections_nobody_waits() -> None:
    found = simulate([clients(4, 0.01, 0.01)], 4, transactions=1000)
    assert (found.waits_share, found.wait_mean_s, found.wait_p99_s) == (0, 0, 0)


def test_kinds_keep_their_own_times() -> None:
    # A few long transactions hold up many short ones: longer than any one kind of client would.
    groups = [clients(50, 0.002, 0.1), clients(4, 1.0, 1.0)]
    found = simulate(groups, 4)
    count, rate = 54, 50 / 0.102 + 4 / 2.0
    load = 50 * 0.002 / 0.102 + 4 * 0.5
    alike = FiniteSource(count, load / rate, (count - load) / rate, 4).predict()
    assert found.wait_mean_s > 2 * alike.wait_mean_s
