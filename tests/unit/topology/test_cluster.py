"""Which server writes, by what is told of the servers."""

import math
from dataclasses import replace

import pytest

from forebay.topology.cluster import Cluster
from forebay.topology.reports import Failure, FailureKind, HintKind, Report
from tests.unit.topology.drive import (
    PRIMARY,
    PROMOTED,
    SILENT,
    STANDBY,
    STEADY,
    A,
    B,
    C,
    D,
    Drive,
    pair,
)

GONE: list[FailureKind] = ["refused", "starting"]
MISSED: list[FailureKind] = ["timeout", "lost", "protocol"]
MUTE: list[FailureKind] = ["auth", "too_many", "other"]
HINTS: list[HintKind] = [
    *("lost", "terminated", "crashed", "starting", "refused", "silent", "read_only"),
]


class TestFirstWriter:
    def test_nobody_is_known_at_first(self) -> None:
        cluster = Cluster([A, B], STEADY, 7.0)
        verdict = cluster.verdict
        assert (verdict.state, verdict.epoch, verdict.writer) == ("HOLD", 0, None)
        assert verdict.since == 7.0
        assert [each.health for each in verdict.servers] == ["REGISTERING"] * 2
        assert "a:5432 has not answered yet." in verdict.cause
        assert cluster.due(7.0) == [A, B]

    def test_everybody_is_heard_before_the_first_is_chosen(self) -> None:
        drive = Drive({A: PRIMARY, B: PROMOTED})
        drive.probe(A)
        assert drive.summary == ("HOLD", 0, None)
        assert "a:5432 takes writes; whether others do is asked first." in drive.verdict.cause
        drive.probe(B)
        assert drive.summary == ("UP", 1, B)
        assert drive.server(A).reason == "FENCED"

    @pytest.mark.parametrize("kind", [*GONE, *MISSED, *MUTE])
    def test_a_server_that_does_not_answer_is_not_waited_for(self, kind: FailureKind) -> None:
        drive = Drive({A: PRIMARY, B: kind})
        drive.probe(A, B)
        assert drive.summary == ("UP", 1, A)
        assert drive.server(B).health == "UNAVAILABLE"

    def test_standbys_alone_are_no_writer(self) -> None:
        drive = Drive({A: STANDBY, B: STANDBY})
        drive.probe(A, B)
        assert drive.summary == ("HOLD", 0, None)
        assert "a:5432 is a standby. Promote it if it is to write." in drive.verdict.cause
        assert drive.verdict.standbys == [A, B]

    def test_two_that_nothing_tells_apart_are_both_left_alone(self) -> None:
        drive = Drive({A: SILENT, B: replace(SILENT, started_at=21.0)})
        drive.probe(A, B)
        assert drive.summary == ("HOLD", 0, None)
        assert "a:5432 takes writes, and so does b:5432" in drive.verdict.cause
        assert [each.reason for each in drive.verdict.servers] == ["FENCED"] * 2
        drive.says[A] = "refused"
        drive.probe(A)
        assert drive.summary == ("UP", 1, B)

    @pytest.mark.parametrize("recovers", [True, False])
    def test_of_two_clusters_none_is_chosen(self, recovers: bool) -> None:
        """Not even if one of them has no writer now: it may be ours."""
        other = replace(PROMOTED, system_id="99")
        drive = Drive({A: STANDBY if recovers else PRIMARY, B: other})
        drive.probe(A, B)
        assert drive.summary == ("HOLD", 0, None)
        assert "of different clusters" in drive.verdict.cause
        drive.cluster.set_hosts([B], drive.now)
        assert drive.summary == ("UP", 1, B)

    def test_a_higher_timeline_counts_though_its_server_is_gone(self) -> None:
        drive = Drive({A: PRIMARY, B: PROMOTED})
        drive.probe(B)
        drive.says[B] = "refused"
        drive.probe(B, A)
        assert drive.summary == ("HOLD", 0, None)
        assert "takes writes on timeline 3, which is over: 4 was seen" in drive.verdict.cause
        drive.cluster.set_hosts([A], drive.now)  # B never belonged here
        assert drive.summary == ("UP", 1, A)

    def test_one_server_under_two_names_is_one(self) -> None:
        drive = Drive({A: PRIMARY, B: PRIMARY})
        drive.probe(A, B)
        assert drive.summary == ("UP", 1, A)
        assert [each.health for each in drive.verdict.servers] == ["AVAILABLE"] * 2

    def test_no_hosts(self) -> None:
        cluster = Cluster([], STEADY)
        assert cluster.verdict.cause.endswith("There are no hosts.")
        assert cluster.due(1.0) == []
        assert cluster.next_at(1.0) == math.inf


