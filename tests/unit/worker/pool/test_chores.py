"""What is due for the connections to one database server."""

from typing import Any, cast

import pytest

from forebay.config.settings import LimitSettings, ProxySettings, TargetSettings
from forebay.worker.pool.chores import ASK_LIMITS_S, Chores, Timeouts
from tests.unit.worker.pool.pools import World

TIMEOUTS = Timeouts(120, 1800, 86_400, 300, 86_400)


@pytest.mark.parametrize("borrow_timeout_s", [120.0, 0.0])
def test_each_user_waits_as_long_as_it_may(borrow_timeout_s: float) -> None:
    """Who has waited longest is not the first whose time is over."""
    world = World(limit=1)
    own = {
        "quick": LimitSettings(query_wait_timeout=2),
        "slow": LimitSettings(query_wait_timeout=9),
    }
    target = TargetSettings(hosts=["db"])
    world.manager.groups.apply(ProxySettings(target=target, users=own))
    timeouts = Timeouts(borrow_timeout_s, 1800, 86_400, 300, 86_400)
    chores = Chores(cast(Any, world.clock), world.manager)
    world.client("holding")
    names = ["other", "slow", "quick", "quick"]
    clients = [world.client(name) for name in names]

    def refused_after(duration_s: float) -> list[str]:
        world.clock.pass_time(duration_s)
        chores.tick(world.clock.now(), timeouts)
        world.settle()
        refused = [client.error is not None for client in clients]
        return [name for name, is_refused in zip(names, refused, strict=True) if is_refused]

    at_once = ["other"] if borrow_timeout_s == 0 else []
    assert refused_after(1.9) == at_once
    assert refused_after(0.2) == [*at_once, "quick", "quick"]
    assert refused_after(6.8) == [*at_once, "quick", "quick"]
    assert refused_after(0.2) == [*at_once, "slow", "quick", "quick"]
    assert refused_after(120) == names


def test_the_limits_are_asked_for_once_a_minute() -> None:
    world = World(limit=2)
    chores = Chores(cast(Any, world.clock), world.manager)
    world.done(world.client())
    (connection,) = world.open
    chores.slow_tick(world.clock.now(), TIMEOUTS)
    assert connection.ran == []
    world.clock.pass_time(ASK_LIMITS_S)
    for _ in range(2):
        chores.slow_tick(world.clock.now(), TIMEOUTS)
    assert len(connection.ran) == 1


def test_surplus_connections_are_closed_and_unused_pools_forgotten() -> None:
    world = World(limit=4, idle_percent=0)
    chores = Chores(cast(Any, world.clock), world.manager)
    clients = world.clients(2)
    world.done(*clients)
    for client in clients:
        client.pool.note_clients(-1)
    world.clock.pass_time(TIMEOUTS.max_idle_time_s + 1)
    chores.slow_tick(world.clock.now(), TIMEOUTS)
    assert world.open == []
    assert not world.manager.pools
