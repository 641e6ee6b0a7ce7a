"""The line of figures that the log has of each proxy once a minute, as PgBouncer's log has it
(``log_stats`` and ``stats_period`` in its manual). Pure.
"""

from typing import Any

from forebay.channel.figures import Number, ProxyFigures
from forebay.metrics.intervals import risen

# In the order of PgBouncer's line: the number, and what stands behind its rate.
_RATES = {
    "transactions": "xacts/s",
    "queries": "queries/s",
    "client_parses": "client parses/s",
    "server_parses": "server parses/s",
    "binds": "binds/s",
}
_BYTES = {"received_bytes": "in", "sent_bytes": "out"}
# What took how long, and of how many that is the mean.
_MEANS = {
    "xact": ("transaction_us", "transactions"),
    "query": ("query_us", "queries"),
    "wait": ("wait_us", "borrows"),
}
_NOW = {
    "client_connections": "clients",
    "clients_waiting": "waiting",
    "database_connections": "connections",
}


def stats(was: ProxyFigures | None, is_: ProxyFigures, duration_s: float) -> dict[str, Number]:
    """What happened within ``duration_s``: rates per second, means in microseconds, and what is so
    now. ``was``: at its beginning, None if the proxy is new."""
    before = was.numbers if was is not None else {}

    def rise(name: str) -> Number:
        return risen(before.get(name, 0), is_.numbers.get(name, 0))

    found: dict[str, Number] = {}
    for name in (*_RATES, *_BYTES):
        found[f"{name}_s"] = round(rise(name) / duration_s) if duration_s > 0 else 0
    for name, (sum_us, count) in _MEANS.items():
        of = rise(count)
        found[f"{name}_us"] = round(rise(sum_us) / of) if of else 0
    found |= {name: is_.numbers.get(name, 0) for name in _NOW}
    return found


def line(found: dict[str, Number]) -> str:
    """They in words, as PgBouncer writes them; behind them what is so now."""
    words = [f"{found[f'{name}_s']} {unit}" for name, unit in _RATES.items()]
    words += [f"{way} {found[f'{name}_s']} B/s" for name, way in _BYTES.items()]
    words += [f"{name} {found[f'{name}_us']} us" for name in _MEANS]
    now = ", ".join(f"{found[name]} {what}" for name, what in _NOW.items())
    return f"stats: {', '.join(words)}; {now}"


def fields(proxy: str, found: dict[str, Number], duration_s: float) -> dict[str, Any]:
    """The same for programs: as a table, which lines for people leave out."""
    return {"proxy": proxy, "stats": {"period_s": round(duration_s, 1), **found}}
