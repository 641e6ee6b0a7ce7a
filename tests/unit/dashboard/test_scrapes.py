import asyncio

from forebay.metrics.prometheus import OPENMETRICS, TEXT
from tests.unit.dashboard.fakes import FakeNode, site


async def test_both_formats() -> None:
    async with site(FakeNode()) as here:
        plain = await here.ask("/metrics")
        assert (plain.status, plain.headers["content-type"]) == (200, TEXT)
        assert b"forebay_" in plain.body
        assert b"# EOF" not in plain.body
        other = await here.ask("/metrics", accept="application/openmetrics-text;version=1.0.0")
        assert other.headers["content-type"] == OPENMETRICS
        assert other.body.endswith(b"# EOF\n")


async def test_scrapers_share_an_answer() -> None:
    node = FakeNode()
    async with site(node) as here:
        answers = await asyncio.gather(*(here.ask("/metrics") for _ in range(10)))
        assert len({each.body for each in answers}) == 1
        assert node.observer.asked == 1


async def test_while_no_worker_is_there() -> None:
    node = FakeNode()
    node.observer.is_silent = True
    async with site(node) as here:
        answer = await here.ask("/metrics")
        assert (answer.status, answer.body) == (503, b"no worker is running at the moment\n")
        node.observer.is_silent = False
        assert (await here.ask("/metrics")).status == 200
