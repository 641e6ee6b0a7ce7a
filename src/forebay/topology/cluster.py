"""Which server of a cluster writes: what is decided from what probes and traffic tell.

Nothing is awaited here, and no clock is read: time (the loop's, in seconds) is an argument. Who
drives it asks `due` whom to probe, marks each with `asked`, passes on what comes of it, and looks
at `verdict` after every call, `due` included: that a server has been silent for too long shows by
nothing but the time.

A probe is known by when it was asked: what an older one brings late never overrides a newer one.
"""

import math
from collections.abc import Sequence

from forebay.config.addresses import Address
from forebay.topology import wording
from forebay.topology.health import describe, hold_cause
from forebay.topology.reports import Failure, HintKind, Report, State, Verdict
from forebay.topology.timing import Timing
from forebay.topology.watched import Watched
from forebay.topology.writer import Answer, Past

# A probe that has not ended after so many times its time is not waited for: its end was lost.
_OVERDUE = 2.0


class Cluster:
    """The servers of one cluster, and what was decided last (``verdict``, a new object exactly when
    something has changed)."""

    def __init__(
        self, hosts: Sequence[Address], timing: Timing | None = None, now: float = 0.0
    ) -> None:
        self.timing = timing or Timing()
        self._past = Past()
        self._watched: dict[Address, Watched] = {}
        self._hosts: set[Address] = set()  # the latest, if there were any
        self._troubled_until = -math.inf
        self.verdict = Verdict("HOLD", 0, None, (), now)
        self.set_hosts(hosts, now)

    # What becomes known.

    def set_hosts(self, hosts: Sequence[Address], now: float) -> None:
        """These are the servers from now on. One that is gone is forgotten, though it stays
        ``verdict.writer`` until another one is found. If all are new, another cluster than before
        may be meant; as long as one is left, none is."""
        before = self._watched
        self._watched = {each: before.get(each) or Watched(each, now, now) for each in hosts}
        for each, watched in self._watched.items():
            watched.address = each  # equal addresses may be known by other names
        if hosts and self._hosts.isdisjoint(hosts):
            self._past.forget()
        self._hosts = set(hosts) or self._hosts
        self._judge(now)

    def answered(self, address: Address, report: Report, now: float, asked_at: float) -> None:
        """A probe was answered."""
        watched = self._watched.get(address)
        if watched is None or asked_at < watched.since:
            return
        # Even if the answer is late: what was seen once is over for all others.
        self._past.note(report)
        is_calm, told = self.verdict.state == "UP" and watched.is_well, watched.told
        if watched.ends(asked_at):
            watched.answered(report, now, self.timing.quiet_s)
            self._past.goes_on(address, report)
            # One that has ceased to tell its timeline is shown as before, and weighs less.
            tells = told is not None and told.timeline == report.timeline
            if not (is_calm and tells and watched.told is told):
                self._judge(now)
        else:
            self._judge(now)
        self._set_due(watched, now)

    def failed(self, address: Address, failure: Failure, now: float, asked_at: float) -> None:
        """A probe was not answered."""
        watched = self._watched.get(address)
        if watched is None or asked_at < watched.since:
            return
        if watched.ends(asked_at):
            watched.failed(failure, now, self.timing.quiet_s)
        self._note_silence(now)
        self._judge(now)
        self._set_due(watched, now)

    def hint(self, address: Address | None, kind: HintKind, now: float) -> None:
        """Traffic saw something of a server; None: of the one that writes. It is asked at once, and
        nothing is begun there until it has answered. A hint alone is never taken for a failover:
        pg_terminate_backend looks the same."""
        address = address or self.verdict.writer
        watched = None if address is None else self._watched.get(address)
        if watched is None:
            return
        if address != self.verdict.writer:
            self._hurry(watched, now, self.timing.trouble_s)
            return
        is_calm = self.verdict.state == "UP"
        is_taken = watched.suspect(kind, now)
        self._troubled_until = now + self.timing.after_s
        for each in self._watched.values():
            # Hints come by the thousand, probes do not.
            self._hurry(each, now, 0.0 if is_calm and is_taken else self.timing.trouble_s)
        self._judge(now)

    def expect(self, now: float) -> None:
        """A planned switchover is announced: all servers are asked at the pace of trouble."""
        self._troubled_until = now + self.timing.after_s
        for each in self._watched.values():
            self._hurry(each, now, 0.0)

    # Whom to ask.

    def due(self, now: float) -> list[Address]:
        """The servers to probe now. Call `asked` for each that is."""
        overdue_s = _OVERDUE * self.timing.timeout_s
        for each in self._watched.values():
            if each.under_way and now >= each.asked_at + overdue_s:
                text = f"nothing came of a probe within {overdue_s:g} s"
                self.failed(each.address, Failure("timeout", text), now, each.asked_at)
        if self._note_silence(now):
            self._judge(now)
        servers = self._watched.values()
        return [each.address for each in servers if not each.under_way and now >= each.due_at]

    def asked(self, address: Address, now: float) -> None:
        """A probe has begun; ``now`` is its ``asked_at``."""
        if watched := self._watched.get(address):
            watched.ask(now)

    def next_at(self, now: float) -> float:
        """When to call `due` again: at ``now`` if somebody is due already, infinite if never."""
        overdue_s = _OVERDUE * self.timing.timeout_s
        times = [
            each.asked_at + overdue_s if each.under_way else each.due_at
            for each in self._watched.values()
        ]
        writer = self._writer
        if writer is not None and writer.misses and not writer.is_down:
            times.append(writer.heard_at + self.timing.silence_s)
        return max(now, min(times, default=math.inf))

    def _set_due(self, watched: Watched, now: float) -> None:
        """A probe has ended; when is the next one?"""
        if watched.hint is not None and watched.asked_at < watched.hinted_at:
            watched.due_at = now  # it was asked before there was reason to
            return
        in_trouble = self.verdict.state != "UP" or now < self._troubled_until
        watched.due_at = watched.asked_at + self.timing.pace(in_trouble, watched.is_rejected)

    def _hurry(self, watched: Watched, now: float, apart_s: float) -> None:
        """Probes a server soon, at least so long after the last probe began."""
        if watched.is_rejected:
            apart_s = self.timing.rejected_s
        watched.due_at = min(watched.due_at, max(now, watched.asked_at + apart_s))

    # What follows.

    @property
    def _writer(self) -> Watched | None:
        last = self._past.last
        return None if last is None else self._watched.get(last.address)

    def _judge(self, now: float) -> None:
        """Decides anew, from what is known of the servers and who wrote last."""
        before = self.verdict
        servers = list(self._watched.values())
        self._past.survey(self._reports())
        epoch = before.epoch
        state, cause = self._state()
        if state == "HOLD" and self._find_writer(before.since if before.state == "HOLD" else now):
            epoch += 1
            state, cause = self._state()
        last = self._past.last
        writer = None if last is None else last.address
        if self._writer is not None:
            writer = self._writer.address
        if state == "HOLD" or writer is None:
            leaders = [address for address, _ in self._past.best(self._candidates())]
            is_gone = last is not None and last.address not in self._watched
            cause = hold_cause(servers, self._past, leaders, is_gone)
        else:
            leaders = [writer]
        is_same = (state, epoch) == (before.state, before.epoch)
        verdict = Verdict(
            state,
            epoch,
            writer,
            tuple(describe(each, self._past, leaders) for each in servers),
            before.since if is_same else now,
            cause,
        )
        if verdict == before:
            return
        self.verdict = verdict
        if state == "UP" and not is_same:
            self._troubled_until = max(self._troubled_until, now + self.timing.after_s)
        elif state != "UP" and before.state == "UP":
            for each in servers:
                self._hurry(each, now, 0.0)

    def _note_silence(self, now: float) -> bool:
        """Returns True if the writer has missed a probe, and kept silent for so long that the next
        one, which is under way, is not waited for."""
        writer = self._writer
        if writer is None or not writer.misses or writer.is_down:
            return False
        writer.is_down = now >= writer.heard_at + self.timing.silence_s
        return writer.is_down

    def _state(self) -> tuple[State, str]:
        """What the latest writer is good for, whoever else there is; and why it is not UP, or what
        is the matter though it is. Of HOLD the servers tell."""
        last, writer = self._past.last, self._writer
        if last is None or writer is None or writer.report is None or writer.is_down:
            return "HOLD", ""
        address, report, failure = writer.address, writer.report, writer.failure
        if self._past.standing(address, report) != "candidate":
            return "HOLD", ""
        if not last.goes_on_in(address, report):
            return "HOLD", ""
        if failure is not None and not writer.is_mute:
            return "SUSPECT", wording.failure_text(address, failure)
        if writer.hint is not None:
            return "SUSPECT", wording.hint_text(address, writer.hint)
        if failure is not None:
            return "UP", wording.mute_text(address, failure)
        return "UP", ""

    def _reports(self) -> list[Report]:
        """What each server has said at last, whether it still answers or not."""
        return [each.report for each in self._watched.values() if each.report is not None]

    def _candidates(self) -> list[Answer]:
        """Servers that could be the writer, by their latest word. One that does not tell its
        timeline could if all others follow: it has started anew, and nobody was promoted."""
        answers = [
            (each.address, each.report)
            for each in self._watched.values()
            if each.report is not None and each.has_answered
        ]
        found = [each for each in answers if self._past.standing(*each) == "candidate"]
        writing = [each for each in answers if not each[1].in_recovery]
        if found or len(writing) != 1 or len(answers) < len(self._watched):
            return found
        return [each for each in writing if self._past.standing(*each) == "untold"]

    def _find_writer(self, held_since: float) -> bool:
        """Takes the one server that can be the writer, if it is certain that no other is."""
        best = self._past.best(self._candidates())
        if len(best) != 1 or self._past.is_mixed(self._reports()):
            return False
        address, report = best[0]
        past = self._past
        timeline = past.timeline_of(address, report)
        is_promoted = past.is_known and past.last is not None and 0 < past.last.timeline < timeline
        # A new timeline speaks for itself. Else the others are heard first: one of them may be on
        # a higher one.
        if not is_promoted and not self._all_heard(held_since):
            return False
        past.adopt(address, report)
        return True

    def _all_heard(self, since: float) -> bool:
        """Whether every server has been asked since then, or does not answer anyway."""
        for each in self._watched.values():
            if each.failure is not None:
                continue
            if each.report is None:
                return False
            # What the former writer says is why another one is looked for.
            if each is not self._writer and each.judged_at < since:
                return False
        return True