class TestSuspicion:
    @pytest.mark.parametrize("kind", MISSED)
    def test_one_miss(self, kind: FailureKind) -> None:
        drive = pair()
        drive.now += 0.5
        drive.says[A] = kind
        drive.probe(A)
        assert drive.summary == ("SUSPECT", 1, A)
        assert "a:5432" in drive.verdict.cause
        assert drive.server(A).health == "AVAILABLE"
        drive.says[A] = PRIMARY
        drive.now += 0.1
        drive.probe(A)
        assert drive.summary == ("UP", 1, A)
        assert drive.verdict.cause == ""

    @pytest.mark.parametrize("kind", MISSED)
    def test_two_misses(self, kind: FailureKind) -> None:
        drive = pair()
        drive.says[A] = kind
        drive.probe(A, A)
        assert drive.summary == ("HOLD", 1, A)
        assert drive.server(A).health == "UNAVAILABLE"

    @pytest.mark.parametrize("kind", GONE)
    def test_who_is_not_there_needs_one_probe(self, kind: FailureKind) -> None:
        drive = pair()
        drive.says[A] = kind
        drive.probe(A)
        assert drive.summary == ("HOLD", 1, A)
        assert drive.server(A).reason == "CONNECTION_FAILED"

    def test_silence_is_not_waited_for_twice(self) -> None:
        drive = pair()
        start = drive.now
        drive.says[A] = None
        states = {}
        while drive.now < start + 3.0:
            before = drive.verdict.state
            _advance(drive)
            if drive.verdict.state != before:
                states[drive.verdict.state] = drive.now - start
        assert states["SUSPECT"] == pytest.approx(1.1)
        assert states["HOLD"] == pytest.approx(2.0)
        assert drive.server(A).reason == "UNREACHABLE"

    @pytest.mark.parametrize("kind", HINTS)
    def test_a_hint_alone(self, kind: HintKind) -> None:
        drive = pair()
        drive.run(40.0)
        drive.hint(A, kind)
        assert drive.summary == ("SUSPECT", 1, A)
        assert "a:5432 is asked whether it still writes" in drive.verdict.cause
        assert drive.cluster.due(drive.now) == [A, B]
        drive.probe(A)
        assert drive.summary == ("UP", 1, A)

    def test_a_hint_without_an_address_is_of_the_writer(self) -> None:
        drive = pair()
        drive.hint(None, "lost")
        assert drive.verdict.state == "SUSPECT"

    def test_what_was_asked_before_a_hint_does_not_refute_it(self) -> None:
        drive = pair()
        drive.now += 0.5
        drive.cluster.asked(A, drive.now)
        asked_at = drive.now
        drive.now += 0.01
        drive.hint(A, "lost")
        drive.bring(A, asked_at)
        assert drive.verdict.state == "SUSPECT"
        assert A in drive.cluster.due(drive.now)
        drive.probe(A)
        assert drive.verdict.state == "UP"

    def test_hints_that_were_refuted_hold_nothing_back_for_a_while(self) -> None:
        """A user who may run SQL can cause as many as he likes."""
        drive = pair()
        drive.hint(A, "read_only")
        drive.probe(A, B)
        drive.now += 0.05
        drive.hint(A, "read_only")
        assert drive.verdict.state == "UP"
        assert drive.cluster.due(drive.now) == []
        assert drive.cluster.next_at(drive.now) == pytest.approx(drive.now + 0.05)
        drive.now += 1.0
        drive.hint(A, "read_only")
        assert drive.verdict.state == "SUSPECT"

    def test_a_hint_of_a_standby_asks_it_and_no_more(self) -> None:
        drive = pair()
        drive.run(40.2)
        drive.hint(B, "lost")
        assert drive.verdict.state == "UP"
        assert drive.cluster.due(drive.now) == [B]

    def test_hints_of_strangers_and_before_there_is_a_writer(self) -> None:
        drive = Drive({A: STANDBY})
        drive.hint(None, "lost")
        drive.hint(C, "lost")
        drive.hint(A, "lost")
        assert drive.summary == ("HOLD", 0, None)


