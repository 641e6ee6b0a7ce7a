"""The limits of a proxy, how much of each is used, and where each number comes from. Pure."""

from collections.abc import Iterator, Mapping
from itertools import islice

import msgspec

from forebay.channel.figures import Number
from forebay.config.reading import dotted
from forebay.config.settings import LimitSettings, PoolSettings, ProxySettings
from forebay.node.status import ProxyStatus


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """One limit. ``value`` None: not known yet. ``used``: of it now; None where that has no
    meaning. ``source``: in words; ``key``: of the configuration; ``is_default``: nobody set it."""

    what: str
    value: float | None
    unit: str = ""
    used: float | None = None
    source: str = ""
    key: str = ""
    is_default: bool = True


# Of limits of single users and databases so many are told.
MOST_OWN = 50
# Keys of [proxies.NAME] and [proxies.NAME.pool], in words, with their units.
_PROXY_KEYS = {
    "idle_client_timeout": ("A client may be silent for", "s"),
    "max_client_age": ("A client may stay for", "s"),
    "login_timeout": ("A login may take", "s"),
}
_POOL_KEYS = {
    "connection_borrow_timeout": ("A client waits for a connection for", "s"),
    "max_idle_time": ("A surplus connection is kept for", "s"),
    "max_connection_age": ("A connection is kept for", "s"),
    "query_timeout": ("A query may take", "s"),
    "idle_transaction_timeout": ("A transaction may be idle for", "s"),
}
# With 0 there is no such limit.
_MAY_BE_NONE = ("query_timeout", "idle_transaction_timeout")
# Keys of [proxies.NAME.users.USER] and [proxies.NAME.databases.DATABASE].
_OWN_KEYS = {
    "max_connections": ("database connections", ""),
    "max_client_connections": ("clients", ""),
    "query_timeout": ("a query may take", "s"),
    "idle_transaction_timeout": ("a transaction may be idle for", "s"),
    "query_wait_timeout": ("a client waits for a connection for", "s"),
}


def limits_of(
    name: str, proxy: ProxySettings, status: ProxyStatus, numbers: Mapping[str, Number]
) -> list[Limit]:
    """The most important ones first."""
    pool, where = proxy.pool, f"proxies.{name}"
    allowed = status.max_database_connections_allowed
    by_number = pool.max_connections is not None and allowed == pool.max_connections
    key = "max_connections" if by_number else "max_connections_percent"
    return [
        Limit(
            what="Database connections",
            value=allowed,
            used=numbers.get("database_connections"),
            source=status.limit,
            key=f"{where}.pool.{key}",
            is_default=_is_default(pool, key),
        ),
        Limit(
            what="Idle connections that are kept",
            value=_idle_limit(pool, numbers),
            used=numbers.get("database_connections_idle"),
            source=f"{pool.max_idle_connections_percent} % of the same",
            key=f"{where}.pool.max_idle_connections_percent",
            is_default=pool.max_idle_connections_percent == pool.max_connections_percent // 2,
        ),
        Limit(
            what="Clients",
            value=proxy.max_client_connections,
            used=numbers.get("client_connections"),
            key=f"{where}.max_client_connections",
            is_default=_is_default(proxy, "max_client_connections"),
        ),
        Limit(
            what="Clients in the queue",
            value=pool.max_waiting_clients,
            used=numbers.get("clients_waiting"),
            key=f"{where}.pool.max_waiting_clients",
            is_default=_is_default(pool, "max_waiting_clients"),
        ),
        *_times(pool, f"{where}.pool", _POOL_KEYS, numbers),
        *_times(proxy, where, _PROXY_KEYS, {}),
        *islice(_own("User", proxy.users, f"{where}.users"), MOST_OWN),
        *islice(_own("Database", proxy.databases, f"{where}.databases"), MOST_OWN),
    ]


def _own(what: str, limits: Mapping[str, LimitSettings], where: str) -> Iterator[Limit]:
    """Those of single users, or databases."""
    for name, own in limits.items():
        for key, (words, unit) in _OWN_KEYS.items():
            value = getattr(own, key)
            if value is not None:
                yield Limit(
                    what=f"{what} {name}: {words}",
                    value=value,
                    unit=unit,
                    key=dotted((*where.split("."), name, key)),
                    is_default=False,
                )


def _times(
    settings: msgspec.Struct,
    where: str,
    keys: Mapping[str, tuple[str, str]],
    numbers: Mapping[str, Number],
) -> list[Limit]:
    used = {"connection_borrow_timeout": numbers.get("clients_waiting_longest_s")}
    return [
        Limit(
            what=what,
            value=getattr(settings, key),
            unit=unit,
            used=used.get(key),
            key=f"{where}.{key}",
            is_default=_is_default(settings, key),
        )
        for key, (what, unit) in keys.items()
        if key not in _MAY_BE_NONE or getattr(settings, key)
    ]


def _is_default(settings: msgspec.Struct, key: str) -> bool:
    field = next(each for each in msgspec.structs.fields(settings) if each.name == key)
    return bool(getattr(settings, key) == field.default)


def _idle_limit(pool: PoolSettings, numbers: Mapping[str, Number]) -> float | None:
    """As the budget computes it: a share of what the server allows, rounded down."""
    maximum = numbers.get("server_max_connections")
    if not maximum:
        return None
    usable = maximum - numbers.get("server_reserved_connections", 0)
    return usable * pool.max_idle_connections_percent // 100
