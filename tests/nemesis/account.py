"""What has become of each write: after Jepsen's sets of acknowledged, failed and unknown ones.

Pure: histories and rows come in, an account comes out. A write's outcome is what its client could
know of it:

    ok      the database has acknowledged it: it must be there, once
    fail    it was told, or it follows, that it has not happened: it must not be there
    info    nobody could say: either will do, but not twice
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

Outcome = Literal["ok", "fail", "info"]
Row = tuple[int, int, int]
"""client, seq, part."""

# Errors that one statement outside of a transaction may have, after which nobody knows whether it
# has run: the connection to the server was lost, or that server was told to end.
UNKNOWN_CLASSES = ("08", "57P")
# ... but for these: nothing was sent to any server (https://www.postgresql.org/docs/current/
# errcodes-appendix.html: 08001 cannot establish; 08000 is RDS Proxy's for a wait that was too
# long; 57P03 is said to who comes, not to who asks).
NOT_SENT = ("08000", "08001", "57P03")


@dataclass(frozen=True, slots=True)
class Op:
    """One write: a statement of its own (one part), or a transaction with as many parts.

    ``port``: of the server that has acknowledged it, 0: nobody has. ``sqlstate``: of the error it
    ended with; "EOF": the connection ended without a word. Times are time.monotonic.
    """

    client: int
    seq: int
    kind: str
    outcome: Outcome
    began_s: float
    ended_s: float
    parts: int = 1
    port: int = 0
    sqlstate: str = ""
    text: str = ""

    @property
    def rows(self) -> list[Row]:
        return [(self.client, self.seq, part) for part in range(self.parts)]


def outcome_of_statement(sqlstate: str, lost: bool) -> Outcome:
    """Of a statement outside of a transaction that ended with this error (none: ""); ``lost``: and
    the connection with it."""
    if not sqlstate:
        return "ok"
    if sqlstate in NOT_SENT:
        return "fail"
    # A session that goes on has said itself that the statement has failed.
    return "info" if lost or sqlstate.startswith(UNKNOWN_CLASSES) else "fail"


def outcome_of_commit(sqlstate: str, lost: bool, tag: str) -> Outcome:
    """Of a transaction whose COMMIT was sent."""
    if not sqlstate:
        return "ok" if tag == "COMMIT" else "fail"  # ROLLBACK: it had failed already
    return outcome_of_statement(sqlstate, lost)


@dataclass(slots=True)
class Account:
    """What was found; `is_clean` is what every failover has to leave."""

    lost: list[Row] = field(default_factory=list)
    dup: list[Row] = field(default_factory=list)
    phantom: list[Row] = field(default_factory=list)
    torn: list[Row] = field(default_factory=list)  # a transaction of which a part is there
    strange: list[Row] = field(default_factory=list)  # rows that nobody wrote
    outcomes: Counter[str] = field(default_factory=Counter)
    unknown_done: int = 0  # of those with outcome "info": how many are there
    errors: Counter[str] = field(default_factory=Counter)  # by SQLSTATE

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.dup or self.phantom or self.torn or self.strange)

    def __str__(self) -> str:
        wrong = {
            name: getattr(self, name)[:5]
            for name in ("lost", "dup", "phantom", "torn", "strange")
            if getattr(self, name)
        }
        counts = ", ".join(f"{count} {name}" for name, count in sorted(self.outcomes.items()))
        errors = ", ".join(f"{name} × {count}" for name, count in self.errors.most_common())
        return f"{wrong or 'nothing lost or done twice'}; {counts}; errors: {errors or 'none'}"


def account(ops: Iterable[Op], rows: Mapping[Row, int]) -> Account:
    """Holds a history against the rows that are there, each with how often."""
    found = Account()
    known: set[Row] = set()
    for op in ops:
        found.outcomes[op.outcome] += 1
        if op.sqlstate:
            found.errors[op.sqlstate] += 1
        there = [row for row in op.rows if rows.get(row, 0)]
        known.update(op.rows)
        if op.outcome == "ok":
            found.lost += [row for row in op.rows if row not in there]
        elif there and op.outcome == "fail":
            found.phantom += there
        elif there:
            found.unknown_done += 1
            if len(there) < op.parts:
                found.torn += there
    found.dup = [row for row, count in rows.items() if count > 1]
    found.strange = [row for row in rows if row not in known]
    return found


def longest_stall_s(ops: Sequence[Op], from_s: float, to_s: float) -> float:
    """The longest time without a write that succeeded."""
    times = sorted(op.ended_s for op in ops if op.outcome == "ok" and from_s <= op.ended_s <= to_s)
    edges = [from_s, *times, to_s]
    return max(after - before for before, after in pairwise(edges))


def first_success_s(ops: Sequence[Op], port: int, from_s: float) -> float:
    """When the first write ended that this server has acknowledged; it must have begun its answer
    after ``from_s``. Raises ValueError where there is none."""
    return min(
        op.ended_s for op in ops if op.outcome == "ok" and op.port == port and op.ended_s >= from_s
    )


def acknowledged_late(ops: Sequence[Op], old_port: int, switched_s: float) -> list[Op]:
    """Writes that the old server has acknowledged to clients after the switch."""
    return [
        op for op in ops if op.outcome == "ok" and op.port == old_port and op.ended_s > switched_s
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest rank: the smallest value that so many (0 to 1) are not above."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
