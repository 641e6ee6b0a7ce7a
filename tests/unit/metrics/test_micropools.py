"""Micro-pools, bounded in number."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from forebay.channel.figures import PoolFigures
from forebay.metrics.micropools import COUNTERS, MicroPools
from forebay.metrics.readers import OTHERS
from tests.unit.metrics.made import proxy_figures

STARTED_AT = 100.0


def pool(database: str, queries: int = 0, **more: float) -> PoolFigures:
    return PoolFigures(database=database, user="u", queries=queries, **more)  # type: ignore[arg-type]


def told(
    micro_pools: MicroPools, pools: Sequence[PoolFigures], started_at: float = STARTED_AT
) -> dict[str, PoolFigures]:
    found = micro_pools.told("app", proxy_figures(pools=pools), started_at)
    by_name = {each.database: each for each in found}
    assert len(by_name) == len(found)
    return by_name


def test_few_are_all_told_apart() -> None:
    assert told(MicroPools(2), [pool("a"), pool("b")]).keys() == {"a", "b"}


def test_of_many_the_most_used_are_told_apart() -> None:
    found = told(MicroPools(2), [pool("a", 1), pool("b", 9), pool("c", 5), pool("d", 2)])
    assert found.keys() == {"b", "c", OTHERS}
    assert found[OTHERS].queries == 3


def test_gauges_of_the_others_are_sums_and_waits_the_longest() -> None:
    pools = [pool("a", 9), pool("b", clients=2, waited_s=3.0), pool("c", clients=3, waited_s=1.0)]
    found = told(MicroPools(1), pools)
    assert (found[OTHERS].clients, found[OTHERS].waited_s) == (5, 3.0)


def test_who_is_told_apart_stays_so_until_it_is_gone() -> None:
    micro_pools = MicroPools(1)
    assert told(micro_pools, [pool("a", 5), pool("b", 1)]).keys() == {"a", OTHERS}
    assert told(micro_pools, [pool("a", 5), pool("b", 99)]).keys() == {"a", OTHERS}
    assert told(micro_pools, [pool("b", 99), pool("c", 1)]).keys() == {"b", OTHERS}


def test_the_others_counters_go_on_when_one_of_them_is_told_apart() -> None:
    micro_pools = MicroPools(1)
    told(micro_pools, [pool("a", 50), pool("b", 10), pool("c", 1)])
    found = told(micro_pools, [pool("b", 20), pool("c", 2)])
    assert found["b"].queries == 20
    assert found[OTHERS].queries == 12  # 10 + 1, and c's 1 more
    assert told(micro_pools, [pool("b", 20)])[OTHERS].queries == 12


def test_a_worker_begins_anew() -> None:
    micro_pools = MicroPools(1)
    told(micro_pools, [pool("a", 50), pool("b", 10)])
    assert told(micro_pools, [pool("a", 0), pool("b", 1)], 200.0).keys() == {"b", OTHERS}


def test_one_that_is_called_others_is_one_of_them() -> None:
    pools = [pool("a", 1), PoolFigures(database=OTHERS, user=OTHERS, queries=7)]
    found = told(MicroPools(5), pools)
    assert found.keys() == {"a", OTHERS}
    assert found[OTHERS].queries == 7


def test_names_that_are_told_alike_are_told_together() -> None:
    found = told(MicroPools(), [pool("a\udcff", 1), pool("a\\udcff", 2), pool("b", waited_s=2.0)])
    assert found["a\\udcff"].queries == 3
    assert found["b"].waited_s == 2.0


def test_proxies_that_are_gone_are_forgotten() -> None:
    micro_pools = MicroPools(1)
    told(micro_pools, [pool("a", 50), pool("b", 10)])
    micro_pools.keep(["other"])
    assert told(micro_pools, [pool("b", 20)]).keys() == {"b"}


LOOKS = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 100), max_size=8), max_size=8
)


@given(LOOKS, st.integers(0, 4))
def test_no_counter_of_the_others_ever_falls(looks: list[dict[str, int]], limit: int) -> None:
    micro_pools, before = MicroPools(limit), pool(OTHERS)
    for look in looks:
        found = told(micro_pools, [pool(name, count) for name, count in look.items()])
        assert len(found) <= limit + 1
        others = found.get(OTHERS, before)
        assert all(getattr(others, name) >= getattr(before, name) for name in COUNTERS)
        before = others
