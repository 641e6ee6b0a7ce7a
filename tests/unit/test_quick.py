"""Each name in the list of quick tests means a test, and the marker is there."""

import pytest

from tests.conftest import QUICK, ROOT


@pytest.mark.parametrize("beginning", QUICK)
def test_a_name_means_something(beginning: str) -> None:
    path, _, function = beginning.partition("::")
    assert (ROOT / path).exists()
    assert not function or f"def {function}(" in (ROOT / path).read_text()


def test_this_one_is_quick(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("quick") is not None


@pytest.mark.slow
def test_a_slow_one_is_not(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("quick") is None
