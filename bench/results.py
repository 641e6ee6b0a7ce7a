"""Rows of results: what was seen on each side, how it is judged, the table and the JSON."""

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from rich.table import Table

from bench.figures import Limit, Verdict, paired_ratio
from bench.sides import Side

COLOURS = {Verdict.GOAL: "green", Verdict.BOUND: "yellow", Verdict.MISSED: "red", Verdict.NONE: ""}


@dataclass(slots=True)
class Row:
    """One line of the table: one quantity of one case, the samples of every round."""

    measure: str
    case: str
    quantity: str
    unit: str
    samples: dict[Side, list[float]] = field(default_factory=dict)
    limit: Limit | None = None
    # What the limit is for: the ratio of Forebay to PgBouncer, or Forebay's own figure.
    limit_of_ratio: bool = True
    note: str = ""

    def add(self, side: Side, value: float) -> None:
        """Take in one round's figure."""
        self.samples.setdefault(side, []).append(value)

    def value(self, side: Side) -> float | None:
        """Give the median over the rounds, if that side was measured."""
        samples = self.samples.get(side)
        return median(samples) if samples else None

    @property
    def words(self) -> str:
        """Say what the row shows, with its unit."""
        return f"{self.case}: {self.quantity}" + (f", {self.unit}" if self.unit else "")

    @property
    def ratio(self) -> float | None:
        """Give Forebay ÷ PgBouncer, the median over the rounds of each round's ratio."""
        return paired_ratio(
            self.samples.get(Side.FOREBAY, []), self.samples.get(Side.PGBOUNCER, [])
        )

    @property
    def judged(self) -> float | None:
        """Give the figure that the limit is for."""
        return self.ratio if self.limit_of_ratio else self.value(Side.FOREBAY)

    @property
    def verdict(self) -> Verdict:
        """Give the verdict, or none where there is no limit or nothing to judge."""
        if self.limit is None or self.judged is None:
            return Verdict.NONE
        return self.limit.judge(self.judged)

    def as_json(self) -> dict[str, Any]:
        """Give everything about the row for the JSON file."""
        return {
            "measure": self.measure,
            "case": self.case,
            "quantity": self.quantity,
            "unit": self.unit,
            "medians": {str(side): self.value(side) for side in self.samples},
            "samples": {str(side): values for side, values in self.samples.items()},
            "ratio": self.ratio,
            "judged": self.judged,
            "limit_of": "ratio" if self.limit_of_ratio else "value",
            "sense": self.limit.sense.value if self.limit else None,
            "bound": self.limit.bound if self.limit else None,
            "goal": self.limit.goal if self.limit else None,
            "verdict": self.verdict.value,
            "note": self.note,
        }


def figure(value: float | None) -> str:
    """Write a number with three significant digits or as many whole ones as it has."""
    if value is None:
        return "–"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def limit_words(limit: Limit | None) -> str:
    """Write a limit as ``≤ bound (goal)``."""
    if limit is None:
        return ""
    goal = "" if limit.goal is None else f" ({limit.goal:.3g})"
    return f"{limit.sense.value} {limit.bound:.3g}{goal}"


def table(rows: list[Row]) -> Table:
    """Draw the table; a verdict's colour shows with its word, never alone."""
    drawn = Table(title="Side by side (medians; ratio: Forebay ÷ PgBouncer, within rounds)")
    drawn.add_column("what", overflow="fold")
    for heading in (*map(str, Side), "ratio"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    drawn.add_column("bound (goal)", no_wrap=True)
    drawn.add_column("verdict", no_wrap=True)
    previous = None
    for row in rows:
        if row.measure != previous:
            drawn.add_section()
            drawn.add_row(f"[bold]{row.measure}[/]")
            previous = row.measure
        verdict, colour = row.verdict, COLOURS[row.verdict]
        drawn.add_row(
            row.words + (f" ({row.note})" if row.note else ""),
            *(figure(row.value(side)) for side in Side),
            figure(row.ratio),
            limit_words(row.limit) + ("" if row.limit is None or row.limit_of_ratio else " *"),
            f"[{colour}]{verdict.value}[/]" if colour else verdict.value,
        )
    drawn.caption = "* the limit is for Forebay's own figure, not for the ratio"
    return drawn
