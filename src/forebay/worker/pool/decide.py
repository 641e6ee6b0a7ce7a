"""The pool's decisions, without sockets or clocks: who may open a connection, and who must give one
up for it. (Who gets one that comes free: see `relay.census`.)
"""

from collections.abc import Iterable
from typing import NamedTuple

from forebay.relay import Census, Group, MicroPool
from forebay.relay.census import OPENING_LIMIT


class Step(NamedTuple):
    """What to do next: open a connection for `pool`. `victims`: close the oldest idle one of each
    of these first."""

    pool: MicroPool
    victims: tuple[MicroPool, ...] = ()


def next_step(census: Census, pools: Iterable[MicroPool], now: float) -> Step | None:
    """Returns what to do for the waiting clients; None if nothing is to be done but to wait for
    connections that come free or are being opened. `pools` are those that have connections.

    While the database has not told its limit, one connection is opened to ask.
    """
    pool = census.neediest(None, now)
    if pool is None or census.opening >= OPENING_LIMIT:
        return None
    if census.limit < 0:
        return Step(pool) if census.size == 0 else None
    groups = (pool.user_group, pool.database_group)
    full = [group for group in groups if group is not None and group.is_full(pool)]
    if not full and census.size < census.limit:
        return Step(pool)
    if census.idle == 0:
        return None
    idle = {each for each in pools if each.idle and each is not pool}
    # No connection of another micro-pool is in both of the groups.
    found = [_longest_idle(each for each in idle if _is_in(each, group)) for group in full]
    victims = tuple(each for each in found or [_longest_idle(idle)] if each is not None)
    return Step(pool, victims) if len(victims) == max(1, len(full)) else None


def _longest_idle(pools: Iterable[MicroPool]) -> MicroPool | None:
    return min(pools, key=lambda each: each.idle[0].idle_since, default=None)


def _is_in(pool: MicroPool, group: Group) -> bool:
    return group is pool.user_group or group is pool.database_group
