"""Counts that do not add up are noticed."""

import pytest

from forebay.worker.pool.counts import assert_counts
from tests.unit.worker.pool.pools import World


@pytest.mark.parametrize("name", ["size", "opening", "idle", "waiting", "in_demand"])
def test_each_count(name: str) -> None:
    world = World(limit=1)
    world.clients(2)
    census, pools = world.manager.census, world.manager.pools.values()
    assert_counts(census, pools, 1)
    setattr(census, name, getattr(census, name) + 1)
    with pytest.raises(AssertionError, match="counted, of"):
        assert_counts(census, pools, 1)


def test_connections_that_are_nowhere() -> None:
    world = World(limit=1)
    world.clients(1)
    with pytest.raises(AssertionError, match="0 idle \\+ 1 borrowed, of 2"):
        assert_counts(world.manager.census, world.manager.pools.values(), 2)
