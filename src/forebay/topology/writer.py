"""The rule by which one server is the writer, and others are fenced off.

The writer is not in recovery, not read-only for everybody, and on the highest timeline that was
ever seen of its cluster: a promotion begins a new timeline, so a former writer that comes back, or
was never gone, shows by its own timeline that it is over (PostgreSQL's manual, "Timelines").
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from forebay.config.addresses import Address
from forebay.topology.reports import Report

Standing = Literal["candidate", "standby", "read_only", "fenced", "foreign", "untold"]
"""What a server that answers may be:

    candidate  the writer
    standby    in recovery
    read_only  default_transaction_read_only is on for everybody
    fenced     it takes writes, on a timeline that is over
    foreign    it is of another cluster: its system identifier is another
    untold     it takes writes and does not tell its timeline, and may be a former writer
"""

Answer: TypeAlias = tuple[Address, Report]


def _agree(one: object, other: object) -> bool:
    """Whether two facts may be the same: what is not told (0, "") agrees with everything."""
    return not one or not other or one == other


@dataclass(slots=True)
class Incarnation:
    """One life of a writer, from its start or its promotion to its end. ``tells``: its latest
    report had a timeline; ``highest``: the highest timeline that had been seen when it was found,
    its own included."""

    address: Address
    started_at: float
    timeline: int
    tells: bool
    highest: int = 0
    is_over: bool = False  # it was seen in recovery since, or its whole cluster was replaced

    def goes_on_in(self, address: Address, report: Report) -> bool:
        """Whether a server that takes writes is still this one."""
        return (
            not self.is_over
            and address == self.address
            and _agree(self.started_at, report.started_at)
            and _agree(self.timeline, report.timeline)
        )


@dataclass(slots=True)
class Past:
    """What is remembered of the cluster. ``system_id``: ours, "" where it is not told;
    ``is_known``: there was a writer, so whose cluster this is has been settled. ``timelines``: the
    highest that were seen, by system identifier: of ours alone once that is settled. ``former``:
    those of clusters that were ours. ``last``: the latest writer. ``followers``: servers that were
    seen in recovery since there is that writer, and when they had started."""

    is_known: bool = False
    system_id: str = ""
    timelines: dict[str, int] = field(default_factory=dict)
    former: dict[str, int] = field(default_factory=dict)
    last: Incarnation | None = None
    followers: dict[Address, float] = field(default_factory=dict)

    def highest(self, report: Report) -> int:
        """The highest timeline that was seen of a server's cluster; 0: none."""
        if self.is_known:
            return self.timelines.get(self.system_id, 0)
        agreeing = (
            timeline for each, timeline in self.timelines.items() if _agree(each, report.system_id)
        )
        return max(agreeing, default=self.former.get(report.system_id, 0))

    def is_mixed(self, reports: Iterable[Report]) -> bool:
        """Whether servers are of different clusters, and nothing tells which one is ours."""
        return not self.is_known and len({each.system_id for each in reports} - {""}) > 1

    def survey(self, reports: Iterable[Report]) -> None:
        """Before there is a writer: what all servers have said at last, whether they still answer
        or not."""
        if not self.is_known:
            self.timelines = {}
            for each in reports:
                if not each.in_recovery and not each.is_read_only:
                    before = self.timelines.get(each.system_id, 0)
                    former = self.former.get(each.system_id, 0)
                    self.timelines[each.system_id] = max(before, former, each.timeline)

    def is_ours(self, report: Report) -> bool:
        """Whether a report may come from a server of this cluster."""
        return not self.is_known or _agree(self.system_id, report.system_id)

    def note(self, report: Report) -> None:
        """Remembers the timeline of a server that takes writes. Timelines only grow, so this is
        true of a late answer too."""
        is_writable = not report.in_recovery and not report.is_read_only
        if self.is_known and is_writable and self.is_ours(report):
            self.timelines[self.system_id] = max(self.highest(report), report.timeline)

    def adopt(self, address: Address, report: Report) -> None:
        """A server becomes the writer."""
        if not self.is_known:
            self.timelines = {report.system_id: self.highest(report)}
            self.is_known, self.system_id = True, report.system_id
        self.last = Incarnation(
            address, report.started_at, self.timeline_of(address, report), report.timeline > 0
        )
        self.note(report)
        self.last.highest = self.highest(report)
        self.followers.clear()
        self._name(report)

    def goes_on(self, address: Address, report: Report) -> None:
        """A server has answered. What the writer did not tell before is remembered."""
        last = self.last
        if last is None or not self.is_ours(report):
            return
        if report.in_recovery:
            self.followers[address] = report.started_at
        if address != last.address:
            return
        if report.in_recovery:
            last.is_over = True
        elif last.goes_on_in(address, report):
            last.started_at = last.started_at or report.started_at
            last.timeline = last.timeline or report.timeline
            last.tells = report.timeline > 0
            self._name(report)

    def _name(self, report: Report) -> None:
        """The cluster's identifier is told for the first time."""
        if not self.system_id and report.system_id:
            before = self.timelines.pop("", 0)
            self.system_id = report.system_id
            self.timelines[report.system_id] = max(before, self.timelines.get(report.system_id, 0))

    def is_last(self, report: Report) -> bool:
        """Whether a report certainly comes from the latest writer, whatever its address."""
        last = self.last
        return (
            last is not None
            and not last.is_over
            and 0.0 < report.started_at == last.started_at
            and "" != report.system_id == self.system_id
        )

    def forget(self) -> None:
        """Every host was replaced: any cluster may be ours now."""
        if self.system_id:  # without one, the next cluster could not be told from this one
            self.former |= self.timelines
        self.is_known, self.system_id, self.timelines = False, "", {}
        if self.last is not None:
            self.last.is_over = True

    def timeline_of(self, address: Address, report: Report) -> int:
        """A server's timeline: what it says, or said in the same life; 0: unknown."""
        last = self.last
        if not report.timeline and last is not None and last.goes_on_in(address, report):
            return last.timeline
        return report.timeline

    def standing(self, address: Address, report: Report) -> Standing:
        """What a server may be, by its report."""
        if not self.is_ours(report):
            return "foreign"
        if report.in_recovery:
            return "standby"
        timeline = self.timeline_of(address, report)
        highest = self.highest(report)
        if 0 < timeline < highest:
            return "fenced"
        if report.is_read_only:
            return "read_only"
        if not timeline and highest and self.is_known and not self._is_later(address, report):
            return "untold"
        return "candidate"

    def _is_later(self, address: Address, report: Report) -> bool:
        """Whether a server that takes writes without a timeline is certainly no former writer: it
        is the latest one, and nobody was promoted since; or it was promoted itself since there is
        that one, in the life in which it had followed. (If the latest one tells its timeline, it
        should, too.)"""
        last = self.last
        if last is None or last.tells:
            return False
        if last.goes_on_in(address, report):
            return last.highest >= self.highest(report)
        return 0.0 < report.started_at == self.followers.get(address)

    def best(self, candidates: Iterable[Answer]) -> list[Answer]:
        """Those on the highest timeline, one for each server: several names may lead to one, which
        shows by its start. More than one: which of them is the writer cannot be told."""
        found: dict[object, Answer] = {}
        known = [(self.timeline_of(*each), each) for each in candidates]
        highest = max((timeline for timeline, _ in known), default=0)
        for timeline, (address, report) in known:
            if timeline < highest:
                continue
            is_told = report.system_id and report.started_at
            key: object = (report.system_id, report.started_at) if is_told else address
            if key not in found or (self.last is not None and address == self.last.address):
                found[key] = address, report
        return list(found.values())
