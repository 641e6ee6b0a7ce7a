"""What one sees of the second act: a line that moves, and a table at the end."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from forebay.channel.routes import Route
from forebay.demo.failover.reports import Report
from forebay.demo.failover.result import Outcome, Part

STYLES = {"UP": "cyan", "SUSPECT": "yellow", "HOLD": "bold yellow"}
QUIET_S = 0.5  # a pause between writes that is none


@dataclass(frozen=True, slots=True)
class Moment:
    """How things stand now. ``route``: where Forebay leads; None without it. ``waiting``: requests
    that it holds. ``silent_s``: seconds since the last write was acknowledged."""

    report: Report
    silent_s: float
    route: Route | None = None
    waiting: int = 0

    def line(self) -> Text:
        """Fits the 80 columns of the smallest terminal."""
        report, route = self.report, self.route
        middle = ""
        if route is not None:
            middle = f" │ {route.state:<7} epoch {route.epoch}, {self.waiting:>3} waiting"
        is_quiet = self.silent_s > QUIET_S
        last = f"no write for {self.silent_s:.1f} s" if is_quiet else f"{report.writes:>5} writes"
        return Text(
            f"  {report.connected:>3} clients, {report.dropped:>3} dropped{middle} │ {last}",
            style=STYLES["UP" if route is None else route.state],
        )


def summary(outcome: Outcome) -> Table:
    """The figures side by side: without Forebay, and with it."""
    table = Table(
        title=f"{outcome.clients} clients, the writer is killed, its standby promoted",
        title_justify="left",
    )
    table.add_column("")
    table.add_column("direct", justify="right")
    table.add_column("through Forebay", justify="right")
    for name, direct, through in zip(
        ROWS, _column(outcome.direct), _column(outcome.forebay), strict=True
    ):
        table.add_row(name, direct, through)
    return table


ROWS = (
    "idle clients dropped",
    "working clients dropped",
    "statements failed",
    "connections made anew",
    "attempts to connect that failed",
    "writes acknowledged",
    "writes lost",
    "writes done twice",
    "time without any write",
    "until a client could write, median",
    "until a client could write, worst",
)


def _column(part: Part) -> tuple[str, ...]:
    return (
        f"{part.idle_clients_dropped}",
        f"{part.clients_dropped - part.idle_clients_dropped}",
        f"{part.statements_failed}",
        f"{part.connections_made_anew}",
        f"{part.connection_attempts_failed}",
        f"{part.writes}",
        f"{part.writes_lost}",
        f"{part.writes_twice}",
        f"{part.seconds_without_a_write:.2f} s",
        f"{part.client_wait_s_median:.2f} s",
        f"{part.client_wait_s_max:.2f} s",
    )
