"""Health in RDS's words."""

from dataclasses import replace

import pytest

from forebay.topology.health import describe, hold_cause, rivals_of
from forebay.topology.reports import Failure, FailureKind, Report
from forebay.topology.watched import Watched
from forebay.topology.writer import Past
from tests.unit.topology.drive import PRIMARY, PROMOTED, STANDBY, A, B, C


def past() -> Past:
    made = Past()
    made.adopt(A, PRIMARY)
    return made


def watched(report: Report | None = None, *kinds: FailureKind) -> Watched:
    made = Watched(B, since=100.0, due_at=100.0)
    if report is not None:
        made.answered(report, 101.0, 1.0)
    for kind in kinds:
        made.failed(Failure(kind, "so it is"), 102.0, 1.0)
    return made


@pytest.mark.parametrize(
    ("server", "health", "reason"),
    [
        (watched(), "REGISTERING", ""),
        (watched(STANDBY), "AVAILABLE", ""),
        (watched(STANDBY, "timeout"), "AVAILABLE", ""),
        (watched(STANDBY, "timeout", "timeout"), "UNAVAILABLE", "UNREACHABLE"),
        (watched(STANDBY, "refused"), "UNAVAILABLE", "CONNECTION_FAILED"),
        (watched(STANDBY, "starting"), "UNAVAILABLE", "CONNECTION_FAILED"),
        (watched(STANDBY, "auth"), "AVAILABLE", "AUTH_FAILURE"),
        (watched(STANDBY, "too_many"), "AVAILABLE", "CONNECTION_FAILED"),
        (watched(None, "auth"), "UNAVAILABLE", "AUTH_FAILURE"),
        (watched(None, "timeout"), "UNAVAILABLE", "UNREACHABLE"),
        (watched(replace(PRIMARY, timeline=2)), "UNAVAILABLE", "FENCED"),
        (watched(replace(PRIMARY, started_at=77.0)), "UNAVAILABLE", "FENCED"),
        (watched(replace(STANDBY, system_id="99")), "UNAVAILABLE", "FENCED"),
        (watched(PRIMARY), "AVAILABLE", ""),  # the writer under another name
        (watched(replace(PRIMARY, is_read_only=True)), "AVAILABLE", ""),
    ],
)
def test_health(server: Watched, health: str, reason: str) -> None:
    told = describe(server, past(), [A])
    assert (told.health, told.reason) == (health, reason)
    assert told.text.startswith("b:5432 ") == bool(reason)
    assert told.report is server.report


def test_rivals() -> None:
    other = watched(replace(PRIMARY, started_at=77.0))
    assert rivals_of(other, past(), [A]) == [A]
    assert rivals_of(other, past(), [B, C]) == [C]
    assert rivals_of(other, past(), [B]) == []
    assert rivals_of(watched(STANDBY), past(), [A]) == []
    assert rivals_of(watched(), past(), [A]) == []


def test_why_nobody_writes() -> None:
    servers = [watched(), watched(STANDBY), watched(STANDBY, "lost"), watched(PROMOTED)]
    cause = hold_cause(servers, past(), [B], is_gone=True)
    assert cause.startswith("No server is known to write. a:5432, which wrote last, is not among")
    assert "b:5432 has not answered yet." in cause
    assert "b:5432 is a standby." in cause
    assert "b:5432 ended the control connection (so it is)." in cause
    assert cause.endswith("And 1 more.")
    assert "There are no hosts." in hold_cause([], Past(), [], is_gone=False)
    only = hold_cause([watched(PROMOTED)], past(), [B], is_gone=False)
    assert "b:5432 takes writes; whether others do is asked first." in only
