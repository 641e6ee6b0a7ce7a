"""What one sees of the tour: a line that moves, and a table at the end."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from forebay.demo.reports import Report
from forebay.demo.result import Result

RATE_SPAN_S = 1.0


@dataclass(frozen=True, slots=True)
class Moment:
    """How things stand now."""

    clients: int
    refused: int
    transactions: int
    database_connections: int
    waiting: int

    @classmethod
    def of(cls, report: Report, database_connections: int, waiting: int) -> Moment:
        return cls(
            report.connected, report.refused, report.transactions, database_connections, waiting
        )


class View:
    """Shows nothing; the base of the one that does."""

    def act(self, title: str, story: str) -> None:
        """A new act begins; ``story``: what is to be seen in it, in a sentence or two."""

    def stage(self, title: str) -> None:
        """A new part of the act begins."""

    def show(self, line: Text) -> None:
        """How things stand in it; see `Meter.line`."""

    def close(self) -> None:
        """The tour is over: leaves the terminal as it was."""


class ConsoleView(View):
    """On a terminal one line that moves for each stage, elsewhere one line at its end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._last: Text | None = None

    def act(self, title: str, story: str) -> None:
        self.close()
        self._console.print()
        self._console.rule(title, align="left", style="bold", characters="━")
        self._console.print(Text(story))

    def stage(self, title: str) -> None:
        self.close()
        self._console.print(Text(title, style="bold"))
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()

    def show(self, line: Text) -> None:
        self._last = line
        if self._live is not None:
            self._live.update(self._last, refresh=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._last is not None:
            self._console.print(self._last)
        self._live, self._last = None, None


class Meter:
    """Puts the moments of one stage into words."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def line(self, moment: Moment) -> Text:
        # Fits the 80 columns of the smallest terminal.
        return Text(
            f"  {moment.clients:>3} clients, {moment.refused:>3} refused"
            f" │ {moment.database_connections:>2} connections, {moment.waiting:>3} waiting"
            f" │ {moment.transactions:>5} done, {self._rate(moment):>4.0f}/s",
            style="cyan",
        )

    def _rate(self, moment: Moment) -> float:
        """Transactions a second over the last second."""
        now_s = time.monotonic()
        self._seen.append((now_s, moment.transactions))
        while len(self._seen) > 2 and now_s - self._seen[0][0] > RATE_SPAN_S:
            del self._seen[0]
        then_s, before = self._seen[0]
        span_s = now_s - then_s
        return (moment.transactions - before) / span_s if span_s > RATE_SPAN_S / 10 else 0.0


def summary(result: Result) -> Table:
    """The figures side by side: without Forebay, and with it."""
    limit = result.database_connection_limit
    table = Table(
        title=f"{result.clients} clients, a database that allows {limit} connections",
        title_justify="left",
    )
    table.add_column("")
    table.add_column("direct", justify="right")
    table.add_column("through Forebay", justify="right")
    # Forebay's clients are encrypted; if the database's are not, the difference has that in it.
    encryption = "" if result.database_tls else ", TLS included"
    connected = result.clients - result.refused - result.unconnected
    rows: list[tuple[str, str, str]] = [
        ("clients connected", f"{result.direct_connected}", f"{connected}"),
        ("clients refused", f"{result.direct_refused}", f"{result.refused}"),
        (
            "database connections, at most",
            "",
            f"{result.database_connections_peak} (limit {result.pool_connection_limit})",
        ),
        ("transactions", f"{result.direct_transactions}", f"{result.transactions}"),
        ("transactions failed", "", f"{result.failed_transactions}"),
        ("wait for a connection, median", "", _ms(result.wait_ms_p50)),
        ("wait for a connection, p99", "", _ms(result.wait_ms_p99)),
        ("latency of a transaction, median", "", _ms(result.latency_ms_p50)),
        ("latency of a transaction, p99", "", _ms(result.latency_ms_p99)),
        (
            "latency of a statement, median",
            f"{result.direct_latency_us_p50:.0f} µs",
            f"{result.added_latency_us_p50:+.0f} µs{encryption}",
        ),
    ]
    for row in rows:
        table.add_row(*row)
    return table


def _ms(value: float) -> str:
    return f"{value:.1f} ms"
