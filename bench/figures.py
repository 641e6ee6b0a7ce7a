"""The arithmetic of the benchmark: medians, percentiles, ratios, verdicts. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import TypeVar

T = TypeVar("T")


class Sense(StrEnum):
    """Whether a limit is kept by small figures or by large ones."""

    AT_MOST = "≤"
    AT_LEAST = "≥"


class Verdict(StrEnum):
    """Where a figure stands against its limit."""

    GOAL = "goal"
    BOUND = "bound"
    MISSED = "missed"
    NONE = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """What Forebay must keep (``bound``) and what it is meant to reach (``goal``)."""

    bound: float
    goal: float | None = None
    sense: Sense = Sense.AT_MOST

    def judge(self, value: float) -> Verdict:
        """Say which of the two ``value`` keeps; touching a limit keeps it.

        A goal that was measured in the same run may be laxer than the bound: both must be kept.
        """
        if not self._keeps(value, self.bound):
            return Verdict.MISSED
        reached = self.goal is not None and self._keeps(value, self.goal)
        return Verdict.GOAL if reached else Verdict.BOUND

    def _keeps(self, value: float, limit: float) -> bool:
        return value <= limit if self.sense is Sense.AT_MOST else value >= limit


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the smallest value that at least ``percent`` % of ``values`` do not exceed.

    Nearest rank, no interpolation: the answer is always a value that was seen. Raises ValueError
    when there are none.
    """
    if not values:
        raise ValueError("no values to take a percentile of")
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[min(max(int(rank), 1), len(ordered)) - 1]


def grouped_median(values: Sequence[int]) -> float:
    """Give the median of whole numbers that were rounded down from a finer scale.

    pgbench logs whole microseconds while two proxies may differ by half of one, so the median is
    taken inside its bin, as if the values in it were spread evenly. Raises ValueError when empty.
    """
    if not values:
        raise ValueError("no values to take a median of")
    half, below = len(values) / 2, 0
    counts = Counter(values)
    for value in sorted(counts):
        if below + counts[value] >= half:
            return value + (half - below) / counts[value]
        below += counts[value]
    raise AssertionError("the bins hold every value")


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float | None:
    """Give the median of the ratios within each round; None where there is nothing to compare.

    Runs of one round follow each other closely, so what disturbs the machine for longer than a
    round disturbs both alike and leaves the ratio alone.
    """
    ratios = [
        top / bottom for top, bottom in zip(numerators, denominators, strict=False) if bottom > 0
    ]
    return median(ratios) if ratios else None


def rotate(items: Sequence[T], by: int) -> list[T]:
    """Give ``items`` beginning with another one each round, so that none is always first."""
    if not items:
        return []
    shift = by % len(items)
    return [*items[shift:], *items[:shift]]
