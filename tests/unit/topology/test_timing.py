"""How often servers are asked."""

import pytest

from forebay.topology.timing import Timing


@pytest.mark.parametrize(("chance", "pace_s"), [(0.0, 0.45), (0.5, 0.5), (1.0, 0.55)])
def test_calm_probes_are_spread(chance: float, pace_s: float) -> None:
    assert Timing(chance=lambda: chance).pace(False, False) == pytest.approx(pace_s)


def test_trouble_and_rejection() -> None:
    timing = Timing()
    assert timing.pace(True, False) == 0.1
    assert timing.pace(True, True) == timing.pace(False, True) == 1.0


def test_by_default_the_spread_is_used() -> None:
    paces = {Timing().pace(False, False) for _ in range(20)}
    assert len(paces) > 1
    assert all(0.45 <= each <= 0.55 for each in paces)