def _advance(drive: Drive) -> None:
    """To the next moment at which something is to be done."""
    cluster = drive.cluster
    for each in cluster.due(drive.now):
        drive.probe(each)
    times = [cluster.next_at(drive.now)]
    silent = [each for each in cluster._watched.values() if each.under_way]
    times += [each.asked_at + 1.0 for each in silent]
    drive.now = max(drive.now, min(times))
    for each in silent:
        if drive.now >= each.asked_at + 1.0:
            failure = Failure("timeout", "no answer within 1 s")
            cluster.failed(each.address, failure, drive.now, each.asked_at)
    cluster.due(drive.now)


class TestSwitch:
    def test_promotion(self) -> None:
        drive = pair()
        drive.says[A] = "refused"
        drive.now += 0.5
        drive.probe(A, B)
        assert drive.summary == ("HOLD", 1, A)
        since = drive.verdict.since
        drive.now += 5.0
        drive.probe(A, B)
        assert drive.verdict.since == since == 100.5
        drive.says[B] = PROMOTED
        drive.probe(B)
        assert drive.summary == ("UP", 2, B)
        assert drive.verdict.since == 105.5

    def test_a_higher_timeline_is_believed_at_once(self) -> None:
        """Whatever the others say, or have not said yet: two writers at once."""
        drive = pair()
        drive.says[B] = PROMOTED
        drive.probe(B)
        assert drive.summary == ("UP", 2, B)
        former = drive.server(A)
        assert (former.health, former.reason) == ("UNAVAILABLE", "FENCED")
        assert "a:5432 takes writes on timeline 3, which is over: 4 was seen" in former.text
        drive.probe(A)
        assert drive.summary == ("UP", 2, B)

    def test_a_fenced_server_does_not_come_back_when_the_writer_dies(self) -> None:
        drive = pair()
        drive.says[B] = PROMOTED
        drive.probe(B)
        drive.says[B] = "refused"
        drive.probe(B, A)
        assert drive.summary == ("HOLD", 2, B)
        assert "takes writes on timeline 3" in drive.verdict.cause
        drive.says[A] = replace(PRIMARY, timeline=5)
        drive.probe(A)
        assert drive.summary == ("UP", 3, A)

    def test_a_late_answer_still_fences(self) -> None:
        drive = pair()
        drive.now += 1.0
        drive.says[B] = "refused"
        drive.probe(B)
        drive.says[B] = PROMOTED
        drive.bring(B, asked_at=drive.now - 0.5)
        assert drive.summary == ("HOLD", 1, A)
        assert drive.server(B).health == "UNAVAILABLE"
        drive.probe(B)
        assert drive.summary == ("UP", 2, B)

    def test_two_promoted_at_once(self) -> None:
        drive = Drive({A: PRIMARY, B: STANDBY, C: replace(STANDBY, started_at=12.0)})
        drive.probe(A, B, C)
        drive.says |= {A: "refused", B: PROMOTED, C: replace(PROMOTED, started_at=12.0)}
        drive.probe(A)
        drive.probe(C)
        assert drive.summary == ("UP", 2, C)
        drive.probe(B)
        assert drive.summary == ("UP", 2, C)
        assert drive.server(B).reason == "FENCED"
        assert "c:5432" in drive.server(B).text
        drive.says[C] = "refused"
        drive.probe(C)
        drive.now += 0.1
        drive.probe(B)
        assert drive.summary == ("UP", 3, B)

    @pytest.mark.parametrize("report", [STANDBY, replace(PRIMARY, is_read_only=True)])
    def test_a_writer_that_writes_no_more(self, report: Report) -> None:
        drive = pair()
        drive.says[A] = report
        drive.probe(A)
        assert drive.summary == ("HOLD", 1, A)
        assert "a:5432 is " in drive.verdict.cause
        assert drive.server(A).health == "AVAILABLE"

    def test_read_only_for_a_while(self) -> None:
        """As in a blue/green deployment that is given up: its connections are what they were."""
        drive = pair()
        drive.says[A] = replace(PRIMARY, is_read_only=True)
        drive.probe(A)
        drive.says[A] = PRIMARY
        drive.probe(A)
        assert drive.summary == ("UP", 1, A)

    def test_a_read_only_server_fences_nobody(self) -> None:
        """A green environment follows on a higher timeline before anybody switches over."""
        drive = pair()
        drive.says[B] = replace(PROMOTED, is_read_only=True)
        drive.probe(B, A)
        assert drive.summary == ("UP", 1, A)
        assert drive.server(A).health == "AVAILABLE"

    def test_without_timelines_the_present_writer_stays(self) -> None:
        drive = Drive({A: SILENT, B: replace(SILENT, in_recovery=True)})
        drive.probe(A, B)
        drive.says[B] = replace(SILENT, started_at=30.0)
        drive.probe(B, A)
        assert drive.summary == ("UP", 1, A)
        assert drive.server(B).reason == "FENCED"
        drive.says[A] = "lost"
        drive.probe(A, B)
        assert drive.summary == ("SUSPECT", 1, A)
        drive.now += 0.1
        drive.probe(A)
        assert drive.summary == ("HOLD", 1, A)  # B was asked before
        drive.probe(B)
        assert drive.summary == ("UP", 2, B)

    def test_without_timelines_the_others_are_heard_first(self) -> None:
        follows = replace(SILENT, in_recovery=True)
        drive = Drive({A: SILENT, B: follows, C: follows})
        drive.probe(A, B, C)
        drive.now += 0.4
        drive.says |= {A: "refused", B: SILENT}
        drive.probe(A, B)
        assert drive.summary == ("HOLD", 1, A)
        drive.says[C] = "timeout"
        drive.probe(C)
        assert drive.summary == ("UP", 2, B)

    def test_an_unknown_timeline_never_beats_a_known_one(self) -> None:
        drive = pair()
        drive.says[B] = replace(PROMOTED, timeline=0)
        drive.probe(B)
        assert drive.summary == ("UP", 1, A)
        drive.says[A] = "refused"
        drive.now += 0.1
        drive.probe(A, B)
        assert drive.summary == ("HOLD", 1, A)
        assert "does not tell its timeline" in drive.verdict.cause
        drive.says[B] = PROMOTED
        drive.probe(B)
        assert drive.summary == ("UP", 2, B)

    def test_timelines_that_nobody_may_see_any_more(self) -> None:
        """The right to ask was taken away: the writer is what it was, and so is its successor."""
        drive = pair()
        drive.says[A] = replace(PRIMARY, timeline=0, system_id="")
        drive.probe(A)
        assert drive.summary == ("UP", 1, A)
        drive.probe(B)  # it follows
        drive.says |= {A: "refused", B: replace(PROMOTED, timeline=0, system_id="")}
        drive.probe(A)
        drive.now += 0.1
        drive.probe(B)
        assert drive.summary == ("UP", 2, B)

    def test_a_former_writer_that_tells_no_more_is_not_its_successor(self) -> None:
        """Found by the simulation: B was cut off when it was the writer, and started anew."""
        drive = pair()
        silent = {"timeline": 0, "system_id": ""}
        drive.says[A] = replace(PRIMARY, **silent)
        drive.probe(A, B)
        drive.says |= {
            A: replace(PRIMARY, is_read_only=True, **silent),
            B: replace(PROMOTED, started_at=12.0, **silent),
        }
        drive.now += 0.1
        drive.probe(A, B)
        assert drive.summary == ("HOLD", 1, A)
        assert "does not tell its timeline" in drive.verdict.cause

    def test_a_writer_that_starts_anew_and_tells_no_more(self) -> None:
        """... is the writer if the others follow; found by the simulation: not for ever."""
        drive = pair()
        drive.says[A] = replace(PRIMARY, timeline=0)
        drive.probe(A)
        drive.says |= {A: replace(PRIMARY, timeline=0, started_at=12.0), B: "timeout"}
        drive.now += 0.1
        drive.probe(A, B)
        assert drive.summary == ("HOLD", 1, A)
        drive.says[B] = STANDBY
        drive.now += 0.1
        drive.probe(A, B)
        assert drive.summary == ("UP", 2, A)
        drive.says[B] = PROMOTED
        drive.now += 0.1
        drive.probe(B)
        assert drive.summary == ("UP", 3, B)

    def test_a_fenced_server_that_tells_no_more_stays_fenced(self) -> None:
        """The right to ask is taken away while a former writer still takes writes."""
        drive = pair()
        drive.says[B] = PROMOTED
        drive.probe(B)
        drive.says |= {A: replace(PRIMARY, timeline=0), B: replace(PROMOTED, timeline=0)}
        drive.probe(A, B)
        assert drive.summary == ("UP", 2, B)
        assert drive.server(A).reason == "FENCED"
        drive.says[B] = "refused"
        drive.probe(B)
        drive.now += 0.1
        drive.probe(A, B)
        assert drive.summary == ("HOLD", 2, B)


