"""F7: the old primary goes on and takes writes beside the new one. From the first sight of the
higher timeline on, nothing is written on the lower."""

from collections.abc import Callable

import pytest

from tests.harness import Forebay
from tests.nemesis import faults
from tests.nemesis.account import acknowledged_late, first_success_s
from tests.nemesis.conftest import Note
from tests.nemesis.load import Shape
from tests.nemesis.pair import Pair
from tests.nemesis.rig import Rig, at

pytestmark = pytest.mark.nemesis


def test_the_lower_timeline_is_fenced(
    pair: Pair,
    watching_forebay: Callable[..., Forebay],
    shape: Shape,
    rounds: Callable[[int], int],
    note: Note,
) -> None:
    forebay = watching_forebay()
    with Rig(pair, at("Forebay", forebay.port), shape) as rig:
        for number in range(count := rounds(20)):
            rig.fail_over(faults.nothing)
            written = pair.standby.rows()
            rig.load.go_on(200)
            assert pair.standby.rows() == written, "the old one was written to"
            if number < count - 1:
                pair.rejoin()
        result = rig.finish()
    result.assert_idle_stayed()
    assert not result.account.dup
    assert not result.account.phantom
    # What the old one has acknowledged before the new one was seen is lost by PostgreSQL itself:
    # two servers took writes. Nothing that came later may be.
    switches = [
        (each, first_success_s(result.history.ops, each.new_port, each.struck_s))
        for each in result.rounds
    ]
    for each, switched_s in switches:
        late = acknowledged_late(result.history.ops, each.old_port, switched_s)
        assert [op for op in late if op.ended_s < each.over_s] == []
    ended_s = {(op.client, op.seq): op.ended_s for op in result.history.ops}
    for row in result.account.lost:
        at_s = ended_s[row[:2]]
        assert any(each.struck_s <= at_s <= switched_s for each, switched_s in switches), row
    note("F7 both writable", result)


def test_a_restart_of_the_node_does_not_forget_the_timeline(
    pair: Pair, watching_forebay: Callable[..., Forebay], shape: Shape
) -> None:
    """The one that starts anew sees both at once, and takes the higher timeline."""
    forebay = watching_forebay()
    with Rig(pair, at("Forebay", forebay.port), shape) as rig:
        rig.fail_over(faults.nothing)
        rig.finish()
    forebay.stop()
    forebay.start()
    written = pair.standby.rows()
    with Rig(pair, at("Forebay", forebay.port), Shape(idle=0, autocommit=4)) as rig:
        rig.load.go_on(40)
        result = rig.finish()
    assert pair.standby.rows() == written
    assert {op.port for op in result.history.ops} == {pair.primary.port}
