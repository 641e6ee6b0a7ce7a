"""Figures as a node tells them, made for tests."""

from forebay.channel.figures import Histogram, PoolFigures, ProxyFigures, WorkerFigures
from forebay.node.processes import NodeFigures, ProcessFigures

WAITS = Histogram(3, 1_000.0, {10: 1, 40: 2})
QUERIES = Histogram(8, 40_000.0, {100: 8})

NUMBERS = {
    "available_s": 50.0,
    "borrows": 5,
    "client_connections": 7,
    "client_connections_closed": 2,
    "certificate_expires_s": -5,
    "queries": 8,
    "max_database_connections_allowed": 90,
    "received_bytes": 1_000,
    "transaction_us": 6_000.0,
    "transactions": 4,
}


def proxy_figures(**changed: object) -> ProxyFigures:
    """One proxy's; by keyword what is different: numbers, parts, pools …"""
    given: dict[str, object] = {
        "target": "db.internal:5432",
        "numbers": dict(NUMBERS),
        "parts": {
            "logins": {"password": 3, "certificate": 1},
            "pins": {"LISTEN": 2, "CURSOR": 0},
            "pin_s": {"LISTEN": 1.5},
        },
        "histograms": {"borrow_wait": WAITS, "query": QUERIES, "database": QUERIES},
        "pools": [PoolFigures(database="shop", user="app", clients=7, queries=8, wait_us=9.0)],
    }
    return ProxyFigures(**{**given, **changed})  # type: ignore[arg-type]


def node_figures(
    proxies: dict[str, ProxyFigures] | None = None,
    *,
    at: float = 1_000.0,
    worker_started_at: float = 900.0,
    lateness: Histogram = QUERIES,
    restarts: int = 1,
    worker_cpu_s: float = 3.5,
) -> NodeFigures:
    """A node's; without ``proxies`` it has one, ``app``."""
    return NodeFigures(
        at=at,
        node=ProcessFigures(pid=10, started_at=890.0, cpu_s=1.25, resident_bytes=1 << 20),
        worker=ProcessFigures(pid=11, started_at=worker_started_at, cpu_s=worker_cpu_s),
        worker_restarts=restarts,
        counted=WorkerFigures(
            started_at=worker_started_at,
            lateness=lateness,
            proxies={"app": proxy_figures()} if proxies is None else proxies,
        ),
    )