class TestRestart:
    @pytest.mark.parametrize("kind", ["refused", "starting"])
    def test_the_same_life_is_the_same_epoch(self, kind: FailureKind) -> None:
        drive = pair()
        drive.says[A] = kind
        drive.probe(A)
        drive.says[A] = PRIMARY
        drive.now += 0.1
        drive.probe(A)
        assert drive.summary == ("UP", 1, A)

    @pytest.mark.parametrize("seen", [True, False])
    def test_another_life_is_another_epoch(self, seen: bool) -> None:
        drive = pair()
        drive.now += 0.5
        if seen:
            drive.says[A] = "refused"
            drive.probe(A)
            drive.now += 0.1
        drive.says[A] = replace(PRIMARY, started_at=200.0)
        drive.probe(A)
        assert drive.summary == ("HOLD", 1, A)  # B may have been promoted meanwhile
        drive.probe(B)
        assert drive.summary == ("UP", 2, A)

    def test_a_dead_standby_is_not_waited_for(self) -> None:
        drive = pair()
        drive.says |= {B: "refused", A: replace(PRIMARY, started_at=200.0)}
        drive.probe(B, A)
        assert drive.summary == ("UP", 2, A)

    def test_another_timeline_is_another_epoch(self) -> None:
        drive = pair()
        drive.says[A] = replace(PRIMARY, timeline=4)
        drive.probe(A)
        assert drive.summary == ("UP", 2, A)

    def test_as_a_standby_and_back(self) -> None:
        drive = pair()
        drive.says[A] = replace(STANDBY, started_at=10.0)
        drive.probe(A)
        assert drive.summary == ("HOLD", 1, A)
        drive.says[A] = PRIMARY
        drive.now += 0.1
        drive.probe(A, B)
        assert drive.summary == ("UP", 2, A)

    def test_a_restarted_writer_meets_its_successor(self) -> None:
        drive = pair()
        drive.says |= {A: replace(PRIMARY, started_at=200.0), B: PROMOTED}
        drive.now += 0.5
        drive.probe(A, B)
        assert drive.summary == ("UP", 2, B)
        assert drive.server(A).reason == "FENCED"

    def test_what_becomes_known_is_no_change(self) -> None:
        drive = Drive({A: Report(in_recovery=False)})
        drive.probe(A)
        drive.says[A] = PRIMARY
        drive.probe(A)
        assert drive.summary == ("UP", 1, A)
        drive.says[A] = replace(PRIMARY, started_at=99.0)
        drive.probe(A)
        assert drive.summary == ("UP", 2, A)


