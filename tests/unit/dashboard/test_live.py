import asyncio

import msgspec
import pytest

from forebay.channel import ClientRow, ProxyView
from forebay.dashboard import live
from forebay.dashboard.live import Live, Viewer, encoded
from tests.unit.dashboard.fakes import FakeNode, soon


async def test_one_answer_serves_all_who_look() -> None:
    node = FakeNode()
    some = Live(node)
    viewers = [some.join("app") for _ in range(50)]
    assert all(viewers)
    found = [await each.next() for each in viewers if each is not None]
    assert len(set(found)) == 1
    assert node.observer.asked == 1
    answers = [await some.now("app") for _ in range(20)]
    assert set(answers) == set(found)
    assert node.observer.asked == 1
    some.close()


async def test_nobody_is_asked_while_nobody_looks() -> None:
    node = FakeNode()
    some = Live(node)
    viewer = some.join("app")
    assert viewer is not None
    await viewer.next()
    some.leave(viewer)
    telling = some._telling
    assert telling is None
    assert await viewer.next() is None
    assert some.viewers == 0
    some.leave(viewer)  # twice does no harm
    again = some.join("app")
    assert again is not None
    assert await again.next() is not None
    some.close()


async def test_who_does_not_keep_up_loses_messages() -> None:
    viewer = Viewer("app")
    for number in range(1000):
        viewer.show(b"%d" % number)
    assert await viewer.next() == b"999"
    waiting = asyncio.ensure_future(viewer.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    viewer.leave()
    assert await waiting is None


async def test_they_are_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert live.MAX_VIEWERS == 100
    monkeypatch.setattr(live, "MAX_VIEWERS", 2)
    some = Live(FakeNode())
    first, second = some.join("app"), some.join("app")
    assert first is not None
    assert second is not None
    assert some.join("app") is None
    some.leave(first)
    assert some.join("app") is not None
    some.close()
    assert some.join("app") is None
    assert second.has_left


async def test_it_tells_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "INTERVAL_S", 0.0)
    node = FakeNode()
    some = Live(node)
    viewer = some.join("app")
    assert viewer is not None
    seen = {await viewer.next() for _ in range(3)}
    assert len(seen) == 3
    some.close()


async def test_a_worker_that_is_away_is_told_too() -> None:
    node = FakeNode()
    node.observer.is_silent = True
    found = msgspec.json.decode(await Live(node).now("app"))
    assert found["worker"] is None
    assert found["problems"] == ["no worker is running at the moment"]
    node.state = "starting"
    assert msgspec.json.decode(await Live(node).now("app"))["state"] == "starting"


async def test_what_is_remembered_goes_with_its_proxy() -> None:
    node = FakeNode()
    some = Live(node)
    await some.now("app")
    node.config = msgspec.structs.replace(node.config, proxies={"new": node.config.proxies["app"]})
    await some.now("new")
    assert some._latest.keys() == {"new"}
    await soon(lambda: some.viewers == 0)


@pytest.mark.parametrize("name", ["</script>", "\u2028", "\udc80\udcff", "\0", '"'])
def test_any_name_can_be_told(name: str) -> None:
    row = ClientRow(id=1, database=name, user=name, identity=name, state="idle")
    told = msgspec.json.decode(encoded(ProxyView(waiters=[row], states={name: 1})))
    expected = "??" if name.startswith("\udc80") else name
    assert told["waiters"][0]["user"] == expected
    assert told["states"] == {expected: 1}
