"""Each name in the list of quick tests means a test, and the marker is there."""

from pathlib import Path

import pytest

from tests.conftest import QUICK

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("beginning", QUICK)
def test_a_name_means_something(beginning: str) -> None:
    path, *names = beginning.split("::")
    assert (ROOT / path).exists()
    assert not names or f"def {names[-1]}(" in (ROOT / path).read_text()


def test_this_one_is_quick(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("quick") is not None


@pytest.mark.slow
def test_a_slow_one_is_not(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("quick") is None
