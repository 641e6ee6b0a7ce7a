"""What of a node's figures has metrics: the node, its processes, proxies and micro-pools, each with
the labels that tell it apart.
"""

from forebay.metrics.metric import Scope
from forebay.metrics.micropools import MicroPools
from forebay.node.processes import NodeFigures


class Source:
    """``of``: what `Metric.read` takes. ``labels``: by Prometheus' names. ``texts``: for who
    formats them, to keep what has been formatted, by the names of the labels in it."""

    __slots__ = ("labels", "of", "texts")

    def __init__(self, of: object, **labels: str) -> None:
        self.of = of
        self.labels = labels
        self.texts: dict[tuple[str, ...], str] = {}


def sources(figures: NodeFigures, micro_pools: MicroPools) -> dict[Scope, list[Source]]:
    """All that there is, by scope. ``micro_pools``: which of them the asker has been told apart
    until now."""
    counted = figures.counted
    micro_pools.keep(counted.proxies)
    return {
        Scope.NODE: [Source(figures)],
        Scope.PROCESS: [
            Source(figures.node, process="node"),
            Source(figures.worker, process="worker"),
        ],
        Scope.PROXY: [
            Source(proxy, proxy=name, target=proxy.target, target_role=proxy.target_role)
            for name, proxy in counted.proxies.items()
        ],
        Scope.MICRO_POOL: [
            Source(pool, proxy=name, database=pool.database, user=pool.user)
            for name, proxy in counted.proxies.items()
            for pool in micro_pools.told(name, proxy, counted.started_at)
        ],
    }
