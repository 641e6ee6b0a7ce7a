"""What is counted in one proxy, gathered for the node. Nothing here is formatted or summed up over
time; what the numbers mean stands in docs/operations.md.
"""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from forebay.channel import Histogram, PoolFigures, ProxyFigures, name_as_text
from forebay.channel.figures import Number, added, wait_percentile_us
from forebay.relay import Histogram as RelayHistogram
from forebay.relay import MicroPool, Tally
from forebay.worker.backend import Backend
from forebay.worker.pool.manager import PoolManager

if TYPE_CHECKING:
    from forebay.worker.proxy import Proxy

# So many micro-pools are described at once, before relayed traffic goes on.
POOLS_AT_ONCE = 50
# The SQLSTATEs to be expected begin with 0: who watches a counter must see its first event, too.
LOGIN_FAILURES: dict[str, Number] = dict.fromkeys(("08P01", "28000", "28P01", "3D000", "53300"), 0)
REFUSALS: dict[str, Number] = dict.fromkeys(("08000", "53300"), 0)


def histogram_of(counted: RelayHistogram) -> Histogram:
    """The same, as it travels."""
    return Histogram(counted.count, counted.sum_us, counted.filled())


def _all_of(counted: Iterable[RelayHistogram]) -> Histogram:
    return sum(map(histogram_of, counted), start=Histogram())


async def figures_of(proxy: "Proxy", *, pools: bool) -> ProxyFigures:
    """One proxy's figures, with those of each micro-pool if `pools`."""
    censuses = [each.manager.census for each in proxy.backends]
    waits = _all_of(census.waits for census in censuses)
    return ProxyFigures(
        target=_target(proxy),
        target_role=proxy.settings.target_role,
        numbers=numbers_of(proxy, waits),
        parts=parts_of(proxy),
        histograms={
            "borrow_wait": waits,
            "query": _all_of(census.queries for census in censuses),
            "database": _all_of(census.database for census in censuses),
        },
        pools=await _pools(proxy) if pools else [],
        gone=_gone(proxy) if pools else [],
    )


def _target(proxy: "Proxy") -> str:
    """The server behind it; where there are several, all that are configured."""
    if proxy.settings.target_role == "READ_ONLY":
        return ",".join(map(str, proxy.settings.target.addresses()))
    return str(proxy.backends[0].target)


def numbers_of(proxy: "Proxy", waits: Histogram) -> dict[str, Number]:
    """Counters and gauges. `waits`: of the clients that had to wait for a connection."""
    sessions, records = proxy.sessions, [each.manager.record for each in proxy.backends]
    tally = Tally()
    for each in proxy.backends:
        tally.add(each.manager.record.tally(each.manager.pools.values()))
    return {
        **_of_clients(proxy),
        **added(_of_connections(each) for each in proxy.backends),
        **_of_traffic(tally),
        "pins": sessions.pinner.counts.begun.total(),
        "available_s": max(each.reached_s(proxy.now()) for each in records),
        "target_available": int(any(each.is_reached for each in records)),
        "prepared_statement_bytes": sessions.texts.account.bytes,
        "borrow_wait_us_p50": wait_percentile_us(waits, tally.borrows, 0.5),
        "borrow_wait_us_p99": wait_percentile_us(waits, tally.borrows, 0.99),
    }


def parts_of(proxy: "Proxy") -> dict[str, dict[str, Number]]:
    """What can be told apart by a word."""
    counts = proxy.sessions.counts
    return {
        "logins": dict(counts.logins),
        "login_failures": {**LOGIN_FAILURES, **counts.login_failures},
        "tls_versions": dict(counts.tls_versions),
        "refusals": added([REFUSALS, *(each.manager.refusals.counts for each in proxy.backends)]),
        **proxy.sessions.pinner.counts.figures(),
        **proxy.sessions.losses.figures(),
    }


def _of_clients(proxy: "Proxy") -> dict[str, Number]:
    managers, sessions = [each.manager for each in proxy.backends], proxy.sessions
    counts = sessions.counts
    tls = counts.tls_clients
    return {
        "client_connections": len(sessions.clients),
        "client_connections_tls": tls,
        "client_connections_no_tls": len(sessions.clients) - tls,
        "client_connections_received": counts.received,
        "client_connections_setup_succeeded": counts.succeeded,
        "client_connections_setup_failed": counts.failed,
        "client_connections_setup_failed_auth": counts.failed_auth,
        "client_connections_closed": counts.closed,
        "tls_resumptions": counts.tls_resumptions,
        "wrong_passwords": proxy.wrong_passwords,
        "logins_under_way": proxy.logins_under_way,
        "clients_waiting": sum(each.waiting for each in managers),
        "clients_waiting_longest_s": max(_waited_s(each, proxy.now()) for each in managers),
    }


