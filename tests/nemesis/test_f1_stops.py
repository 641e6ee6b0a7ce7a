"""F1: the primary is stopped, fast or at once, and the standby promoted."""

from collections.abc import Callable

import pytest

from tests.harness import Forebay
from tests.nemesis import faults
from tests.nemesis.conftest import POOL, Note
from tests.nemesis.faults import Fault
from tests.nemesis.load import Shape
from tests.nemesis.pair import Pair
from tests.nemesis.rig import Rig, at

pytestmark = pytest.mark.nemesis


@pytest.mark.parametrize("fault", [faults.fast_stop, faults.immediate_stop])
def test_a_stop_is_a_pause(
    pair: Pair,
    watching_forebay: Callable[..., Forebay],
    shape: Shape,
    fault: Fault,
    rounds: Callable[[int], int],
    note: Note,
) -> None:
    forebay = watching_forebay()
    with Rig(pair, at("Forebay", forebay.port), shape) as rig:
        rig.fail_over_often(fault, rounds(20))
        result = rig.finish()
    result.assert_clean()
    result.assert_idle_stayed()
    # Only what was under way at the server can have failed: one request for each connection.
    assert len(result.failed_between) <= POOL * len(result.rounds)
    assert not result.history.refused
    note(f"F1 {fault.__name__}", result, first_success_ms=300)


def test_the_transaction_may_be_tried_again(
    pair: Pair, watching_forebay: Callable[..., Forebay], shape: Shape
) -> None:
    """in_transaction_error = "retryable": no connection of a client's is closed for a transaction
    that is known to be aborted."""
    forebay = watching_forebay(proxy={"in_transaction_error": "retryable"})
    with Rig(pair, at("Forebay", forebay.port), shape) as rig:
        rig.fail_over(faults.fast_stop)
        result = rig.finish()
    result.assert_clean()
    result.assert_idle_stayed()
    aborted = {op.sqlstate for op in result.failed_between if op.outcome == "fail"}
    assert aborted <= {"40001", "57P01"}


def test_who_holds_something_is_told(pair: Pair, watching_forebay: Callable[..., Forebay]) -> None:
    """Clients with an advisory lock lose it with the server: they are told so, and come again; the
    others do not notice."""
    forebay = watching_forebay()
    shape = Shape(idle=10, autocommit=6, transactions=0, pinned=4)
    with Rig(pair, at("Forebay", forebay.port), shape) as rig:
        rig.fail_over(faults.fast_stop)
        rig.load.go_on(100)
        result = rig.finish()
    result.assert_clean()
    result.assert_idle_stayed()
    told = {op.client: op.sqlstate for op in result.failed_between if op.kind == "pinned"}
    assert len(told) == shape.pinned
    assert set(told.values()) == {"08006"}
