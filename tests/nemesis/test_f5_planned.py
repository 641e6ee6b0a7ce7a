"""F5: a planned switchover: `forebay pause`, the old one is stopped, the new one promoted, and
Forebay goes on by itself. No client sees an error."""

from collections.abc import Callable

import pytest

from tests.harness import Forebay
from tests.nemesis import faults
from tests.nemesis.conftest import Note
from tests.nemesis.load import Shape
from tests.nemesis.pair import Pair
from tests.nemesis.rig import Rig, at

pytestmark = pytest.mark.nemesis


def test_a_switchover_is_not_seen(
    pair: Pair,
    watching_forebay: Callable[..., Forebay],
    shape: Shape,
    rounds: Callable[[int], int],
    note: Note,
) -> None:
    forebay = watching_forebay()

    def planned(both: Pair) -> None:
        forebay.command("pause").ok()
        faults.fast_stop(both)

    with Rig(pair, at("Forebay", forebay.port), shape) as rig:
        rig.fail_over_often(planned, rounds(50))
        result = rig.finish()
    result.assert_clean()
    result.assert_idle_stayed()
    assert not result.failed_between, result.failed_between[:5]
    assert not result.history.refused
    note("F5 planned", result, first_success_ms=300, stall_ms=1000)
