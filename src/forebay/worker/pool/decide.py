"""The pool's decisions, without sockets or clocks: who may open a connection, and who must give one
up for it. (Who gets one that comes free: see `relay.census`.)
"""

from collections.abc import Iterable
from typing import NamedTuple

from forebay.relay import Census, MicroPool
from forebay.relay.census import OPENING_LIMIT


class Step(NamedTuple):
    """What to do next: open a connection for `pool`. `victim`: close its oldest idle one first."""

    pool: MicroPool
    victim: MicroPool | None = None


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
    if census.size < census.limit:
        return Step(pool)
    if census.idle == 0:
        return None
    victims = (each for each in pools if each.idle and each is not pool)
    victim = min(victims, key=lambda each: each.idle[0].idle_since, default=None)
    return None if victim is None else Step(pool, victim)
