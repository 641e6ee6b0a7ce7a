"""Micro-pools, bounded in number: users and databases are as many as clients care to name.

The first ``limit`` of a proxy are told apart, the most used ones first; the others are told
together, as (others). A micro-pool that is told apart stays so until it is gone, and what the
others count is added up look by look: so no counter of theirs falls, or rises by what is counted
elsewhere already.
"""

from collections.abc import Iterable, Mapping
from operator import add, attrgetter, ge, sub
from typing import Any, Final

import msgspec

from forebay.channel.figures import Number, PoolFigures, ProxyFigures
from forebay.metrics.labels import clean
from forebay.metrics.readers import OTHERS

LIMIT: Final = 500

Key = tuple[str, str]

COUNTERS: Final = (
    *("borrows", "transactions", "queries", "received_bytes", "sent_bytes", "transaction_us"),
    *("query_us", "wait_us", "client_parses", "server_parses", "binds", "replays"),
)
_GAUGES: Final = ("clients", "waiting", "connections", "opening", "idle", "borrowed")
_COUNTED: Final = attrgetter(*COUNTERS)
_SO_NOW: Final = attrgetter(*_GAUGES)
_NOTHING: Final[tuple[Number, ...]] = (0,) * len(COUNTERS)


class MicroPools:
    """What one exporter has told of micro-pools until now."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._proxies: dict[str, _Proxy] = {}

    def told(self, name: str, proxy: ProxyFigures, worker_started_at: float) -> list[PoolFigures]:
        """The micro-pools of a proxy as they are to be told, (others) last."""
        known = self._proxies.get(name)
        if known is None or known.worker_started_at != worker_started_at:
            known = self._proxies[name] = _Proxy(self._limit, worker_started_at)
        return known.told(_by_key(proxy.pools))

    def keep(self, names: Iterable[str]) -> None:
        """Forget all proxies but these."""
        wanted = set(names)
        self._proxies = {name: each for name, each in self._proxies.items() if name in wanted}


class _Proxy:
    def __init__(self, limit: int, worker_started_at: float) -> None:
        self.worker_started_at = worker_started_at
        self._limit = limit
        self._apart: set[Key] = set()
        # What the others have counted in all, and what each of them had when it was last seen.
        self._others = _NOTHING
        self._before: dict[Key, tuple[Number, ...]] = {}
        self._has_others = False

    def told(self, pools: Mapping[Key, PoolFigures]) -> list[PoolFigures]:
        self._apart &= pools.keys()
        left = [key for key in pools if key not in self._apart]
        room = self._limit - len(self._apart)
        if len(left) > room:
            left.sort(key=lambda key: pools[key].queries, reverse=True)
        self._apart.update(left[:room])
        self._apart.discard((OTHERS, OTHERS))  # somebody may be called so
        others = {key: pools[key] for key in left if key not in self._apart}
        found = [each for key, each in pools.items() if key in self._apart]
        if others or self._has_others:
            self._has_others = True
            found.append(self._add(others))
        return found

    def _add(self, others: Mapping[Key, PoolFigures]) -> PoolFigures:
        counted = {key: _COUNTED(each) for key, each in others.items()}
        for key, now in counted.items():
            before = self._before.get(key, _NOTHING)
            if now == before:  # most of very many do nothing
                continue
            if not all(map(ge, now, before)):
                before = _NOTHING  # it was gone meanwhile
            rises = map(sub, now, before)
            self._others = tuple(map(add, self._others, rises))
        self._before = counted
        gauges = [sum(column) for column in zip(*map(_SO_NOW, others.values()), strict=True)]
        values: dict[str, Any] = {
            **dict(zip(COUNTERS, self._others, strict=True)),
            **dict(zip(_GAUGES, gauges, strict=False)),  # without others there are none
            "waited_s": max((each.waited_s for each in others.values()), default=0.0),
        }
        return PoolFigures(database=OTHERS, user=OTHERS, **values)


def _by_key(pools: Iterable[PoolFigures]) -> dict[Key, PoolFigures]:
    """The micro-pools by their names as they are told; those that these do not tell apart, added
    up."""
    found: dict[Key, PoolFigures] = {}
    for each in pools:
        key = (clean(each.database), clean(each.user))
        found[key] = each if key not in found else _sum(found[key], each)
    return {
        key: each
        if (each.database, each.user) == key
        else msgspec.structs.replace(each, database=key[0], user=key[1])
        for key, each in found.items()
    }


def _sum(one: PoolFigures, other: PoolFigures) -> PoolFigures:
    names = (*_GAUGES, *COUNTERS)
    sums = {name: getattr(one, name) + getattr(other, name) for name in names}
    return msgspec.structs.replace(one, waited_s=max(one.waited_s, other.waited_s), **sums)
