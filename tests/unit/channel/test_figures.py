"""Histograms that can be added up, and sums of figures."""

import gc
from itertools import pairwise

import pytest

from forebay.channel.figures import (
    BUCKETS,
    FINE,
    Histogram,
    PoolFigures,
    added,
    middle_us,
    upper_bound_us,
    wait_percentile_us,
)

FEW = Histogram(3, 60.0, {10: 2, 40: 1})
MORE = Histogram(2, 50.0, {10: 1, 41: 1})


def test_buckets_follow_each_other_and_double() -> None:
    bounds = [upper_bound_us(bucket) for bucket in range(BUCKETS)]
    assert bounds == sorted(set(bounds))
    assert bounds[: 2 * FINE] == list(range(1, 2 * FINE + 1))
    assert bounds[-1] == 2.0**37
    assert all(low < middle_us(n + 1) < high for n, (low, high) in enumerate(pairwise(bounds)))
    assert middle_us(0) == 0.5


def test_powers_of_two_are_ends_of_buckets() -> None:
    bounds = {upper_bound_us(bucket) for bucket in range(BUCKETS)}
    assert {2.0**n for n in range(38)} <= bounds


def test_they_can_be_added_and_taken_from_each_other() -> None:
    both = FEW + MORE
    assert both == Histogram(5, 110.0, {10: 3, 40: 1, 41: 1})
    assert both - FEW == MORE
    assert both - both == Histogram(0, 0.0, {})


@pytest.mark.parametrize(
    ("fraction", "bucket"), [(0.0, 10), (0.5, 10), (0.6, 10), (0.61, 40), (0.8, 40), (1.0, 41)]
)
def test_percentiles(fraction: float, bucket: int) -> None:
    assert (FEW + MORE).percentile_us(fraction) == middle_us(bucket)


def test_of_nothing() -> None:
    assert Histogram().percentile_us(0.99) == 0.0
    assert Histogram().cumulative([1.0, 2.0]) == [0, 0]


def test_cumulative_counts() -> None:
    found = Histogram(4, 0.0, {0: 1, 1: 1, 31: 1, 400: 1}).cumulative([1.0, 2.0, 16.0, 32.0, 1e12])
    assert found == [1, 2, 2, 3, 4]


def test_sums_of_figures() -> None:
    assert added([{"a": 1, "b": 2.5}, {"a": 3}, {}]) == {"a": 4, "b": 2.5}


@pytest.mark.parametrize(
    ("waited", "borrows", "us"), [(0, 0, 0.0), (0, 10, 0.0), (10, 10, 10.5), (10, 10_000, 0.0)]
)
def test_who_did_not_wait_counts(waited: int, borrows: int, us: float) -> None:
    waits = Histogram(waited, 10.0 * waited, {10: waited} if waited else {})
    assert wait_percentile_us(waits, borrows, 0.99) == us


def test_what_comes_in_hundreds_is_nothing_for_the_garbage_collector() -> None:
    assert not gc.is_tracked(PoolFigures(database="app", user="app_user"))
    assert not gc.is_tracked(Histogram(1, 2.0, {3: 4}))
