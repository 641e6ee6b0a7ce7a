"""What a scrape of the metrics costs the node, beside the same text made by prometheus-client."""

import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bench.figures import Limit
from bench.results import Row
from bench.sides import Side
from bench.world import World
from forebay.channel import Histogram, PoolFigures, ProxyFigures, WorkerFigures
from forebay.metrics import CATALOGUE, MicroPools, Scope, exposition
from forebay.node.processes import NodeFigures, ProcessFigures

MICRO_POOLS = 500
CLIENTS = 10_000
REPEATS = 20
# RDS Proxy tells nothing this way, nor does PgBouncer: the limit is that of a node's loop.
LIMIT = Limit(50.0, 25.0)


def measure(world: World) -> list[Row]:
    """Write the text for a proxy with 500 micro-pools."""
    case = f"{MICRO_POOLS} micro-pools, {CLIENTS:,} clients"
    row = Row("scrape", case, "writing the text", "ms", limit=LIMIT, limit_of_ratio=False)
    figures, micro_pools = made(), MicroPools()
    registry = CollectorRegistry()
    registry.register(_Pools(figures))
    theirs = []
    for number in range(world.options.rounds):
        world.progress(f"scrape, round {number + 1}")
        row.add(Side.FOREBAY, _ms(lambda: exposition(figures, micro_pools=micro_pools)))
        theirs.append(_ms(lambda: generate_latest(registry)))
    row.note = f"prometheus-client, micro-pools alone: {min(theirs):.0f} ms"
    return [row]


def made() -> NodeFigures:
    """Figures of a proxy with many users, all of which have done something."""
    durations = Histogram(3_000, 2.5e6, dict.fromkeys(range(300), 10))
    pools = [
        PoolFigures(
            database=f"tenant_{number}",
            user=f"app_{number}",
            clients=CLIENTS // MICRO_POOLS,
            queries=1_000_003 * number,
            borrows=700_001 * number,
            wait_us=1234.5 * number,
            sent_bytes=7_777_777_777 * number,
        )
        for number in range(MICRO_POOLS)
    ]
    proxy = ProxyFigures(
        target="db.internal:5432",
        numbers={"client_connections": CLIENTS, "queries": 5_000_000, "borrows": 3_000_000},
        parts={"pins": {"LISTEN": 3}},
        histograms={"borrow_wait": durations, "query": durations, "database": durations},
        pools=pools,
    )
    return NodeFigures(
        at=time.time(),
        node=ProcessFigures(pid=1),
        worker=ProcessFigures(pid=2),
        worker_restarts=0,
        counted=WorkerFigures(started_at=1.0, lateness=durations, proxies={"app": proxy}),
    )


class _Pools(Collector):
    """The micro-pools' metrics by prometheus-client; means as if they were one number."""

    def __init__(self, figures: NodeFigures) -> None:
        self._pools = figures.counted.proxies["app"].pools

    def collect(self) -> Iterator[Metric]:
        for each in CATALOGUE:
            if each.scope is Scope.MICRO_POOL:
                family = GaugeMetricFamily(each.family, each.meaning, labels=each.labels)
                for pool in self._pools:
                    value = each.read(pool)
                    number = value.sum_us if isinstance(value, Histogram) else value
                    assert isinstance(number, int | float)
                    family.add_metric(["app", pool.database, pool.user], number)
                yield family


def _ms(write: Callable[[], object]) -> float:
    """How long one takes, in milliseconds."""
    begun = time.perf_counter()
    for _ in range(REPEATS):
        write()
    return (time.perf_counter() - begun) / REPEATS * 1e3