class TestMute:
    @pytest.mark.parametrize("kind", MUTE)
    def test_a_writer_that_serves_is_kept(self, kind: FailureKind) -> None:
        drive = pair()
        drive.says |= {A: kind, B: kind}
        drive.run(10.0)
        assert drive.summary == ("UP", 1, A)
        assert "a:5432" in drive.verdict.cause
        server = drive.server(A)
        reason = "AUTH_FAILURE" if kind == "auth" else "CONNECTION_FAILED"
        assert (server.health, server.reason) == ("AVAILABLE", reason)
        assert drive.verdict.standbys == [B]

    def test_the_way_out_is_said(self) -> None:
        drive = pair()
        drive.says[A] = "auth"
        drive.probe(A)
        assert "target.control_user" in drive.verdict.cause
        assert "target.control_user" in drive.server(A).text

    @pytest.mark.parametrize("kind", MUTE)
    def test_it_refutes_hints(self, kind: FailureKind) -> None:
        drive = pair()
        drive.says[A] = kind
        drive.hint(A, "terminated")
        drive.probe(A)
        assert drive.verdict.state == "UP"

    @pytest.mark.parametrize("kind", MUTE)
    def test_it_does_not_confirm_who_was_down(self, kind: FailureKind) -> None:
        drive = pair()
        drive.says[A] = "refused"
        drive.probe(A)
        drive.says[A] = kind
        drive.probe(A)
        assert drive.summary == ("HOLD", 1, A)
        assert drive.server(A).health == "UNAVAILABLE"

    def test_a_new_writer_that_answers_is_believed(self) -> None:
        drive = pair()
        drive.says |= {A: "auth", B: PROMOTED}
        drive.probe(A, B)
        assert drive.summary == ("UP", 2, B)

    def test_logins_that_are_turned_away_are_not_repeated_in_haste(self) -> None:
        drive = pair()
        drive.says |= {A: "auth", B: "auth"}
        drive.run(0.2)
        drive.probes.clear()
        for _ in range(50):
            drive.hint(A, "lost")
            drive.run(0.1)
        assert 4 <= len([each for each in drive.probes if each[1] == A]) <= 6


