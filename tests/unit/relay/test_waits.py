"""The histogram of waits."""

import random

import pytest

from forebay.relay import WaitHistogram


def test_nothing_noted() -> None:
    histogram = WaitHistogram()
    assert histogram.percentile_us(0.5) == 0.0
    assert histogram.percentile_us(0.5, at_once=100) == 0.0


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_percentiles_are_right_within_their_buckets(fraction: float) -> None:
    generator = random.Random(fraction)
    histogram = WaitHistogram()
    waits_s = sorted(generator.lognormvariate(-5, 2) for _ in range(2000))
    for wait_s in waits_s:
        histogram.note(wait_s)
    exact_us = waits_s[max(0, round(fraction * len(waits_s)) - 1)] * 1e6
    assert histogram.percentile_us(fraction) == pytest.approx(exact_us, rel=0.04)
    assert histogram.count == 2000
    assert histogram.sum_us == pytest.approx(sum(waits_s) * 1e6)


def test_borrows_that_did_not_wait_count() -> None:
    histogram = WaitHistogram()
    for _ in range(10):
        histogram.note(1.0)
    assert histogram.percentile_us(0.5, at_once=90) == 0.0
    assert histogram.percentile_us(0.95, at_once=90) == pytest.approx(1e6, rel=0.04)


@pytest.mark.parametrize("wait_s", [0.0, 1e-9, 1e-6, 7200.0, 1e9])
def test_extremes(wait_s: float) -> None:
    histogram = WaitHistogram()
    histogram.note(wait_s)
    assert histogram.percentile_us(1.0) > 0
