"""The line at start: where each proxy listens and what its pool's limits came out as. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forebay.config.addresses import Address
from forebay.config.settings import Config, ProxySettings

# What a worker's statistics call them; 0 or absent: not known yet.
ALLOWED = "max_database_connections_allowed"
SERVER_MAXIMUM = "server_max_connections"
SERVER_RESERVED = "server_reserved_connections"


@dataclass(frozen=True, slots=True)
class Limits:
    """How many database connections the pool may open, and what that was computed from."""

    allowed: int
    server_maximum: int = 0
    server_reserved: int = 0


def limits_in(stats: Mapping[str, Mapping[str, int | float]]) -> dict[str, Limits]:
    """The limits of the proxies that know theirs."""
    return {
        name: Limits(
            int(own[ALLOWED]), int(own.get(SERVER_MAXIMUM, 0)), int(own.get(SERVER_RESERVED, 0))
        )
        for name, own in stats.items()
        if own.get(ALLOWED)
    }


def start_line(
    config: Config, addresses: Mapping[str, Sequence[Address]], limits: Mapping[str, Limits]
) -> str:
    """One sentence for all proxies."""
    return "Serving " + "; ".join(
        f"{name} on {', '.join(map(str, addresses[name]))}"
        f" → {', '.join(proxy.target.hosts)}, {limit_in_words(proxy, limits.get(name))}"
        for name, proxy in config.proxies.items()
    )


def start_fields(
    addresses: Mapping[str, Sequence[Address]], limits: Mapping[str, Limits], worker_pid: int | None
) -> dict[str, object]:
    """The same for programs: ``listen`` and ``limit`` by proxy."""
    return {
        "listen": {name: [str(each) for each in own] for name, own in addresses.items()},
        "limit": {name: each.allowed for name, each in limits.items()},
        "worker_pid": worker_pid,
    }


def limit_in_words(proxy: ProxySettings, limits: Limits | None) -> str:
    """The limit of a proxy's pool and what it comes from; ``limits`` None: not known yet."""
    percent, number = proxy.pool.max_connections_percent, proxy.pool.max_connections
    if limits is None:
        most = "" if number is None else f", at most {number} database connections"
        return f"{percent} % of a max_connections that is not known yet{most}"
    if not limits.server_maximum:
        return f"at most {limits.allowed} database connections"
    source = (
        f"{percent} % of max_connections {limits.server_maximum} less"
        f" {limits.server_reserved} reserved"
    )
    share = max(1, (limits.server_maximum - limits.server_reserved) * percent // 100)
    if number is not None and number < share:
        source = f"the pool's max_connections; {source} would be {share}"
    return f"at most {limits.allowed} database connections ({source})"
