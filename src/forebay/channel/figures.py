"""What a worker has counted since it started. Plain numbers under names: what they are called
elsewhere, in which units and with which dimensions, stands in the catalogue of metrics.

Counters never fall as long as the worker lives; who reads them subtracts. Durations are kept as
histograms that can be added up: 32 buckets of 1 µs, then 16 for every doubling, so that percentiles
are exact to 3 %.

What comes in hundreds is not tracked by Python's collector (``gc=False``; there are no cycles in
it): else to describe 500 micro-pools would have it walk over all clients, and hold up traffic.
"""

from collections.abc import Iterable, Mapping

import msgspec

Number = int | float

FINE = 16
"""Buckets for every doubling."""
BUCKETS = FINE * 34
"""The last one takes everything longer, more than a day."""


def upper_bound_us(bucket: int) -> float:
    """Where a bucket ends, in microseconds; it begins where the one before ends."""
    doublings = max(0, bucket // FINE - 1)
    return (bucket - doublings * FINE + 1) * 2.0**doublings


def middle_us(bucket: int) -> float:
    """The middle of a bucket, in microseconds."""
    return (upper_bound_us(bucket - 1) + upper_bound_us(bucket)) / 2 if bucket else 0.5


class Histogram(msgspec.Struct, frozen=True, gc=False):
    """How long something took, each time. ``buckets``: how many fell into each, but for those into
    which none did."""

    count: int = 0
    sum_us: float = 0.0
    buckets: dict[int, int] = {}

    def __add__(self, other: "Histogram") -> "Histogram":
        return self._combined(other, 1)

    def __sub__(self, earlier: "Histogram") -> "Histogram":
        """What has come since ``earlier``, a state of the same histogram."""
        return self._combined(earlier, -1)

    def _combined(self, other: "Histogram", sign: int) -> "Histogram":
        buckets = dict(self.buckets)
        for bucket, count in other.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + sign * count
        return Histogram(
            self.count + sign * other.count,
            self.sum_us + sign * other.sum_us,
            {bucket: count for bucket, count in buckets.items() if count},
        )

    def percentile_us(self, fraction: float) -> float:
        """What so great a part of all (0 to 1) did not exceed, in microseconds; 0.0 of none."""
        rank = fraction * self.count
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank and seen:
                return middle_us(bucket)
        return 0.0

    def cumulative(self, bounds_us: Iterable[float]) -> list[int]:
        """How many did not exceed each of these bounds (rising). Exact where a bound is the end of
        a bucket, as powers of two are."""
        ordered = sorted(self.buckets.items())
        found, at, seen = [], 0, 0
        for bound in bounds_us:
            while at < len(ordered) and upper_bound_us(ordered[at][0]) <= bound:
                seen += ordered[at][1]
                at += 1
            found.append(seen)
        return found


def wait_percentile_us(waits: Histogram, borrows: int, fraction: float) -> float:
    """The wait that so great a part of all borrows did not exceed, in microseconds; ``waits`` are
    those that took any time."""
    at_once = max(0, borrows - waits.count)
    rank = fraction * (waits.count + at_once) - at_once
    return waits.percentile_us(rank / waits.count) if rank > 0 and waits.count else 0.0


class PoolFigures(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One micro-pool: the clients and connections of one database and user. The first ones are
    what is so now, the others have been counted since the micro-pool came to be."""

    database: str
    user: str
    clients: int = 0  # logged in
    waiting: int = 0  # of them in the queue
    waited_s: float = 0.0  # for how long the first of these has waited
    connections: int = 0  # open
    opening: int = 0
    idle: int = 0
    borrowed: int = 0  # lent to a client, or being cleaned after one
    borrows: int = 0
    transactions: int = 0
    queries: int = 0  # answered: a Query, a function call, or a batch up to its Sync
    received_bytes: int = 0  # from clients
    sent_bytes: int = 0  # to clients
    transaction_us: float = 0.0  # from its first message at the database to its end
    query_us: float = 0.0  # from a request's first message at the database to its ReadyForQuery
    wait_us: float = 0.0  # for a connection
    client_parses: int = 0  # statements with a name that clients have prepared
    server_parses: int = 0  # ... that were prepared on connections
    binds: int = 0  # ... that were bound
    replays: int = 0  # connections that changed over to other settings


class ProxyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One proxy, all its micro-pools together, those that are gone included.

    ``numbers``: see docs/operations.md. ``parts``: what can be told apart by a word from a short
    list (a reason, a method): by name, then by that word. ``histograms``: ``borrow_wait`` (of the
    clients that had to wait for a connection; all other borrows took no time), ``query`` (from a
    request's first byte here to its answer), ``database`` (the database's part of that).
    """

    target: str  # host:port
    target_role: str = "READ_WRITE"
    numbers: dict[str, Number] = {}
    parts: dict[str, dict[str, Number]] = {}
    histograms: dict[str, Histogram] = {}
    pools: list[PoolFigures] = []
    gone: list[PoolFigures] = []  # what micro-pools that are no more have counted, by database


class WorkerFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's. ``lateness``: by how much later than planned its loop did what was due."""

    started_at: float = 0.0  # Unix time, s
    lateness: Histogram = Histogram()
    proxies: dict[str, ProxyFigures] = {}


def added(figures: Iterable[Mapping[str, Number]]) -> dict[str, Number]:
    """Sums under the same names."""
    sums: dict[str, Number] = {}
    for each in figures:
        for name, value in each.items():
            sums[name] = sums.get(name, 0) + value
    return sums
