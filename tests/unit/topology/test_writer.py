"""Who may be the writer."""

from dataclasses import replace

import pytest

from forebay.topology.reports import Report
from forebay.topology.writer import Incarnation, Past
from tests.unit.topology.drive import PRIMARY, PROMOTED, SILENT, STANDBY, A, B, C


def past(report: Report = PRIMARY) -> Past:
    """A is the writer."""
    made = Past()
    made.adopt(A, report)
    return made


@pytest.mark.parametrize(
    ("report", "standing"),
    [
        (PRIMARY, "candidate"),
        (STANDBY, "standby"),
        (PROMOTED, "candidate"),
        (replace(PRIMARY, timeline=2), "fenced"),
        (replace(PRIMARY, timeline=2, is_read_only=True), "fenced"),
        (replace(PRIMARY, is_read_only=True), "read_only"),
        (replace(PRIMARY, system_id="99"), "foreign"),
        (replace(STANDBY, system_id="99"), "foreign"),
        (replace(PRIMARY, timeline=0), "untold"),
        (replace(PRIMARY, system_id=""), "candidate"),
    ],
)
def test_standing_of_another_server(report: Report, standing: str) -> None:
    assert past().standing(B, report) == standing


def test_before_there_was_a_writer_everybody_is_welcome() -> None:
    for report in (PRIMARY, SILENT, replace(PRIMARY, system_id="99", timeline=1)):
        assert Past().standing(B, report) == "candidate"


@pytest.mark.parametrize(
    ("changes", "goes_on"),
    [
        ({}, True),
        ({"started_at": 0.0}, True),
        ({"timeline": 0}, True),
        ({"started_at": 10.5}, False),
        ({"timeline": 4}, False),
    ],
)
def test_a_life_goes_on(changes: dict[str, float], goes_on: bool) -> None:
    life = Incarnation(A, 10.0, 3, True)
    report = replace(PRIMARY, **changes)  # type: ignore[arg-type]
    assert life.goes_on_in(A, report) is goes_on
    assert not life.goes_on_in(B, report)


def test_a_life_is_over_after_recovery() -> None:
    made = past()
    made.goes_on(A, replace(STANDBY, started_at=10.0))
    assert made.last is not None
    assert made.last.is_over
    assert not made.last.goes_on_in(A, PRIMARY)


def test_others_end_no_life() -> None:
    made = past()
    made.goes_on(B, STANDBY)
    made.goes_on(A, replace(STANDBY, system_id="99"))
    Past().goes_on(A, STANDBY)
    assert made.last is not None
    assert not made.last.is_over


def test_the_writer_that_tells_no_more() -> None:
    made = past()
    made.goes_on(A, replace(PRIMARY, timeline=0))
    assert made.timeline_of(A, replace(PRIMARY, timeline=0)) == 3
    # It may have been the writer before A, unless it has followed since.
    assert made.standing(B, replace(PROMOTED, timeline=0)) == "untold"
    made.goes_on(B, STANDBY)
    assert made.standing(B, replace(PROMOTED, timeline=0)) == "candidate"
    assert made.standing(B, replace(PROMOTED, timeline=0, started_at=12.0)) == "untold"
    made.adopt(C, replace(PROMOTED, timeline=0, started_at=13.0))
    assert made.standing(B, replace(PROMOTED, timeline=0)) == "untold"


def test_a_writer_that_never_told_until_another_one_is_on_a_higher_timeline() -> None:
    made = past()
    silent = replace(PRIMARY, timeline=0, started_at=12.0)
    made.adopt(A, silent)
    assert made.standing(A, silent) == "candidate"
    made.note(PROMOTED)
    assert made.standing(A, silent) == "untold"


def test_timelines_only_grow() -> None:
    made = past()
    made.note(PROMOTED)
    made.note(PRIMARY)
    assert made.highest(PRIMARY) == 4
    assert made.standing(A, PRIMARY) == "fenced"


@pytest.mark.parametrize(
    "changes", [{"in_recovery": True}, {"is_read_only": True}, {"system_id": "99"}]
)
def test_who_does_not_write_here_raises_nothing(changes: dict[str, object]) -> None:
    made = past()
    made.note(replace(PROMOTED, timeline=9, **changes))  # type: ignore[arg-type]
    assert made.highest(PRIMARY) == 3


def test_nothing_is_noted_before_there_is_a_cluster() -> None:
    made = Past()
    made.note(PROMOTED)
    assert made.timelines == {}


def test_an_identifier_told_late() -> None:
    made = past(replace(PRIMARY, system_id=""))
    assert made.highest(SILENT) == 3
    made.goes_on(A, PRIMARY)
    assert (made.system_id, made.highest(PRIMARY)) == ("71", 3)
    assert made.standing(B, replace(PROMOTED, system_id="99")) == "foreign"


def test_forgetting() -> None:
    made = past()
    made.note(PROMOTED)
    made.forget()
    assert made.standing(C, replace(PRIMARY, system_id="99", timeline=1)) == "candidate"
    # ... but what is over stays so.
    assert made.standing(A, PRIMARY) == "fenced"


def test_forgetting_a_cluster_without_a_name() -> None:
    made = past(replace(PRIMARY, system_id=""))
    made.forget()
    assert made.standing(C, replace(PRIMARY, system_id="", timeline=1)) == "candidate"


class TestBest:
    def test_the_highest(self) -> None:
        assert Past().best([(A, PRIMARY), (B, PROMOTED)]) == [(B, PROMOTED)]

    def test_a_known_timeline_before_an_unknown_one(self) -> None:
        assert Past().best([(A, replace(PROMOTED, timeline=0)), (B, PRIMARY)]) == [(B, PRIMARY)]

    def test_equals(self) -> None:
        other = replace(PRIMARY, started_at=77.0)
        assert Past().best([(A, PRIMARY), (B, other)]) == [(A, PRIMARY), (B, other)]

    def test_names_of_one_server(self) -> None:
        assert Past().best([(B, PRIMARY), (C, PRIMARY)]) == [(B, PRIMARY)]
        assert past().best([(B, PRIMARY), (A, PRIMARY)]) == [(A, PRIMARY)]

    def test_who_tells_nothing_is_nobody_else(self) -> None:
        assert len(Past().best([(A, Report(False)), (B, Report(False))])) == 2

    def test_nobody(self) -> None:
        assert Past().best([]) == []


def test_different_clusters() -> None:
    mixed = [PRIMARY, replace(STANDBY, system_id="99")]
    assert Past().is_mixed(mixed)
    assert not past().is_mixed(mixed)
    assert not Past().is_mixed([PRIMARY, PROMOTED, SILENT])


def test_the_writer_under_another_name() -> None:
    made = past()
    assert made.is_last(PRIMARY)
    assert not made.is_last(replace(PRIMARY, started_at=11.0))
    assert not past(SILENT).is_last(SILENT)
    assert not Past().is_last(PRIMARY)
