"""Durations, counted."""

import random

import pytest

from forebay.channel.figures import BUCKETS, upper_bound_us
from forebay.channel.figures import Histogram as Told
from forebay.relay import Histogram


def told(counted: Histogram) -> Told:
    return Told(counted.count, counted.sum_us, counted.filled())


def test_nothing_noted() -> None:
    histogram = Histogram()
    assert (histogram.count, histogram.sum_us, histogram.filled()) == (0, 0.0, {})


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_percentiles_are_right_within_their_buckets(fraction: float) -> None:
    generator = random.Random(fraction)
    histogram = Histogram()
    waits_s = sorted(generator.lognormvariate(-5, 2) for _ in range(2000))
    for wait_s in waits_s:
        histogram.note(wait_s)
    exact_us = waits_s[max(0, round(fraction * len(waits_s)) - 1)] * 1e6
    assert told(histogram).percentile_us(fraction) == pytest.approx(exact_us, rel=0.04)
    assert histogram.count == 2000
    assert histogram.sum_us == pytest.approx(sum(waits_s) * 1e6)


@pytest.mark.parametrize("bucket", [*range(70), 100, 200, 400, BUCKETS - 1])
def test_buckets_are_where_the_channel_says(bucket: int) -> None:
    low_us = upper_bound_us(bucket - 1) if bucket else 0.0
    high_us = upper_bound_us(bucket)
    histogram = Histogram()
    histogram.note((low_us + (high_us - low_us) / 1000) / 1e6)
    histogram.note((high_us - (high_us - low_us) / 1000) / 1e6)
    assert histogram.filled() == {bucket: 2}


@pytest.mark.parametrize(
    ("duration_s", "bucket"),
    [(0.0, 0), (-1.0, 0), (1e-9, 0), (1e-6, 1), (1e9, BUCKETS - 1), (float("inf"), BUCKETS - 1)],
)
def test_extremes(duration_s: float, bucket: int) -> None:
    histogram = Histogram()
    histogram.note(duration_s)
    assert histogram.filled() == {bucket: 1}