class TestHosts:
    def test_a_host_joins(self) -> None:
        drive = pair()
        drive.says[C] = STANDBY
        drive.cluster.set_hosts([A, B, C, C], drive.now)
        assert drive.summary == ("UP", 1, A)
        assert drive.cluster.due(drive.now) == [C]
        drive.probe(C)
        assert drive.verdict.standbys == [B, C]

    def test_the_writer_leaves(self) -> None:
        drive = pair()
        drive.cluster.set_hosts([B], drive.now)
        assert drive.summary == ("HOLD", 1, A)
        assert "a:5432, which wrote last, is not among hosts any more." in drive.verdict.cause
        drive.probe(B)
        assert drive.summary == ("HOLD", 1, A)
        drive.says[B] = PROMOTED
        drive.probe(B)
        assert drive.summary == ("UP", 2, B)

    def test_the_writer_leaves_and_comes_back(self) -> None:
        drive = pair()
        drive.cluster.set_hosts([B], drive.now)
        drive.cluster.set_hosts([A, B], drive.now + 1.0)
        assert drive.summary == ("HOLD", 1, A)
        drive.now += 1.0
        drive.bring(A, asked_at=drive.now - 1.5)  # from before it left
        assert drive.summary == ("HOLD", 1, A)
        drive.probe(A)
        assert drive.summary == ("UP", 1, A)

    def test_another_cluster_is_never_the_writer(self) -> None:
        drive = pair()
        other = Report(in_recovery=False, timeline=9, system_id="99", started_at=5.0)
        drive.says[C] = other
        drive.cluster.set_hosts([A, B, C], drive.now)
        drive.probe(C)
        assert drive.summary == ("UP", 1, A)
        assert drive.server(C).health == "UNAVAILABLE"
        assert "another cluster" in drive.server(C).text
        drive.says[C] = replace(other, in_recovery=True)
        drive.probe(C)
        assert drive.verdict.standbys == [B]
        drive.says |= {A: "refused", C: other}
        drive.run(10.0)
        assert drive.summary == ("HOLD", 1, A)

    def test_all_hosts_are_replaced(self) -> None:
        drive = pair()
        drive.says |= {C: Report(in_recovery=False, timeline=1, system_id="99"), D: "refused"}
        drive.cluster.set_hosts([C, D], drive.now)
        assert drive.summary == ("HOLD", 1, A)
        drive.probe(C)
        assert drive.summary == ("HOLD", 1, A)
        drive.probe(D)
        assert drive.summary == ("UP", 2, C)

    def test_a_stranger_gains_nothing_when_the_others_leave(self) -> None:
        """Hosts come and go, as DNS may have it; the one that stays was never of this cluster."""
        drive = pair()
        other = Report(in_recovery=False, timeline=1, system_id="99")
        drive.says |= {C: other}
        drive.cluster.set_hosts([A, B, C], drive.now)
        drive.probe(C)
        drive.cluster.set_hosts([A, C], drive.now)
        drive.cluster.set_hosts([B, C], drive.now)
        drive.says[B] = "refused"
        drive.probe(B, C)
        assert drive.summary == ("HOLD", 1, A)
        assert "restart Forebay" in drive.verdict.cause
        drive.says[B] = PROMOTED
        drive.probe(B)
        assert drive.summary == ("UP", 2, B)

    def test_a_host_that_is_given_again_is_known_as_given_last(self) -> None:
        """Equal addresses may differ in what a certificate is checked against."""
        drive = pair()
        again = replace(A)
        drive.cluster.set_hosts([again, B], drive.now)
        assert drive.cluster.due(drive.now + 1.0)[0] is again
        drive.says[A] = "refused"
        drive.probe(A)
        assert drive.verdict.writer is again
        assert drive.verdict.servers[0].address is again

    def test_no_hosts_for_a_moment(self) -> None:
        drive = pair()
        drive.cluster.set_hosts([], drive.now)
        assert drive.summary == ("HOLD", 1, A)
        drive.cluster.set_hosts([A], drive.now)
        drive.probe(A)
        assert drive.summary == ("UP", 1, A)

    def test_a_cluster_that_comes_back_is_remembered(self) -> None:
        drive = pair()
        drive.says[B] = PROMOTED
        drive.probe(B)
        drive.says |= {C: Report(in_recovery=False, timeline=1, system_id="99")}
        drive.cluster.set_hosts([C], drive.now)
        drive.probe(C)
        assert drive.summary == ("UP", 3, C)
        drive.cluster.set_hosts([A], drive.now)
        drive.probe(A)  # on timeline 3, and 4 was seen
        assert drive.summary == ("HOLD", 3, C)
        assert "takes writes on timeline 3, which is over: 4 was seen" in drive.verdict.cause


