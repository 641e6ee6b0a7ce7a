"""F8: nobody is promoted for longer than clients may wait."""

from collections.abc import Callable

import pytest

from tests.harness import Forebay, eventually
from tests.nemesis import faults
from tests.nemesis.conftest import IS_WHOLE, Note
from tests.nemesis.load import Shape
from tests.nemesis.pair import Pair
from tests.nemesis.rig import Rig, at

pytestmark = pytest.mark.nemesis

BORROW_TIMEOUT_S = 120 if IS_WHOLE else 2
NO_CONNECTION = "08000"


@pytest.mark.timeout(400)
def test_waiting_ends_at_the_borrow_timeout(
    pair: Pair,
    watching_forebay: Callable[..., Forebay],
    shape: Shape,
    note: Note,
) -> None:
    forebay = watching_forebay(pool={"connection_borrow_timeout": BORROW_TIMEOUT_S})
    with Rig(pair, at("Forebay", forebay.port), shape) as rig:
        rig.load.go_on(40)
        faults.kill_postmaster(pair)

        def each_has_waited() -> bool:
            waited = [op for op in list(rig.load.history.ops) if op.sqlstate == NO_CONNECTION]
            return len({op.client for op in waited}) == shape.autocommit + shape.transactions

        eventually(each_has_waited, "everyone has waited in vain", timeout_s=200)
        assert not rig.load.history.dropped
        pair.promote()
        rig.load.go_on(100)
        result = rig.finish()
    result.assert_clean()
    result.assert_idle_stayed()
    waited = [op for op in result.history.ops if op.sqlstate == NO_CONNECTION]
    assert {op.text for op in waited} == {"Timed-out waiting to acquire database connection."}
    assert {op.outcome for op in waited} == {"fail"}
    if IS_WHOLE:
        # In `make nemesis`, where nothing else runs: all within a second of the timeout.
        times = [op.ended_s - op.began_s for op in waited]
        assert all(abs(time_s - BORROW_TIMEOUT_S) <= 1 for time_s in times), sorted(times)
    note("F8 no writer", result)
