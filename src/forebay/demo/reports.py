"""What the demo and its client processes tell each other: one JSON object a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a client process shall do; its first line of input."""

    group: str
    clients: int
    host: str
    port: int
    sslmode: str
    user: str
    password: str
    database: str
    work_s: float
    seed: int

    def __repr__(self) -> str:
        return f"Order({self.group!r}, clients={self.clients}, port={self.port})"


class Report(msgspec.Struct, kw_only=True):
    """Where a client process stands; the last one has ``finished`` and all latencies.

    refused: connections that the server had no room for (SQLSTATE 53300). unconnected: those that
    failed for another reason. latencies_us: what each transaction waited for its answers, without
    the client's own thinking. lag_us: how late the process's own timers were, so that one can tell
    whether it could keep up.
    """

    connected: int = 0
    refused: int = 0
    unconnected: int = 0
    transactions: int = 0
    failed: int = 0
    is_connected: bool = False  # every client has its connection, or knows that it gets none
    is_finished: bool = False
    errors: dict[str, int] = {}
    latencies_us: list[int] = []
    lag_us: list[int] = []


def total(reports: Iterable[Report]) -> Report:
    """All of them added up."""
    added = Report()
    errors: Counter[str] = Counter()
    for report in reports:
        for name in ("connected", "refused", "unconnected", "transactions", "failed"):
            setattr(added, name, getattr(added, name) + getattr(report, name))
        added.latencies_us += report.latencies_us
        added.lag_us += report.lag_us
        errors.update(report.errors)
    added.errors = dict(errors)
    return added


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies (nearest rank); 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])
