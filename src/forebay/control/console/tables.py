"""What SHOW shows but statistics, clients and servers: PgBouncer's columns, and its types.

``columns_of`` and ``TABLES`` have one entry for each command that has rows. (PgBouncer: admin.c.)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from forebay import __version__
from forebay.channel import AdminColumn, PinRow, PoolFigures, ProxyFigures, ProxyView
from forebay.config.addresses import parse_address
from forebay.config.settings import LimitSettings, ProxySettings
from forebay.control.console import settings as configuration
from forebay.control.console import sockets, stats
from forebay.control.console.grammar import PARAMETERS
from forebay.control.console.stats import Sample, by_database

Row = list[str | None]

POOL_MODE: Final = "transaction"
NO_LIMITS: Final = LimitSettings()


@dataclass(frozen=True, slots=True)
class Subject:
    """What there is to show of one proxy. ``users``: who may log in, as far as Forebay knows;
    ``now`` and ``before``: samples of what is counted."""

    settings: ProxySettings
    figures: ProxyFigures
    view: ProxyView
    users: Sequence[str]
    paused: frozenset[str]
    now: Sample
    before: Sample | None

    def number(self, name: str) -> int:
        """A figure of the proxy's, 0 if it is not known."""
        return int(self.figures.numbers.get(name, 0))


def _columns(text: str) -> list[AdminColumn]:
    """``name`` is text, ``name:int4`` is that."""
    found: list[AdminColumn] = []
    for each in text.split():
        name, _, kind = each.partition(":")
        match kind:
            case "int4" | "int8" | "numeric" | "bool":
                found.append((name, kind))
            case _:
                found.append((name, "text"))
    return found


COLUMNS: Final[dict[str, list[AdminColumn]]] = {
    "CLIENTS": sockets.COLUMNS,
    "CONFIG": configuration.COLUMNS,
    "DATABASES": _columns(
        "name host port:int4 database force_user pool_size:int4 min_pool_size:int4"
        " reserve_pool_size:int4 server_lifetime:int4 pool_mode load_balance_hosts"
        " max_connections:int4 current_connections:int4 max_client_connections:int4"
        " current_client_connections:int4 paused:int4 disabled:int4"
    ),
    "HELP": [],
    "HOLDERS": sockets.HOLDER_COLUMNS,
    "LISTS": _columns("list items:int4"),
    "PINS": _columns(
        "reason digest application_name count:int8 now:int4 total_time:numeric"
        " longest_time:numeric hint"
    ),
    "POOLS": _columns(
        "database user cl_active:int4 cl_waiting:int4 cl_active_cancel_req:int4"
        " cl_waiting_cancel_req:int4 sv_active:int4 sv_active_cancel:int4"
        " sv_being_canceled:int4 sv_idle:int4 sv_used:int4 sv_tested:int4 sv_login:int4"
        " maxwait:int4 maxwait_us:int4 pool_mode load_balance_hosts"
    ),
    "SERVERS": sockets.COLUMNS,
    "STATE": _columns("key value"),
    "STATS": stats.stats_columns(),
    "STATS_AVERAGES": stats.averages_columns(),
    "STATS_TOTALS": stats.totals_columns(),
    "TOTALS": _columns("name value:numeric"),
    "USERS": _columns(
        "name pool_size reserve_pool_size pool_mode max_user_connections:int4"
        " current_connections:int4 max_user_client_connections:int4"
        " current_client_connections:int4"
    ),
    "VERSION": _columns("version"),
    **{name: _columns(name.lower()) for name in PARAMETERS},
}


def _databases(subject: Subject) -> list[Row]:
    settings = subject.settings
    target = parse_address(subject.figures.target, wildcard=False)
    pools = by_database(subject.figures.pools)
    pools.setdefault(settings.target.database, [])
    limit = str(subject.number("max_database_connections_allowed"))
    return [
        [
            name,
            target.host or None,
            str(target.port),
            name,
            None,
            limit,
            "0",
            "0",
            str(int(settings.pool.max_connection_age)),
            POOL_MODE,
            None,
            _or(settings.databases.get(name, NO_LIMITS).max_connections, limit),
            str(sum(each.connections for each in own)),
            _or(
                settings.databases.get(name, NO_LIMITS).max_client_connections,
                str(settings.max_client_connections),
            ),
            str(sum(each.clients for each in own)),
            str(int(bool(subject.paused & {name, ""}))),
            "0",
        ]
        for name, own in sorted(pools.items())
    ]


