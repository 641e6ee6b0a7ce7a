"""One server as it is watched."""

from dataclasses import replace

import pytest

from forebay.topology.reports import Failure, FailureKind, Report
from forebay.topology.watched import Watched
from tests.unit.topology.drive import PRIMARY, STANDBY, A


def watched() -> Watched:
    return Watched(A, since=100.0, due_at=100.0)


def fail(server: Watched, kind: FailureKind, now: float) -> None:
    server.ask(now)
    assert server.ends(now)
    server.failed(Failure(kind, ""), now, 1.0)


@pytest.mark.parametrize(
    ("kinds", "misses", "is_down"),
    [
        (["timeout"], 1, False),
        (["lost", "timeout"], 2, True),
        (["refused"], 1, True),
        (["starting"], 1, True),
        (["auth"], 0, False),
        (["timeout", "too_many", "timeout"], 1, False),
        (["refused", "auth"], 0, True),
    ],
)
def test_misses(kinds: list[FailureKind], misses: int, is_down: bool) -> None:
    server = watched()
    for at, kind in enumerate(kinds):
        fail(server, kind, 101.0 + at)
    assert (server.misses, server.is_down) == (misses, is_down)
    assert not server.has_answered
    server.answered(PRIMARY, 110.0, 1.0)
    assert (server.misses, server.is_down, server.has_answered) == (0, False, True)


def test_the_order_of_probes() -> None:
    server = watched()
    assert not server.ends(99.0)  # before it was among the hosts
    server.ask(101.0)
    server.ask(102.0)
    assert not server.ends(100.5) or server.under_way
    assert server.ends(102.0)
    assert not server.under_way
    assert not server.ends(101.0)
    assert server.judged_at == 102.0


def test_a_hint_is_refuted_by_what_was_asked_later() -> None:
    server = watched()
    server.ask(101.0)
    assert server.suspect("lost", 101.5)
    assert server.ends(101.0)
    server.answered(PRIMARY, 102.0, 1.0)
    assert server.hint == "lost"
    server.ask(102.0)
    assert server.ends(102.0)
    server.answered(PRIMARY, 102.1, 1.0)
    assert server.hint is None
    assert not server.suspect("lost", 103.0)
    assert server.suspect("lost", 103.2)


def test_kinds_of_failure() -> None:
    server = watched()
    fail(server, "auth", 101.0)
    assert (server.is_mute, server.is_rejected) == (True, True)
    fail(server, "too_many", 102.0)
    assert (server.is_mute, server.is_rejected) == (True, False)
    fail(server, "lost", 103.0)
    assert (server.is_mute, server.is_rejected) == (False, False)


@pytest.mark.parametrize(
    ("report", "is_new"),
    [
        (replace(STANDBY, lag_s=0.09), False),
        (replace(STANDBY, lag_s=0.11), True),
        (replace(STANDBY, lag_s=None), True),
        (replace(STANDBY, max_connections=7), True),
        (PRIMARY, True),
    ],
)
def test_small_changes_of_lag_are_not_told(report: object, is_new: bool) -> None:
    server = watched()
    server.answered(STANDBY, 101.0, 1.0)
    server.answered(report, 102.0, 1.0)  # type: ignore[arg-type]
    assert server.report is report
    assert (server.told is report) is is_new


@pytest.mark.parametrize(
    ("then", "timeline"),
    [
        (replace(PRIMARY, timeline=0), 3),
        (replace(PRIMARY, timeline=4), 4),
        (replace(PRIMARY, timeline=0, started_at=77.0), 0),
        (replace(PRIMARY, timeline=0, started_at=0.0), 0),
        (replace(STANDBY, started_at=10.0), 0),
    ],
)
def test_a_timeline_is_told_for_life(then: Report, timeline: int) -> None:
    server = watched()
    server.answered(PRIMARY, 101.0, 1.0)
    server.answered(then, 102.0, 1.0)
    server.answered(then, 103.0, 1.0)
    assert server.report is not None
    assert server.report.timeline == timeline
