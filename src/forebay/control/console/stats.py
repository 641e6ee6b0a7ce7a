"""SHOW STATS and its kin: what was counted of each database, and averages as PgBouncer has them
(stats.c, calc_average)."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from forebay.channel import AdminColumn, PoolFigures, ProxyFigures
from forebay.channel.figures import Number

Row = list[str | None]

# PoolFigures' names, in the order of PgBouncer's columns, with PgBouncer's names.
COUNTERS: Final[dict[str, str]] = {
    "borrows": "server_assignment_count",
    "transactions": "xact_count",
    "queries": "query_count",
    "received_bytes": "received",
    "sent_bytes": "sent",
    "transaction_us": "xact_time",
    "query_us": "query_time",
    "wait_us": "wait_time",
    "client_parses": "client_parse_count",
    "server_parses": "server_parse_count",
    "binds": "bind_count",
}
# Durations are averages of one of these, not of one second.
_OF_EACH: Final = {
    "transaction_us": "transactions",
    "query_us": "queries",
    "wait_us": "borrows",
}
_TOTALS: Final = {"received": "bytes_received", "sent": "bytes_sent"}
_AVERAGES: Final = {"received": "recv"}

Counts = Mapping[str, Number]
"""By the names of COUNTERS."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What one proxy had counted at a moment, by database."""

    at: float  # Unix time, s
    worker_started_at: float
    databases: dict[str, dict[str, Number]] = {}


def sample_of(figures: ProxyFigures, at: float, worker_started_at: float) -> Sample:
    """Takes a sample; ``figures`` with those of micro-pools."""
    databases: dict[str, dict[str, Number]] = {}
    for pool in (*figures.pools, *figures.gone):
        counted = databases.setdefault(pool.database, dict.fromkeys(COUNTERS, 0))
        for name in COUNTERS:
            counted[name] += getattr(pool, name)
    return Sample(at=at, worker_started_at=worker_started_at, databases=databases)


def averages(now: Sample, before: Sample | None) -> dict[str, dict[str, int]]:
    """Per second, or (durations, in µs) per transaction, query and assignment, since ``before``;
    since the worker's start, if that was later."""
    if before is None or before.worker_started_at != now.worker_started_at:
        before = Sample(at=now.worker_started_at, worker_started_at=now.worker_started_at)
    elapsed_s = now.at - before.at
    return {
        name: _average(counts, before.databases.get(name, {}), elapsed_s)
        for name, counts in now.databases.items()
    }


def _average(now: Counts, before: Counts, elapsed_s: float) -> dict[str, int]:
    change = {name: now[name] - before.get(name, 0) for name in COUNTERS}
    found: dict[str, int] = {}
    for name in COUNTERS:
        of = change[_OF_EACH[name]] if name in _OF_EACH else elapsed_s
        found[name] = int(change[name] / of) if of > 0 else 0
    return found


def stats_columns() -> list[AdminColumn]:
    """Of SHOW STATS."""
    totals = [f"total_{name}" for name in COUNTERS.values()]
    means = [f"avg_{_AVERAGES.get(name, name)}" for name in COUNTERS.values()]
    return _columns(*totals, *means)


def totals_columns() -> list[AdminColumn]:
    """Of SHOW STATS_TOTALS."""
    return _columns(*(_TOTALS.get(name, name) for name in COUNTERS.values()))


def averages_columns() -> list[AdminColumn]:
    """Of SHOW STATS_AVERAGES; PgBouncer calls the last three otherwise."""
    names = [_TOTALS.get(name, name) for name in COUNTERS.values()]
    return _columns(*names[:-3], *(f"avg_{name}" for name in names[-3:]))


def _columns(*names: str) -> list[AdminColumn]:
    return [("database", "text"), *((name, "numeric") for name in names)]


def stats_rows(now: Sample, before: Sample | None) -> list[Row]:
    means = averages(now, before)
    return [
        [name, *_values(counts), *_values(means[name])]
        for name, counts in sorted(now.databases.items())
    ]


def totals_rows(now: Sample) -> list[Row]:
    return [[name, *_values(counts)] for name, counts in sorted(now.databases.items())]


def averages_rows(now: Sample, before: Sample | None) -> list[Row]:
    return [[name, *_values(counts)] for name, counts in sorted(averages(now, before).items())]


def all_rows(now: Sample, before: Sample | None) -> list[Row]:
    """Of SHOW TOTALS: all databases together."""
    whole = _together(now)
    means = averages(whole, None if before is None else _together(before))[""]
    totals = zip(_TOTAL_NAMES, _values(whole.databases[""]), strict=True)
    rows: list[Row] = [[f"total_{name}", value] for name, value in totals]
    rows += [[f"avg_{name}", each] for name, each in zip(_TOTAL_NAMES, _values(means), strict=True)]
    return rows


# SHOW TOTALS has PgBouncer's internal names.
_TOTAL_NAMES: Final = (
    *("server_assignment_count", "xact_count", "query_count", "client_bytes", "server_bytes"),
    *("xact_time", "query_time", "wait_time"),
    *("ps_client_parse_count", "ps_server_parse_count", "ps_bind_count"),
)


def _together(sample: Sample) -> Sample:
    total: dict[str, Number] = dict.fromkeys(COUNTERS, 0)
    for counts in sample.databases.values():
        for name in COUNTERS:
            total[name] += counts[name]
    return msgspec.structs.replace(sample, databases={"": total})


def _values(counts: Counts) -> Iterable[str]:
    return [str(int(counts[name])) for name in COUNTERS]


def by_database(pools: Iterable[PoolFigures]) -> dict[str, list[PoolFigures]]:
    """Micro-pools, by database."""
    found: dict[str, list[PoolFigures]] = {}
    for pool in pools:
        found.setdefault(pool.database, []).append(pool)
    return found