def _or(own: int | None, others: str) -> str:
    """A limit of its own, or that of all together."""
    return others if own is None else str(own)


def _pools(subject: Subject) -> list[Row]:
    pools = sorted(subject.figures.pools, key=lambda each: (each.database, each.user))
    return [_pool(each) for each in pools]


def _pool(pool: PoolFigures) -> Row:
    seconds = int(pool.waited_s)
    numbers = (
        *(pool.clients - pool.waiting, pool.waiting, 0, 0),
        *(pool.borrowed, 0, 0, pool.idle, 0, 0, pool.opening),
        *(seconds, int((pool.waited_s - seconds) * 1e6)),
    )
    return [pool.database, pool.user, *map(str, numbers), POOL_MODE, None]


def _lists(subject: Subject) -> list[Row]:
    clients = subject.number("client_connections")
    connections = subject.number("database_connections")
    allowed = subject.number("max_database_connections_allowed")
    items = {
        "databases": len(_databases(subject)),
        "users": len(_user_names(subject)),
        "peers": 0,
        "pools": len(subject.figures.pools),
        "peer_pools": 0,
        "free_clients": max(0, subject.settings.max_client_connections - clients),
        "used_clients": clients,
        "login_clients": subject.number("logins_under_way"),
        "free_servers": max(0, allowed - connections),
        "used_servers": connections,
        "dns_names": 0,
        "dns_zones": 0,
        "dns_queries": 0,
        "dns_pending": 0,
    }
    return [[name, str(count)] for name, count in items.items()]


def _user_names(subject: Subject) -> list[str]:
    return sorted({*subject.users, *(each.user for each in subject.figures.pools)})


def _users(subject: Subject) -> list[Row]:
    pools = subject.figures.pools
    return [
        [
            name,
            "",
            "",
            None,
            _or(subject.settings.users.get(name, NO_LIMITS).max_connections, "0"),
            str(sum(each.connections for each in pools if each.user == name)),
            _or(subject.settings.users.get(name, NO_LIMITS).max_client_connections, "0"),
            str(sum(each.clients for each in pools if each.user == name)),
        ]
        for name in _user_names(subject)
    ]


def _state(subject: Subject) -> list[Row]:
    is_paused = "" in subject.paused
    return [
        ["active", "no" if is_paused else "yes"],
        ["paused", "yes" if is_paused else "no"],
        ["suspended", "no"],
    ]


def _pins(subject: Subject) -> list[Row]:
    return [_pin(each) for each in subject.view.pins]


def _pin(pin: PinRow) -> Row:
    return [
        pin.reason,
        pin.digest,
        pin.application,
        str(pin.count),
        str(pin.now),
        f"{pin.total_s:.3f}",
        f"{pin.longest_s:.3f}",
        pin.hint,
    ]


def _parameter(value: str, _: Subject) -> list[Row]:
    return [[value]]


ROWS: Final[Mapping[str, Callable[[Subject], list[Row]]]] = {
    "CONFIG": lambda subject: configuration.rows(subject.settings),
    "DATABASES": _databases,
    "LISTS": _lists,
    "PINS": _pins,
    "POOLS": _pools,
    "STATE": _state,
    "STATS": lambda subject: stats.stats_rows(subject.now, subject.before),
    "STATS_AVERAGES": lambda subject: stats.averages_rows(subject.now, subject.before),
    "STATS_TOTALS": lambda subject: stats.totals_rows(subject.now),
    "TOTALS": lambda subject: stats.all_rows(subject.now, subject.before),
    "USERS": _users,
    "VERSION": lambda _: [[f"Forebay {__version__}"]],
    **{name: partial(_parameter, value) for name, value in PARAMETERS.items()},
}
"""The rows of what is shown as a whole. Clients, servers and holders are asked for in parts."""
