"""CloudWatch's embedded metric format (EMF): one JSON object on one line, of which CloudWatch makes
metrics. "Specification: Embedded metric format" in the Amazon CloudWatch User Guide. Pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from forebay.metrics.intervals import Sample
from forebay.metrics.metric import DimensionSet

MAX_METRICS: Final = 100
"""In one line."""
MAX_LINE_BYTES: Final = 1 << 20
"""What CloudWatch Logs takes as one event. A line of ours has some 20 kB at most: 100 names, and
values of dimensions that `ascii_only` has bounded."""

_Group = tuple[tuple[DimensionSet, ...], tuple[tuple[str, str], ...]]


def lines(samples: Iterable[Sample], namespace: str, at: float) -> Iterator[bytes]:
    """The lines of one interval, each with its line feed. ``at``: what it is called, in Unix
    time."""
    groups: dict[_Group, dict[str, Sample]] = defaultdict(dict)
    for sample in samples:
        names = dict.fromkeys(name for names in sample.sets for name in names)
        told = tuple((name, sample.dimensions[name]) for name in names)
        groups[sample.sets, told][sample.metric.name] = sample
    for (sets, told), group in groups.items():
        for some in _batched(list(group.values()), MAX_METRICS):
            yield _line(some, sets, dict(told), namespace, at)


def _line(
    samples: list[Sample],
    sets: tuple[DimensionSet, ...],
    told: dict[str, str],
    namespace: str,
    at: float,
) -> bytes:
    directive = {
        "Namespace": namespace,
        "Dimensions": sets,
        "Metrics": [{"Name": each.metric.name, "Unit": each.metric.unit} for each in samples],
    }
    line: dict[str, Any] = {
        "_aws": {"Timestamp": int(at * 1000), "CloudWatchMetrics": [directive]},
        **told,
        **{each.metric.name: each.value for each in samples},
    }
    return msgspec.json.encode(line) + b"\n"


def _batched(samples: list[Sample], size: int) -> Iterator[list[Sample]]:
    for begin in range(0, len(samples), size):
        yield samples[begin : begin + size]