class TestOrder:
    def test_an_older_probe_never_overrides_a_newer_one(self) -> None:
        drive = pair()
        drive.now += 1.0
        drive.says[A] = "refused"
        drive.probe(A)
        drive.says[A] = PRIMARY
        drive.bring(A, asked_at=drive.now - 0.5)
        assert drive.verdict.state == "HOLD"
        drive.probe(A)
        drive.says[A] = "refused"
        drive.bring(A, asked_at=drive.now - 0.5)
        assert drive.verdict.state == "UP"

    def test_strangers_change_nothing(self) -> None:
        drive = pair()
        verdict = drive.verdict
        drive.cluster.answered(C, PROMOTED, drive.now, drive.now)
        drive.cluster.failed(C, Failure("lost", ""), drive.now, drive.now)
        drive.cluster.asked(C, drive.now)
        assert drive.verdict is verdict

    def test_a_verdict_is_new_exactly_when_something_changed(self) -> None:
        drive = pair()
        verdict = drive.verdict
        drive.run(5.0)
        drive.says[B] = replace(STANDBY, lag_s=0.05)
        drive.run(1.0)
        assert drive.verdict is verdict
        drive.says[B] = replace(STANDBY, lag_s=0.15)
        drive.run(1.0)
        assert drive.verdict is not verdict
        assert drive.server(B).report == replace(STANDBY, lag_s=0.15)


