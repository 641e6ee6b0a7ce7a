"""What the second act and its client processes tell each other: one JSON object a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

Role = Literal["idle", "web", "function"]
SEQUENCE_SPAN = 1_000_000  # a client makes fewer writes than this


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a client process shall do. ``hosts``: (host, port) of each server; where there are
    several, clients use the one that writes. ``first``: the number of the first client."""

    role: Role
    clients: int
    first: int
    hosts: list[tuple[str, int]]
    sslmode: str
    user: str
    password: str
    database: str
    seed: int

    def __repr__(self) -> str:
        return f"Order({self.role!r}, clients={self.clients}, hosts={self.hosts})"


class Report(msgspec.Struct, kw_only=True):
    """Where a client process stands.

    dropped: clients that have lost a connection at least once; ``idle_dropped``: while they had
    asked for nothing. failed: statements that brought an error, or no answer. made_anew:
    connections, behind the first of each client; ``attempts_failed``: to open one. writes: those
    that were acknowledged; ``last_write_at``, and ``written_at`` of each, are of the monotonic
    clock. waits_s: of each client that writes the longest time from when it wanted to write until
    a write of its was acknowledged, another connection and writes that failed included.

    The last report also has the writes one by one, as `write_id` numbers them. acknowledged: they
    must be there, once. refused: the client was told that they are not, or it had not yet asked for
    the commit. unknown: either may be so.
    """

    connected: int = 0
    unconnected: int = 0
    dropped: int = 0
    idle_dropped: int = 0
    failed: int = 0
    made_anew: int = 0
    attempts_failed: int = 0
    writes: int = 0
    last_write_at: float = 0.0
    is_connected: bool = False
    is_finished: bool = False
    errors: dict[str, int] = {}
    acknowledged: list[int] = []
    refused: list[int] = []
    unknown: list[int] = []
    written_at: list[float] = []
    waits_s: list[float] = []


COUNTS = (
    *("connected", "unconnected", "dropped", "idle_dropped"),
    *("failed", "made_anew", "attempts_failed", "writes"),
)
LISTS = ("acknowledged", "refused", "unknown", "written_at", "waits_s")


def total(reports: Iterable[Report]) -> Report:
    """All of them added up."""
    added = Report()
    errors: Counter[str] = Counter()
    for report in reports:
        for name in COUNTS + LISTS:
            setattr(added, name, getattr(added, name) + getattr(report, name))
        added.last_write_at = max(added.last_write_at, report.last_write_at)
        errors.update(report.errors)
    added.errors = dict(errors)
    return added


def write_id(client: int, sequence: int) -> int:
    """One number for a write."""
    return client * SEQUENCE_SPAN + sequence


def longest_gap_s(written_at: Sequence[float], since: float, until: float) -> float:
    """The longest time without a write that ended, or had not ended yet, after ``since``."""
    longest, last = 0.0, None
    for now in [*sorted(at for at in written_at if at < until), until]:
        if now >= since:
            longest = max(longest, now - (since if last is None else last))
        last = now
    return longest
