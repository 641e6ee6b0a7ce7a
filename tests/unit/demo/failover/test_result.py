from typing import Any

import msgspec
import pytest

from forebay.demo.failover.books import Books
from forebay.demo.failover.operator import Switched
from forebay.demo.failover.reports import Report
from forebay.demo.failover.result import Outcome, Part


def outcome(**forebay: Any) -> Outcome:
    return Outcome(
        clients=300, idle_clients=100, forebay=Part(writes=10, **forebay), is_writing_again=True
    )


def test_a_good_run() -> None:
    assert outcome(statements_failed=7, clients_dropped=7, writes_unknown=3).is_good


@pytest.mark.parametrize(
    ("figure", "complaint"),
    [
        ("unconnected", "2 clients could not connect"),
        ("idle_clients_dropped", "2 idle clients lost their connection"),
        ("writes_lost", "2 writes were acknowledged and are lost"),
        ("writes_twice", "2 writes were done twice"),
        ("writes_phantom", "2 writes were refused and done"),
    ],
)
def test_whatever_went_wrong_through_forebay_is_said(figure: str, complaint: str) -> None:
    bad = outcome(**{figure: 2})
    assert not bad.is_good
    assert complaint in "; ".join(bad.complaints())


def test_what_went_wrong_without_it_is_not_its_fault() -> None:
    fine = outcome()
    fine.direct = Part(idle_clients_dropped=100, writes_lost=1, writes_twice=1)
    assert fine.is_good


def test_nobody_could_write_again_and_a_worker_that_died() -> None:
    bad = outcome()
    bad.is_writing_again, bad.worker_restarts = False, 1
    assert len(bad.complaints()) == 2


def test_a_part_of_what_was_reported() -> None:
    report = Report(dropped=3, idle_dropped=1, failed=4, writes=2, unknown=[7])
    report.written_at = [9.0, 12.5]
    report.made_anew, report.attempts_failed, report.waits_s = 5, 6, [0.1, 1.5, 0.3]
    part = Part.of(report, Books(1, 2, 3), Switched(10.0, 11.0, 11.25), 13.0, ["UP 1"])
    assert (part.clients_dropped, part.idle_clients_dropped, part.statements_failed) == (3, 1, 4)
    assert (part.writes, part.writes_unknown) == (2, 1)
    assert (part.writes_lost, part.writes_twice, part.writes_phantom) == (1, 2, 3)
    assert (part.writer_away_s, part.seconds_without_a_write) == (1.25, 3.5)
    assert (part.connections_made_anew, part.connection_attempts_failed) == (5, 6)
    assert (part.client_wait_s_median, part.client_wait_s_max) == (0.3, 1.5)
    assert part.states == ["UP 1"]


@pytest.mark.parametrize(
    ("written_at", "away_s"), [([10.5, 11.2], 1.2), ([10.5, 12.0], 1.25), ([], 1.25)]
)
def test_a_write_proves_that_there_is_a_writer(written_at: list[float], away_s: float) -> None:
    report = Report(written_at=written_at)
    part = Part.of(report, Books(0, 0, 0), Switched(10.0, 11.0, 11.25), 13.0, [])
    assert part.writer_away_s == away_s


def test_the_json_has_the_promised_keys() -> None:
    promised = {
        "idle_clients_dropped", "clients_dropped", "statements_failed", "writes", "writes_lost",
        "writes_twice", "seconds_without_a_write", "writer_away_s", "connections_made_anew",
        "connection_attempts_failed", "client_wait_s_median", "client_wait_s_max", "states",
    }  # fmt: skip
    told = msgspec.json.decode(msgspec.json.encode(outcome()))
    assert promised <= told["direct"].keys()
    assert promised <= told["forebay"].keys()
