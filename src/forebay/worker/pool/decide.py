"""The pool's decisions, without sockets or clocks: who may open a connection, and who must give one
up.

A micro-pool is *needy* when more clients wait in it than connections are being opened for it.
"""

from collections.abc import Iterable, Sequence
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar


class Waiting(Protocol):
    """A client in a queue."""

    waits_since: float


class Idle(Protocol):
    """A connection that nobody uses."""

    idle_since: float


class Pool(Protocol):
    """What deciding needs to know of a micro-pool."""

    @property
    def first_waiter(self) -> Waiting | None: ...
    @property
    def waiting(self) -> int: ...
    @property
    def opening(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def idle(self) -> Sequence[Idle]: ...


P = TypeVar("P", bound=Pool)


class Step(NamedTuple, Generic[P]):
    """What to do next. ``open``: for `pool`. ``evict``: close the oldest idle one of `victim`, then
    open for `pool`. ``starved``: nothing can be done for `pool` until a connection comes free."""

    action: Literal["open", "evict", "starved"]
    pool: P
    victim: P | None = None


def neediest(pools: Iterable[P]) -> P | None:
    """The needy pool whose first client has waited longest."""
    best: P | None = None
    best_since = 0.0
    for pool in pools:
        first = pool.first_waiter
        if first is None or pool.waiting <= pool.opening:
            continue
        if best is None or first.waits_since < best_since:
            best, best_since = pool, first.waits_since
    return best


def next_step(
    pools: Iterable[P], needy: Iterable[P], limit: int | None, opening_limit: int
) -> Step[P] | None:
    """What to do for the waiting clients; None when there is nothing to do, or only to wait for
    connections that are being opened. `needy`: the pools that may try now (others back off).

    `limit` is None until the database has told its own: one connection is opened to ask.
    """
    pools = list(pools)
    pool = neediest(needy)
    if pool is None:
        return None
    opening = sum(each.opening for each in pools)
    if opening >= opening_limit:
        return None
    total = sum(each.size for each in pools)
    if limit is None:
        return Step("open", pool) if total == 0 else None
    if total < limit:
        return Step("open", pool)
    victims = [each for each in pools if each.idle and each is not pool]
    if victims:
        return Step("evict", pool, min(victims, key=lambda each: each.idle[0].idle_since))
    return Step("starved", pool)


def claimant(pools: Iterable[P], needy: Iterable[P], owner: P, limit: int) -> P | None:
    """Another pool that a connection which `owner` gives back should go to; None: `owner` keeps it.
    `needy`: the pools that could open one now, as for `next_step`.

    The longer wait wins, as long as its pool has less than an equal share: beyond that, moving a
    connection (closing one, opening another) would cost more than it brings.
    """
    pools = list(pools)
    other = neediest(each for each in needy if each is not owner)
    if other is None or other.first_waiter is None:
        return None
    mine = owner.first_waiter
    if mine is None:
        return other
    with_demand = sum(1 for each in pools if each.size or each.waiting)
    share = max(1, limit // with_demand)
    older = other.first_waiter.waits_since < mine.waits_since
    return other if older and other.size < share else None
