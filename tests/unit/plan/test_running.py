"""What two readings of figures come to."""

import pytest

from forebay.plan.running import Reading, observe


def test_what_went_on_in_between() -> None:
    before = {"app/web": Reading(clients=40, transactions=1000, transaction_us=9e6, wait_us=1e6)}
    after = {
        "app/web": Reading(clients=50, transactions=5000, transaction_us=29e6, wait_us=5e6),
        "app/job": Reading(clients=2, transactions=10, transaction_us=10e6),
    }
    found = observe(before, after, 10.0, 8)
    by_name = {each.name: each for each in found.clients}
    web, job = by_name["app/web"], by_name["app/job"]
    # 4000 transactions in 500 client-seconds, 20 s in transactions, 4 s waiting.
    assert (web.count, web.hold_s) == (50, pytest.approx(0.005))
    assert web.think_s == pytest.approx(0.125 - 0.005 - 0.001)
    assert (job.count, job.hold_s, job.think_s) == (2, pytest.approx(1.0), pytest.approx(1.0))
    assert found.transactions_per_s == pytest.approx(401)
    assert found.wait_mean_s == pytest.approx(4 / 4010)
    assert found.utilisation == pytest.approx(30 / 10 / 8)
    assert found.notes == []


def test_clients_without_transactions() -> None:
    found = observe({}, {"a/b": Reading(clients=3)}, 10.0, 5)
    (idle,) = found.clients
    assert idle.load == pytest.approx(0.0005, rel=0.01)
    assert found.notes == ["a/b: no transaction ended; less than one in 30 s"]
    assert (found.transactions_per_s, found.wait_mean_s, found.utilisation) == (0, 0, 0)


def test_pools_without_clients_count_with_their_transactions_only() -> None:
    found = observe({}, {"a/b": Reading(transactions=5, transaction_us=1e6)}, 10.0, 5)
    assert found.clients == []
    assert found.transactions_per_s == 0.5


def test_a_new_worker_counts_from_nothing() -> None:
    before = {"a/b": Reading(clients=1, transactions=900, transaction_us=9e6)}
    after = {"a/b": Reading(clients=1, transactions=10, transaction_us=1e6)}
    (client,) = observe(before, after, 10.0, 5).clients
    assert client.hold_s == pytest.approx(0.1)


def test_a_client_that_is_always_busy() -> None:
    after = {"a/b": Reading(clients=1, transactions=1, transaction_us=20e6)}
    (client,) = observe({}, after, 10.0, 5).clients
    assert client.load == pytest.approx(1.0, abs=0.001)
