"""What has metrics, and the labels that tell it apart."""

from forebay.channel.figures import PoolFigures
from forebay.metrics.metric import Scope
from forebay.metrics.micropools import MicroPools
from forebay.metrics.sources import sources
from tests.unit.metrics.made import node_figures, proxy_figures


def test_each_scope_has_what_is_its() -> None:
    figures = node_figures({"app": proxy_figures(), "other": proxy_figures(target="x:1", pools=[])})
    found = sources(figures, MicroPools())
    assert [each.labels for each in found[Scope.NODE]] == [{}]
    assert [each.of for each in found[Scope.PROCESS]] == [figures.node, figures.worker]
    assert [each.labels["process"] for each in found[Scope.PROCESS]] == ["node", "worker"]
    assert [each.labels for each in found[Scope.PROXY]] == [
        {"proxy": "app", "target": "db.internal:5432", "target_role": "READ_WRITE"},
        {"proxy": "other", "target": "x:1", "target_role": "READ_WRITE"},
    ]
    assert [each.labels for each in found[Scope.MICRO_POOL]] == [
        {"proxy": "app", "database": "shop", "user": "app"}
    ]


def test_micro_pools_are_told_as_before() -> None:
    pools = [PoolFigures(database=name, user="u") for name in "ab"]
    micro_pools = MicroPools(1)
    for each in (pools, pools[::-1]):
        found = sources(node_figures({"app": proxy_figures(pools=each)}), micro_pools)
        assert found[Scope.MICRO_POOL][0].labels["database"] == "a"
    sources(node_figures({}), micro_pools)
    found = sources(node_figures({"app": proxy_figures(pools=pools[::-1])}), micro_pools)
    assert found[Scope.MICRO_POOL][0].labels["database"] == "b"
