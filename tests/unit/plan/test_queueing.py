"""The queue M/M/c//N, against what is known of special cases, and against the definition."""

import math

import pytest

from forebay.plan.queueing import FiniteSource, connections_needed


def by_definition(clients: int, ratio: float, connections: int) -> list[float]:
    """The shares of the states, from the balance equations as textbooks write them."""
    weights = []
    for n in range(clients + 1):
        weight = math.comb(clients, n) * ratio**n
        if n > connections:
            weight *= math.factorial(n) / (
                math.factorial(connections) * connections ** (n - connections)
            )
        weights.append(weight)
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize(
    ("clients", "hold_s", "think_s", "connections"),
    [(1, 1.0, 2.0, 1), (5, 0.05, 0.05, 2), (12, 0.01, 0.03, 4), (20, 0.02, 0.1, 1)],
)
def test_by_definition(clients: int, hold_s: float, think_s: float, connections: int) -> None:
    found = FiniteSource(clients, hold_s, think_s, connections).predict()
    shares = by_definition(clients, hold_s / think_s, connections)
    busy = sum(share * min(n, connections) for n, share in enumerate(shares))
    queue = sum(share * max(0, n - connections) for n, share in enumerate(shares))
    assert found.utilisation == pytest.approx(busy / connections)
    assert found.queue_mean == pytest.approx(queue)
    assert found.transactions_per_s == pytest.approx(busy / hold_s)
    # Everybody is somewhere: thinks, waits or holds.
    cycle_s = hold_s + think_s + found.wait_mean_s
    assert found.transactions_per_s * cycle_s == pytest.approx(clients)
    met = by_definition(clients - 1, hold_s / think_s, connections)
    assert found.waits_share == pytest.approx(sum(met[connections:]))


def test_two_clients_and_one_connection() -> None:
    # Whoever asks finds the other one holding it with probability a / (1 + a), and then waits for
    # a time that is distributed exponentially.
    queue = FiniteSource(2, 0.01, 0.03, 1)
    waits = (1 / 3) / (1 + 1 / 3)
    assert queue.exceeds(0) == pytest.approx(waits)
    assert queue.exceeds(0.02) == pytest.approx(waits * math.exp(-2))
    assert queue.wait_quantile_s(0.99) == pytest.approx(0.01 * math.log(waits / 0.01))
    assert queue.predict().wait_mean_s == pytest.approx(waits * 0.01)


def test_the_mean_is_the_area_below_what_exceeds() -> None:
    queue = FiniteSource(30, 0.02, 0.08, 5)
    step_s = 0.0005
    area = sum(queue.exceeds((n + 0.5) * step_s) for n in range(1000)) * step_s
    assert area == pytest.approx(queue.predict().wait_mean_s, rel=1e-3)


def test_nobody_waits_who_has_a_connection_of_its_own() -> None:
    for connections in (7, 8, 100):
        found = FiniteSource(7, 0.01, 0.01, connections).predict()
        assert (found.waits_share, found.wait_mean_s, found.wait_p99_s) == (0, 0, 0)
        assert found.utilisation == pytest.approx(3.5 / connections)


def test_too_many_clients_only_slow_each_other_down() -> None:
    found = FiniteSource(1000, 0.01, 0.01, 10).predict()
    assert found.utilisation == pytest.approx(1)
    assert found.transactions_per_s == pytest.approx(1000)
    assert found.wait_mean_s == pytest.approx(1.0 - 0.02)
    assert found.waits_share == pytest.approx(1)


def test_as_many_clients_as_a_node_allows() -> None:
    found = FiniteSource(100_000, 0.005, 1.0, 450).predict()
    assert found.utilisation == pytest.approx(1)
    assert found.transactions_per_s == pytest.approx(90_000)
    assert math.isfinite(found.wait_p99_s)
    assert found.wait_p99_s > found.wait_mean_s > 0.1


def test_connections_needed() -> None:
    for wait_s in (0.0, 0.01, 1.0):
        needed = connections_needed(300, 0.005, 0.095, wait_s)
        assert FiniteSource(300, 0.005, 0.095, needed).exceeds(wait_s) <= 0.01
        assert FiniteSource(300, 0.005, 0.095, needed - 1).exceeds(wait_s) > 0.01
    assert connections_needed(1, 0.005, 0.095, 0.0) == 1
    assert connections_needed(3, 10.0, 1e-6, 0.0) == 3


def test_what_makes_no_queue() -> None:
    for wrong in ((0, 1.0, 1.0, 1), (1, 0.0, 1.0, 1), (1, 1.0, 0.0, 1), (1, 1.0, 1.0, 0)):
        with pytest.raises(ValueError, match="above 0"):
            FiniteSource(*wrong)
