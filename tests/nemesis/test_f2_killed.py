"""F2: the postmaster is killed while sessions compute: they go on, commit, and acknowledge, at a
time when another server may write already."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.harness import Forebay
from tests.nemesis import faults
from tests.nemesis.account import acknowledged_late, first_success_s
from tests.nemesis.conftest import Note
from tests.nemesis.load import Shape
from tests.nemesis.pair import Pair
from tests.nemesis.rig import Rig, at

pytestmark = pytest.mark.nemesis


def kill_without_waiting(pair: Pair) -> None:
    """Commits no longer wait for the standby: what computes now will be acknowledged."""
    pair.stop_waiting()
    faults.kill_postmaster(pair)


def test_a_killed_postmaster_loses_nothing(
    pair: Pair,
    watching_forebay: Callable[..., Forebay],
    shape: Shape,
    rounds: Callable[[int], int],
    note: Note,
) -> None:
    forebay = watching_forebay()
    with Rig(pair, at("Forebay", forebay.port), replace(shape, busy=4)) as rig:
        rig.fail_over_often(faults.kill_postmaster, rounds(20))
        result = rig.finish()
    result.assert_clean()
    result.assert_idle_stayed()
    for each in result.rounds:
        switched_s = first_success_s(result.history.ops, each.new_port, each.struck_s)
        late = acknowledged_late(result.history.ops, each.old_port, switched_s)
        assert [op for op in late if op.ended_s < each.over_s] == []
    note("F2 kill -9 postmaster", result, first_success_ms=300)


def test_orphans_are_not_heard_after_the_switch(
    pair: Pair, watching_forebay: Callable[..., Forebay], shape: Shape
) -> None:
    """Without synchronous replication PostgreSQL itself loses what was acknowledged before the
    switch; what is acknowledged after it is Forebay's to prevent."""
    forebay = watching_forebay()
    with Rig(pair, at("Forebay", forebay.port), replace(shape, busy=8)) as rig:
        each = rig.fail_over(kill_without_waiting)
        result = rig.finish()
    switched_s = first_success_s(result.history.ops, each.new_port, each.struck_s)
    assert acknowledged_late(result.history.ops, each.old_port, switched_s) == []
    assert not result.account.dup
    assert not result.account.phantom
    ended_s = {(op.client, op.seq): op.ended_s for op in result.history.ops}
    assert [row for row in result.account.lost if ended_s[row[:2]] > switched_s] == []