class TestPace:
    def times(self, drive: Drive, duration_s: float) -> list[float]:
        drive.probes.clear()
        drive.run(duration_s)
        return [at for at, address in drive.probes if address == A]

    def test_calm(self) -> None:
        drive = pair()
        drive.run(31.0)
        assert len(self.times(drive, 10.0)) == 20

    def test_jitter(self) -> None:
        chances = iter([0.0, 1.0, 0.5])
        cluster = Cluster([A], replace(STEADY, chance=lambda: next(chances)), 0.0)
        for now, period in [(0.0, 0.1), (50.0, 0.45), (100.0, 0.55), (150.0, 0.5)]:
            assert cluster.due(now) == [A]
            cluster.asked(A, now)
            assert cluster.due(now) == []
            cluster.answered(A, PRIMARY, now, now)
            assert cluster.next_at(now) == pytest.approx(now + period)

    def test_trouble(self) -> None:
        drive = pair()
        drive.run(31.0)
        drive.says[A] = "refused"
        drive.run(0.5)
        assert len(self.times(drive, 10.0)) == pytest.approx(100, abs=1)

    def test_it_goes_on_for_a_while(self) -> None:
        drive = pair()
        assert len(self.times(drive, 29.0)) == pytest.approx(290, abs=1)

    def test_a_standby_that_is_down_is_no_trouble(self) -> None:
        drive = pair()
        drive.run(31.0)
        drive.says[B] = "refused"
        assert len(self.times(drive, 10.0)) == 20
        assert drive.verdict.state == "UP"

    def test_expectation(self) -> None:
        drive = pair()
        drive.run(40.2)
        verdict = drive.verdict
        drive.cluster.expect(drive.now)
        assert drive.cluster.due(drive.now) == [A, B]
        assert len(self.times(drive, 29.95)) == pytest.approx(300, abs=2)
        assert len(self.times(drive, 30.0)) <= 62
        assert drive.verdict is verdict

    def test_a_probe_whose_end_is_lost(self) -> None:
        drive = pair()
        drive.run(31.0)
        drive.cluster.asked(B, drive.now)
        asked_at = drive.now
        assert drive.cluster.due(drive.now + 1.9) == [A]
        assert drive.cluster.due(drive.now + 2.0) == [A, B]
        drive.now += 2.0
        drive.bring(B, asked_at)  # it comes after all
        assert drive.server(B).health == "AVAILABLE"

    def test_nobody_is_asked_twice_at_once(self) -> None:
        drive = pair()
        drive.cluster.asked(A, drive.now)
        drive.hint(A, "lost")
        assert drive.cluster.due(drive.now) == [B]
