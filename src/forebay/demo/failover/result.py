"""What came of the second act: ``failover`` in the object that ``forebay demo --json`` prints."""

from __future__ import annotations

import statistics

import msgspec

from forebay.demo.failover.books import Books
from forebay.demo.failover.operator import Switched
from forebay.demo.failover.reports import Report, longest_gap_s


class Part(msgspec.Struct, kw_only=True):
    """The same clients and the same failover, in one of the two ways.

    Of clients: those that lost their connection (``clients_dropped``), among them those that had
    asked for nothing (``idle_clients_dropped``). Of connections: how many were opened in place of
    others (``connections_made_anew``), and how often that failed. Of writes: acknowledged
    (``writes``), their outcome not told (``writes_unknown``), acknowledged and absent
    (``writes_lost``), there twice, refused and there all the same (``writes_phantom``).

    ``writer_away_s``: from the kill until the new writer could write; ``seconds_without_a_write``:
    the longest time in which nobody's was acknowledged. ``client_wait_s``: of each client that
    writes the longest time from when it wanted to write until a write succeeded; the median
    client's, and the worst.
    """

    unconnected: int = 0
    clients_dropped: int = 0
    idle_clients_dropped: int = 0
    statements_failed: int = 0
    connections_made_anew: int = 0
    connection_attempts_failed: int = 0
    writes: int = 0
    writes_unknown: int = 0
    writes_lost: int = 0
    writes_twice: int = 0
    writes_phantom: int = 0
    writer_away_s: float = 0.0
    seconds_without_a_write: float = 0.0
    client_wait_s_median: float = 0.0
    client_wait_s_max: float = 0.0
    states: list[str] = []  # that Forebay went through, as "HOLD 1": the state and its epoch
    errors: dict[str, int] = {}

    @classmethod
    def of(
        cls, report: Report, books: Books, switched: Switched, ended_at: float, states: list[str]
    ) -> Part:
        gap_s = longest_gap_s(report.written_at, switched.killed_at, ended_at)
        # A write that was acknowledged proves it, too, and may have come before anybody looked.
        behind = [at for at in report.written_at if at > switched.promoted_at]
        writer_at = min([switched.writer_at, *behind])
        return cls(
            unconnected=report.unconnected,
            clients_dropped=report.dropped,
            idle_clients_dropped=report.idle_dropped,
            statements_failed=report.failed,
            connections_made_anew=report.made_anew,
            connection_attempts_failed=report.attempts_failed,
            writes=report.writes,
            writes_unknown=len(report.unknown),
            writes_lost=books.lost,
            writes_twice=books.twice,
            writes_phantom=books.phantoms,
            writer_away_s=round(writer_at - switched.killed_at, 3),
            seconds_without_a_write=round(gap_s, 3),
            client_wait_s_median=round(statistics.median(report.waits_s or [0.0]), 3),
            client_wait_s_max=round(max(report.waits_s, default=0.0), 3),
            states=states,
            errors=report.errors,
        )


class Outcome(msgspec.Struct, kw_only=True):
    """Both ways side by side. Only Forebay's part is judged."""

    clients: int
    idle_clients: int
    direct: Part = msgspec.field(default_factory=Part)
    forebay: Part = msgspec.field(default_factory=Part)
    is_writing_again: bool = False  # through Forebay, behind the promotion
    worker_restarts: int = 0

    @property
    def is_good(self) -> bool:
        """Whether Forebay kept its promise: nobody idle dropped, nothing lost or done twice."""
        return not self.complaints()

    def complaints(self) -> list[str]:
        """What went wrong through Forebay, in words."""
        part = self.forebay
        counts = (
            (part.unconnected, "clients could not connect"),
            (part.idle_clients_dropped, "idle clients lost their connection"),
            (part.writes_lost, "writes were acknowledged and are lost"),
            (part.writes_twice, "writes were done twice"),
            (part.writes_phantom, "writes were refused and done all the same"),
            (self.worker_restarts, "times Forebay's worker died and was started again"),
        )
        said = [f"{count} {words}" for count, words in counts if count]
        if not self.is_writing_again:
            said.append("nobody could write after the standby had been promoted")
        return said
