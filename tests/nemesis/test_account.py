"""The account finds each kind of mistake in histories that have it, and none in the others."""

import random

import pytest

from tests.nemesis.account import (
    Op,
    Outcome,
    Row,
    account,
    acknowledged_late,
    first_success_s,
    longest_stall_s,
    outcome_of_commit,
    outcome_of_statement,
    percentile,
)


def op(seq: int, outcome: Outcome = "ok", parts: int = 1, port: int = 1, ended_s: float = 0) -> Op:
    return Op(7, seq, "autocommit", outcome, 0, ended_s, parts, port)


def test_a_clean_history() -> None:
    ops = [op(0), op(1, "fail"), op(2, "info"), op(3, "info"), op(4, parts=2)]
    rows = {(7, 0, 0): 1, (7, 3, 0): 1, (7, 4, 0): 1, (7, 4, 1): 1}
    found = account(ops, rows)
    assert found.is_clean
    assert found.unknown_done == 1
    assert found.outcomes == {"ok": 2, "fail": 1, "info": 2}


@pytest.mark.parametrize(
    ("ops", "rows", "name", "wrong"),
    [
        ([op(0)], {}, "lost", [(7, 0, 0)]),
        ([op(0, parts=2)], {(7, 0, 0): 1}, "lost", [(7, 0, 1)]),
        ([op(0)], {(7, 0, 0): 2}, "dup", [(7, 0, 0)]),
        ([op(0, "info")], {(7, 0, 0): 2}, "dup", [(7, 0, 0)]),
        ([op(0, "fail")], {(7, 0, 0): 1}, "phantom", [(7, 0, 0)]),
        ([op(0, "info", parts=2)], {(7, 0, 1): 1}, "torn", [(7, 0, 1)]),
        ([op(0)], {(7, 0, 0): 1, (7, 1, 0): 1}, "strange", [(7, 1, 0)]),
    ],
)
def test_a_mistake_is_found(
    ops: list[Op], rows: dict[Row, int], name: str, wrong: list[Row]
) -> None:
    found = account(ops, rows)
    assert not found.is_clean
    assert getattr(found, name) == wrong
    assert name in str(found)


@pytest.mark.parametrize("seed", range(20))
def test_planted_mistakes_are_found_all_of_them(seed: int) -> None:
    chance = random.Random(seed)
    ops = [op(seq, chance.choice(("ok", "fail", "info"))) for seq in range(300)]
    rows = {
        row: 1
        for each in ops
        if each.outcome == "ok" or (each.outcome == "info" and chance.random() < 0.5)
        for row in each.rows
    }
    assert account(ops, rows).is_clean
    lost = chance.sample([each.rows[0] for each in ops if each.outcome == "ok"], 3)
    phantom = chance.sample([each.rows[0] for each in ops if each.outcome == "fail"], 3)
    twice = chance.sample([row for row in rows if row not in lost], 3)
    for row in lost:
        del rows[row]
    rows |= dict.fromkeys(phantom, 1) | dict.fromkeys(twice, 2)
    found = account(ops, rows)
    assert sorted(found.lost) == sorted(lost)
    assert sorted(found.phantom) == sorted(phantom)
    assert sorted(found.dup) == sorted(twice)


@pytest.mark.parametrize(
    ("sqlstate", "lost", "outcome"),
    [
        ("", False, "ok"),
        ("25006", False, "fail"),
        ("40001", False, "fail"),
        ("53300", False, "fail"),
        ("08000", False, "fail"),  # waited for too long: never sent
        ("08000", True, "fail"),
        ("08007", False, "info"),
        ("08006", False, "info"),
        ("57P01", False, "info"),
        ("57P01", True, "info"),
        ("57P02", True, "info"),
        ("EOF", True, "info"),
    ],
)
def test_what_a_client_knows_of_a_statement(sqlstate: str, lost: bool, outcome: Outcome) -> None:
    assert outcome_of_statement(sqlstate, lost) == outcome


def test_what_a_client_knows_of_a_commit() -> None:
    assert outcome_of_commit("", lost=False, tag="COMMIT") == "ok"
    assert outcome_of_commit("", lost=False, tag="ROLLBACK") == "fail"
    assert outcome_of_commit("08007", lost=False, tag="") == "info"
    assert outcome_of_commit("40001", lost=False, tag="") == "fail"
    assert outcome_of_commit("EOF", lost=True, tag="") == "info"


def test_stalls_and_first_successes() -> None:
    ops = [op(seq, ended_s=at) for seq, at in enumerate((1.0, 1.5, 4.0, 4.25))]
    ops.append(op(9, "info", ended_s=3.0))
    assert longest_stall_s(ops, 0.5, 5.0) == 2.5
    assert longest_stall_s(ops, 0.5, 10.0) == 5.75  # up to the end is a stall, too
    assert longest_stall_s([], 0, 3) == 3
    moved = [*ops, op(10, port=2, ended_s=4.5), op(11, port=2, ended_s=4.1)]
    assert first_success_s(moved, 2, 2.0) == 4.1
    with pytest.raises(ValueError):
        first_success_s(moved, 3, 0)
    assert [each.seq for each in acknowledged_late(moved, 1, 4.1)] == [3]


def test_percentiles() -> None:
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile(values, 1) == 100
    assert percentile([3.0], 0.99) == 3