def _of_connections(backend: Backend) -> dict[str, Number]:
    manager, opener = backend.manager, backend.opener
    servers, budget, census = manager.servers, manager.budget, manager.census
    return {
        "clients_pinned": sum(server.is_pinned for server in servers),
        "database_connections": len(servers),
        "database_connections_tls": sum(server.is_tls for server in servers),
        "database_connections_peak": manager.record.peak,
        "database_connections_idle": census.idle,
        "database_connections_opening": census.opening,
        "database_connections_borrowed": len(servers) - census.idle,
        "database_connections_in_transaction": sum(s.in_transaction for s in servers),
        "database_connection_requests": opener.tried,
        "database_connection_requests_tls": opener.tried_with_tls,
        "database_connections_opened": opener.succeeded,
        "database_connections_failed": manager.record.failed,
        "max_database_connections_allowed": budget.limit if budget else 0,
        "server_max_connections": budget.max_connections if budget else 0,
        "server_reserved_connections": budget.reserved if budget else 0,
    }


def _of_traffic(tally: Tally) -> dict[str, Number]:
    return {
        **counted(tally),
        "queries_tls": tally.queries_tls,
        "queries_no_tls": tally.queries - tally.queries_tls,
        "queries_refused": tally.refused,
        "replays_failed": tally.replays_failed,
    }


def _waited_s(manager: PoolManager, now: float) -> float:
    first = manager.groups.longest_wait()
    return 0.0 if first is None else max(0.0, now - first.waits_since)


async def _pools(proxy: "Proxy") -> list[PoolFigures]:
    """Of each database and user, a few micro-pools at a time; those of several servers together."""
    found: dict[tuple[str, str], PoolFigures] = {}
    pools = [pool for each in proxy.backends for pool in each.manager.pools.values()]
    for number, pool in enumerate(pools, 1):
        key, figures = (pool.database, pool.user), pool_figures(pool, proxy.now())
        found[key] = figures if key not in found else together(found[key], figures)
        if number % POOLS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return list(found.values())


def _gone(proxy: "Proxy") -> list[PoolFigures]:
    """What those that are no more have counted."""
    past: dict[str, Tally] = {}
    for each in proxy.backends:
        for name, tally in each.manager.record.past.items():
            past.setdefault(name, Tally()).add(tally)
    return [
        PoolFigures(database=name_as_text(name), user="", **counted(tally))
        for name, tally in past.items()
    ]


def pool_figures(pool: MicroPool, now: float) -> PoolFigures:
    """One micro-pool's."""
    tally = pool.tally
    return PoolFigures(
        database=name_as_text(pool.database),
        user=name_as_text(pool.user),
        clients=pool.clients,
        waiting=pool.waiting,
        waited_s=max(0.0, now - pool.waits_since) if pool.waiting else 0.0,
        connections=len(pool.idle) + pool.borrowed,
        opening=pool.opening,
        idle=len(pool.idle),
        borrowed=pool.borrowed,
        **counted(tally),
    )


def together(one: PoolFigures, other: PoolFigures) -> PoolFigures:
    """Those of one database and user at two servers."""
    sums = {
        name: getattr(one, name) + getattr(other, name)
        for name in PoolFigures.__struct_fields__
        if name not in ("database", "user", "waited_s")
    }
    return PoolFigures(
        database=one.database,
        user=one.user,
        waited_s=max(one.waited_s, other.waited_s),
        **sums,
    )


def counted(tally: Tally) -> dict[str, Any]:
    """What a tally has counted, as PoolFigures calls it."""
    return {
        "borrows": tally.borrows,
        "transactions": tally.transactions,
        "queries": tally.queries,
        "received_bytes": tally.received,
        "sent_bytes": tally.sent,
        "transaction_us": tally.transaction_s * 1e6,
        "query_us": tally.query_s * 1e6,
        "wait_us": tally.wait_s * 1e6,
        "client_parses": tally.client_parses,
        "server_parses": tally.server_parses,
        "binds": tally.binds,
        "replays": tally.replays,
    }
