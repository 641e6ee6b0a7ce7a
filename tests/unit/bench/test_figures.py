import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import Limit, Sense, Verdict, grouped_median, paired_ratio, percentile, rotate


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)]
)
def test_percentile_is_a_nearest_rank(percent: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected


@given(st.lists(st.integers(), min_size=1), st.integers(0, 100))
def test_percentile_leaves_that_share_at_or_below(values: list[int], percent: int) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)


def test_percentile_and_median_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)
    with pytest.raises(ValueError, match="no values"):
        grouped_median([])


def test_grouped_median_looks_inside_its_bin() -> None:
    assert grouped_median([40]) == 40.5
    assert grouped_median([40, 40, 41, 41]) == 41
    assert grouped_median([40, 40, 40, 41]) == pytest.approx(40 + 2 / 3)


@given(st.lists(st.integers(0, 10_000), min_size=1))
def test_grouped_median_divides_the_values(values: list[int]) -> None:
    found = grouped_median(values)
    assert sum(value + 1 <= found for value in values) * 2 <= len(values)
    assert sum(value >= found for value in values) * 2 <= len(values)


def test_ratio_pairs_the_rounds() -> None:
    assert paired_ratio([1, 20, 3], [2, 10, 6]) == 0.5
    assert paired_ratio([1, 20], [2]) == 0.5
    assert paired_ratio([], [2]) is None
    assert paired_ratio([1], [0]) is None


def test_every_side_comes_first_in_turn() -> None:
    assert [rotate("abc", number)[0] for number in range(4)] == ["a", "b", "c", "a"]
    assert rotate([], 3) == []


@pytest.mark.parametrize(
    ("limit", "value", "verdict"),
    [
        (Limit(1.0, 0.8), 0.8, Verdict.GOAL),
        (Limit(1.0, 0.8), 1.0, Verdict.BOUND),
        (Limit(1.0, 0.8), 1.01, Verdict.MISSED),
        (Limit(1.0), 0.1, Verdict.BOUND),
        (Limit(1.0, 2.0, Sense.AT_LEAST), 2.0, Verdict.GOAL),
        (Limit(1.0, 2.0, Sense.AT_LEAST), 1.5, Verdict.BOUND),
        (Limit(1.0, 2.0, Sense.AT_LEAST), 0.9, Verdict.MISSED),
        (Limit(20.0, 24.0), 22.0, Verdict.MISSED),  # the goal is laxer in this run
        (Limit(20.0, 24.0), 19.0, Verdict.GOAL),
    ],
)
def test_verdict(limit: Limit, value: float, verdict: Verdict) -> None:
    assert limit.judge(value) is verdict
