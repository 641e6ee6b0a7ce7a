"""Limits of single users and databases: what holds for which micro-pool.

The connections and clients of each user, or database, that has a limit are counted by a `Group`,
which the census obeys. Users are the identities whose connections clients share, so that clients
who log in by several names and share connections are limited as one.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from forebay.config.settings import LimitSettings, PoolSettings, ProxySettings
from forebay.protocol import errors
from forebay.protocol.errors import PgError
from forebay.relay import Census, Group, MicroPool
from forebay.relay.census import Line
from forebay.relay.connection import Place
from forebay.worker.pool.holders import quoted
from forebay.worker.pool.holds import name_of

NO_LIMIT = -1
_NONE = LimitSettings()

Name = TypeVar("Name", str, bytes)


class Groups:
    """The groups of one proxy's micro-pools. ``apply`` says what holds; until then nothing does."""

    def __init__(self, census: Census, pools: Mapping[tuple[str, str], MicroPool]) -> None:
        self._census = census
        self._pools = pools
        self._users: dict[str, LimitSettings] = {}
        self._databases: dict[bytes, LimitSettings] = {}
        self._user_groups: dict[str, Group] = {}
        self._database_groups: dict[bytes, Group] = {}
        self._query_timeout_s = self._idle_transaction_timeout_s = 0.0
        self._shortest_wait_s = math.inf
        # Of anybody's timeouts of requests, and of idle transactions; infinite if there is none.
        self.shortest_query_timeout_s = self.shortest_idle_transaction_timeout_s = math.inf

    def apply(self, settings: ProxySettings) -> None:
        """These limits hold from now on, for the micro-pools that there are, too."""
        self._users = dict(settings.users)
        # A database's name is cut as PostgreSQL does, or a longer one would escape the limit.
        self._databases = {name_of(name): each for name, each in settings.databases.items()}
        self._query_timeout_s = settings.pool.query_timeout
        self._idle_transaction_timeout_s = settings.pool.idle_transaction_timeout
        self._user_groups = _grouped(self._user_groups, self._users)
        self._database_groups = _grouped(self._database_groups, self._databases)
        tables = (*self._users.values(), *self._databases.values())
        self._shortest_wait_s = min((_wait_s(each) for each in tables), default=math.inf)
        limited: tuple[PoolSettings | LimitSettings, ...] = (settings.pool, *tables)
        self.shortest_query_timeout_s = _shortest(each.query_timeout for each in limited)
        self.shortest_idle_transaction_timeout_s = _shortest(
            each.idle_transaction_timeout for each in limited
        )
        for pool in self._pools.values():
            self.join(pool)
        for group in self._all():
            self._census.release(group)  # its limit may be higher

    def of(self, pool: MicroPool) -> tuple[Group | None, Group | None]:
        """The groups here of the user and of the database of `pool`, which may be another
        server's; None: there is no limit."""
        database_group = self._database_groups.get(name_of(pool.database))
        return self._user_groups.get(pool.user), database_group

    def join(self, pool: MicroPool) -> None:
        """Let `pool` come under the limits of its user and its database."""
        user_group, database_group = self.of(pool)
        if (user_group, database_group) != (pool.user_group, pool.database_group):
            pool.join(user_group, database_group)

    def lines(self) -> Iterator[Line]:
        """All lines of micro-pools in which clients wait."""
        yield self._census
        yield from self._all()

    def longest_wait(self) -> Place | None:
        """The place of the client that has waited longest, of all; None if nobody waits."""
        firsts = [line.first for line in self.lines() if line.first is not None]
        pool = min(firsts, key=lambda each: each.waits_since, default=None)
        return None if pool is None else pool.first_waiter

    def _all(self) -> Iterator[Group]:
        yield from self._user_groups.values()
        yield from self._database_groups.values()

    def _tables(self, pool: MicroPool) -> tuple[LimitSettings, LimitSettings]:
        user = self._users.get(pool.user, _NONE)
        return user, self._databases.get(name_of(pool.database), _NONE)

    # ---- connections ----

    @property
    def is_over(self) -> bool:
        """Whether a user or a database has more connections than allowed."""
        return any(group.is_over for group in self._all())

    def has_room(self, database: str, user: str) -> bool:
        """Whether another connection may be opened, without closing one."""
        groups = self._user_groups.get(user), self._database_groups.get(name_of(database))
        return not any(group is not None and group.is_full(None) for group in groups)

    def is_at_limit(self, pool: MicroPool) -> bool:
        """Whether the user or the database of `pool` has no fewer connections than allowed."""
        groups = pool.user_group, pool.database_group
        return any(each is not None and 0 <= each.limit <= each.size for each in groups)

    def limits_in_words(self, pool: MicroPool) -> list[str]:
        """The limits because of which `pool` can have no more connections at this moment."""
        named = (
            (pool.user_group, f"user {quoted(pool.user)}"),
            (pool.database_group, f"database {quoted(pool.database)}"),
        )
        return [
            f"At most {group.limit} database connections are for {whose}."
            for group, whose in named
            if group is not None and group.is_full(pool)
        ]

    def assert_counts(self) -> None:
        """What is counted in each group is what its micro-pools have."""
        for group in self._all():
            pools = [
                each
                for each in self._pools.values()
                if group is each.user_group or group is each.database_group
            ]
            size, idle = sum(each.size for each in pools), sum(len(each.idle) for each in pools)
            in_demand = sum(each.size > 0 or each.waiting > 0 for each in pools)
            clients = sum(each.clients for each in pools)
            counted = group.size, group.idle, group.in_demand, group.clients
            if counted != (size, idle, in_demand, clients):
                raise AssertionError(f"{counted} counted in a group, of {size, idle, in_demand}")
            if group.first is not None and group.has_room(None):
                raise AssertionError("a micro-pool waits for room in its group, and there is some")
            if group.kept is not None and (not group.kept.waiting or group.kept.line is group):
                raise AssertionError("room in a group is kept for a micro-pool that needs none")

    @property
    def has_timeouts(self) -> bool:
        """Whether there is any timeout of requests or of idle transactions."""
        shortest_s = min(self.shortest_query_timeout_s, self.shortest_idle_transaction_timeout_s)
        return shortest_s < math.inf

    # ---- clients ----

    def refusal(
        self, pool: MicroPool, user: str, everywhere: Iterable["Groups"] = ()
    ) -> PgError | None:
        """Why nobody else may log in as `user` to have connections of `pool`; None if they may.
        `everywhere`: the groups of all servers of the proxy, these included, if there are others:
        their clients count together."""
        of_user, of_database = self._tables(pool)
        groups = list(everywhere) or [self]
        counted = [each.of(pool) for each in groups]
        if _is_at(of_user.max_client_connections, (each for each, _ in counted)):
            return errors.too_many_connections_for_role(user)
        if _is_at(of_database.max_client_connections, (each for _, each in counted)):
            return errors.too_many_connections_for_database(pool.database)
        return None

    # ---- timeouts ----

    def query_timeout_s(self, pool: MicroPool) -> float:
        """How long the database may take for a request of a client of `pool`; 0.0: no matter."""
        own = [each.query_timeout for each in self._tables(pool)]
        return _shorter(own, self._query_timeout_s)

    def idle_transaction_timeout_s(self, pool: MicroPool) -> float:
        """How long a client of `pool` may be idle in a transaction; 0.0: no matter how long."""
        own = [each.idle_transaction_timeout for each in self._tables(pool)]
        return _shorter(own, self._idle_transaction_timeout_s)

    def wait_timeout_s(self, pool: MicroPool, borrow_timeout_s: float) -> float:
        """How long clients of `pool` wait for a connection. `borrow_timeout_s`: those that have no
        timeout of their own."""
        own = min(map(_wait_s, self._tables(pool)))
        return borrow_timeout_s if own == math.inf else own

    def overdue(self, now: float, borrow_timeout_s: float) -> list[tuple[MicroPool, float]]:
        """The micro-pools whose first clients have waited too long, each with its timeout.

        Each line is in the order of the firsts: it is walked as far as anybody's timeout can be
        over. Where nobody waits at all (0) that is to its end.
        """
        shortest_s = min(borrow_timeout_s, self._shortest_wait_s)
        found = []
        for line in self.lines():
            pool = line.first
            while pool is not None and (shortest_s == 0 or pool.waits_since <= now - shortest_s):
                timeout_s = self.wait_timeout_s(pool, borrow_timeout_s)
                if timeout_s == 0 or pool.waits_since <= now - timeout_s:
                    found.append((pool, timeout_s))
                pool = pool.behind
        return found


def _grouped(
    before: Mapping[Name, Group], limited: Mapping[Name, LimitSettings]
) -> dict[Name, Group]:
    """The groups of those that have a limit; the ones from `before`, as far as they were there."""
    groups = {}
    for name, limits in limited.items():
        if limits.max_connections is None and limits.max_client_connections is None:
            continue
        group = groups[name] = before.get(name) or Group()
        group.limit = NO_LIMIT if limits.max_connections is None else limits.max_connections
    return groups


def _is_at(limit: int | None, groups: Iterable[Group | None]) -> bool:
    if limit is None:
        return False
    return sum(each.clients for each in groups if each is not None) >= limit


def _wait_s(limits: LimitSettings) -> float:
    return math.inf if limits.query_wait_timeout is None else limits.query_wait_timeout


def _shortest(timeouts: Iterable[float | None]) -> float:
    return min(filter(None, timeouts), default=math.inf)


def _shorter(own: Iterable[float | None], of_all_s: float) -> float:
    """A timeout of a user's and a database's tables, None where they say nothing; else the one of
    all. 0.0: none."""
    given = [each for each in own if each is not None]
    shortest_s = _shortest(given)
    return of_all_s if not given else 0.0 if shortest_s == math.inf else shortest_s
