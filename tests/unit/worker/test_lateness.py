"""How late the loop is."""

from typing import Any, cast

import pytest

from forebay.worker.lateness import TICK_S, Lateness
from tests.unit.worker.clock import Clock


def test_what_is_missed_is_counted() -> None:
    clock = Clock()
    lateness = Lateness(cast(Any, clock))
    lateness.start()
    clock.pass_time(3.5 * TICK_S)
    assert (lateness.histogram.count, round(lateness.histogram.sum_us)) == (3, 0)
    lateness._tick(clock.now() - 0.25)
    assert lateness.histogram.count == 4
    assert lateness.histogram.sum_us == pytest.approx(250_000)
