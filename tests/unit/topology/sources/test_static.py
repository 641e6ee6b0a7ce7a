"""Servers that are configured."""

from collections.abc import Sequence

from forebay.config.addresses import Address
from forebay.topology.sources.static import StaticSource

ONE, TWO = Address("one", 5432), Address("two", 5432)


async def test_it_proposes_what_is_configured() -> None:
    proposed: list[Sequence[Address]] = []
    source = StaticSource([ONE])
    source.start(proposed.append)
    source.look()
    source.set_hosts([ONE, TWO])
    await source.stop()
    source.set_hosts([TWO])
    assert proposed == [(ONE,), (ONE, TWO)]
    assert source.trouble == ""


async def test_hosts_that_come_before_the_start() -> None:
    proposed: list[Sequence[Address]] = []
    source = StaticSource([ONE])
    source.set_hosts([TWO])
    source.start(proposed.append)
    assert proposed == [(TWO,)]
