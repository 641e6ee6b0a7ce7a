"""The figures of one front and one fault, and the table of all in the documentation."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.nemesis import faults
from tests.nemesis.account import percentile
from tests.nemesis.faults import Fault
from tests.nemesis.rig import Result

BEGIN = "<!-- written by make bench-failover -->"
END = "<!-- end of what make bench-failover writes -->"


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault, in words for the table."""

    fault: Fault
    words: str


FAULTS: dict[str, Struck] = {
    "stop": Struck(faults.fast_stop, "the writer is stopped (fast)"),
    "kill": Struck(faults.kill_postmaster, "its postmaster is killed (SIGKILL)"),
    "freeze": Struck(faults.freeze, "all of it stands still (SIGSTOP)"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What came of one fault through one front. ``unaided``: rounds after which clients got to the
    new writer by themselves."""

    front: str
    fault: str
    rounds: int
    unaided: int
    stall_s: list[float] = field(default_factory=list)
    first_success_s: list[float] = field(default_factory=list)
    writes: int = 0
    errors: int = 0
    refused: int = 0
    idle_dropped: int = 0
    hung: int = 0
    lost: int = 0
    dup: int = 0
    phantom: int = 0

    @classmethod
    def made(cls, front: str, fault: str, result: Result, unaided: int) -> "Cell":
        """Count a result."""
        account, history = result.account, result.history
        return cls(
            *(front, fault, len(result.rounds), unaided),
            stall_s=result.stall_s,
            first_success_s=result.first_success_s,
            writes=account.outcomes["ok"],
            errors=sum(account.errors.values()) - account.errors["hung"],
            refused=sum(history.refused.values()),
            idle_dropped=len(history.dropped),
            hung=history.hung,
            lost=len(account.lost),
            dup=len(account.dup),
            phantom=len(account.phantom),
        )

    @property
    def is_wrong(self) -> bool:
        """Say whether a write is not as its client was told."""
        return bool(self.lost or self.dup or self.phantom)

    @property
    def needs_help(self) -> bool:
        """Say whether clients did not always get there by themselves."""
        return self.unaided < self.rounds

    def columns(self) -> tuple[str, ...]:
        """Give the figures as the table has them."""
        return (
            self.front,
            times(self.stall_s) + (" (not by itself)" if self.needs_help else ""),
            times(self.first_success_s),
            per_round(self.errors, self.rounds),
            per_round(self.refused, self.rounds),
            per_round(self.idle_dropped, 1),
            str(self.hung),
            str(self.lost),
            str(self.dup),
        )

    def line(self) -> str:
        """Say it in a line, as soon as it is known."""
        words = (
            f"{name}: {value}" for name, value in zip(HEAD[1:], self.columns()[1:], strict=True)
        )
        return f"{self.front}, {self.fault}, {self.rounds} rounds: {', '.join(words)}"

    def as_json(self) -> dict[str, Any]:
        """Give every sample."""
        return asdict(self)


HEAD = (
    "",
    "longest stall, ms",
    "first success, ms",
    "errors",
    "logins refused",
    "idle clients dropped",
    "hanging",
    "lost",
    "twice",
)


def times(values_s: Sequence[float]) -> str:
    """Give the median and the most, in ms."""
    if not values_s:
        return "–"
    middle, most = percentile(values_s, 0.5), percentile(values_s, 1)
    return f"{1000 * middle:,.0f} / {1000 * most:,.0f}"


def per_round(count: int, rounds: int) -> str:
    """Give the mean of each round."""
    value = count / max(1, rounds)
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}"


def lines(cells: Sequence[Cell]) -> list[str]:
    """Give the tables, one for each fault, in Markdown."""
    written: list[str] = []
    for struck in FAULTS.values():
        rows = [cell.columns() for cell in cells if cell.fault == struck.fault.__name__]
        if not rows:
            continue
        written += ["", f"### {struck.words[0].upper()}{struck.words[1:]}", ""]
        written += ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
        written += ["| " + " | ".join(row) + " |" for row in rows]
    return written


def document(found: dict[str, Any], cells: Sequence[Cell], machine: str) -> str:
    """Give what stands between the two marks."""
    words = (
        f"{found['clients']} clients, {found['rounds']} rounds of each fault, PostgreSQL"
        f" {found['postgresql']}, commit {found['commit']}, {found['started'][:10]};"
        f" {machine}."
    )
    notes = [f"Not tried: {note}." for note in found["notes"]]
    return "\n".join([words, *notes, *lines(cells)]) + "\n"


def write(path: Path, text: str) -> None:
    """Put it between the marks of a document. Raises ValueError if it has none."""
    before, mark, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"{path} has no {BEGIN} … {END}")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")
