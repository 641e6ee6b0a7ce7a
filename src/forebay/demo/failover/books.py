"""Whether the database has what its clients were told it has: once, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from forebay.demo.failover.reports import Report, write_id

# No key keeps a write from being there twice.
SCHEMA = "CREATE TABLE writes (client int NOT NULL, seq int NOT NULL)"
EMPTY = "TRUNCATE writes"
ALL_WRITES = "SELECT client, seq FROM writes"


@dataclass(frozen=True, slots=True)
class Books:
    """lost: acknowledged, and not there. twice: there more than once, whatever was said of them.
    phantoms: there, though the client was told otherwise or never asked for the commit."""

    lost: int
    twice: int
    phantoms: int


def check(report: Report, rows: Iterable[Sequence[str | None]]) -> Books:
    """Compares what clients were told with what is there (the rows of ``ALL_WRITES``)."""
    found = Counter(write_id(int(client or 0), int(seq or 0)) for client, seq in rows)
    return Books(
        lost=sum(not found[write] for write in report.acknowledged),
        twice=sum(times > 1 for times in found.values()),
        phantoms=sum(found[write] > 0 for write in report.refused),
    )
