"""One server as it is watched: what it said at last, whether it is missed, and when it is asked."""

import math
from dataclasses import dataclass, replace

from forebay.config.addresses import Address
from forebay.topology.reports import Failure, FailureKind, HintKind, Report

# The process is not there, or does not serve yet: no second probe will tell anything else.
_GONE: frozenset[FailureKind] = frozenset({"refused", "starting"})
# It is there, and only does not tell us what it is: the control user's trouble, not the traffic's.
_MUTE: frozenset[FailureKind] = frozenset({"auth", "too_many", "other"})
MISSES = 2
# A standby's lag differs in every report; to tell of less than this would be noise.
LAG_STEP_S = 0.1


@dataclass(slots=True)
class Watched:
    """What is known of a server. Times are the loop's clock, s."""

    address: Address
    since: float  # it is among the hosts since
    due_at: float
    report: Report | None = None  # the latest, which need not be the latest word
    told: Report | None = None  # ... as verdicts show it
    failure: Failure | None = None  # the latest word, if it was none
    misses: int = 0  # in a row
    is_down: bool = False
    asked_at: float = -math.inf
    under_way: bool = False
    judged_at: float = -math.inf  # when the latest word was asked for
    heard_at: float = -math.inf
    hint: HintKind | None = None  # what speaks against it and no probe has refuted yet
    hinted_at: float = -math.inf
    quiet_until: float = -math.inf

    @property
    def has_answered(self) -> bool:
        """Whether its latest word is a report."""
        return self.report is not None and self.failure is None

    @property
    def is_well(self) -> bool:
        """Nothing is held against it: another answer like the latest brings nothing new."""
        return self.has_answered and self.hint is None

    @property
    def is_mute(self) -> bool:
        """It is there, and does not tell what it is."""
        return self.failure is not None and self.failure.kind in _MUTE

    @property
    def is_rejected(self) -> bool:
        return self.failure is not None and self.failure.kind == "auth"

    def ask(self, now: float) -> None:
        """A probe begins."""
        self.asked_at, self.under_way = now, True

    def ends(self, asked_at: float) -> bool:
        """A probe has ended. Returns False if what it brought is older than what is known."""
        if asked_at >= self.asked_at:
            self.under_way = False
        if asked_at < max(self.since, self.judged_at):
            return False
        self.judged_at = asked_at
        return True

    def answered(self, report: Report, now: float, quiet_s: float) -> None:
        """The latest word is a report. A timeline that a server told stays its own for its life,
        also when it does not tell it any more."""
        known = self.report
        if known is not None and not report.timeline and _is_same_life(known, report):
            report = replace(report, timeline=known.timeline)
        self.report, self.failure, self.misses, self.is_down = report, None, 0, False
        self.heard_at = now
        if self.told is None or not _looks_like(self.told, report):
            self.told = report
        self._refute(now, quiet_s)

    def failed(self, failure: Failure, now: float, quiet_s: float) -> None:
        """The latest word is that there was none."""
        self.failure = failure
        if failure.kind in _MUTE:
            self.misses, self.heard_at = 0, now
            self._refute(now, quiet_s)
            return
        self.misses += 1
        self.is_down = self.is_down or self.misses >= MISSES or failure.kind in _GONE

    def _refute(self, now: float, quiet_s: float) -> None:
        if self.hint is not None and self.judged_at >= self.hinted_at:
            self.hint, self.quiet_until = None, now + quiet_s

    def suspect(self, kind: HintKind, now: float) -> bool:
        """Traffic saw something. Returns False if that is taken for no reason to hold back."""
        if now < self.quiet_until:
            return False
        self.hint, self.hinted_at = kind, now
        return True


def _is_same_life(one: Report, other: Report) -> bool:
    writes = not one.in_recovery and not other.in_recovery
    return writes and 0.0 < one.started_at == other.started_at


def _looks_like(told: Report, report: Report) -> bool:
    if told.lag_s is None or report.lag_s is None:
        return told == report
    near = abs(told.lag_s - report.lag_s) < LAG_STEP_S
    return near and told == replace(report, lag_s=told.lag_s)
