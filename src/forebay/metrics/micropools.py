"""Micro-pools, bounded in number: users and databases are as many as clients care to name.

The first ``limit`` of a proxy are told apart, the most used ones first; the others are told
together, as (others). A micro-pool that is told apart stays so until it is gone, and what the
others count is added up look by look: so no counter of theirs falls, or rises by what is counted
elsewhere already.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from forebay.channel.figures import PoolFigures, ProxyFigures
from forebay.metrics.labels import clean
from forebay.metrics.readers import OTHERS

LIMIT: Final = 500

Key = tuple[str, str]

COUNTERS: Final = (
    *("borrows", "transactions", "queries", "received_bytes", "sent_bytes", "transaction_us"),
    *("query_us", "wait_us", "client_parses", "server_parses", "binds", "replays"),
)
_GAUGES: Final = ("clients", "waiting", "connections", "opening", "idle", "borrowed")


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
        self._others: dict[str, Any] = dict.fromkeys(COUNTERS, 0)
        self._others_before: dict[Key, PoolFigures] = {}
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

    def _add(self, others: dict[Key, PoolFigures]) -> PoolFigures:
        for key, each in others.items():
            before = self._others_before.get(key)
            is_same = before is not None and all(
                getattr(each, name) >= getattr(before, name) for name in COUNTERS
            )
            for name in COUNTERS:
                self._others[name] += getattr(each, name)
                if before is not None and is_same:
                    self._others[name] -= getattr(before, name)
        self._others_before = others
        sums: dict[str, Any] = {
            name: sum(getattr(each, name) for each in others.values()) for name in _GAUGES
        }
        sums["waited_s"] = max((each.waited_s for each in others.values()), default=0.0)
        return PoolFigures(database=OTHERS, user=OTHERS, **sums, **self._others)


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
