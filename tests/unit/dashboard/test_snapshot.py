from forebay.channel import ProxyView
from forebay.dashboard.snapshot import Snapshot, snapshot_of
from forebay.node.events import Events
from tests.unit.dashboard.fakes import NUMBERS, FakeNode, moment


async def taken(node: FakeNode, proxy: str = "app") -> Snapshot:
    silent = node.observer.is_silent
    events = Events()
    events.add("INFO", "hello")
    return snapshot_of(
        proxy,
        node.config,
        await node.status(),
        None if silent else await node.observer.figures(),
        None if silent else ProxyView(sentence="All are held."),
        samples=[moment(5, queries_s=3)],
        events=events.since(),
    )


async def test_all_of_it() -> None:
    found = await taken(FakeNode())
    assert (found.ok, found.state, found.configuration) == (True, "serving", "/etc/forebay.toml")
    assert found.proxy is not None
    assert found.proxy.numbers == NUMBERS
    assert found.proxy.view is not None
    assert found.proxy.sample is not None
    assert (found.proxy.sample.queries_s, found.last_sample, found.worker_cpu) == (3, 5, 0.25)
    assert [(each.name, each.clients, each.waiting) for each in found.proxies] == [("app", 7, 2)]
    assert found.last_event == 1
    assert set(found.processes) == {"node", "worker"}


async def test_while_no_worker_is_there() -> None:
    node = FakeNode()
    node.observer.is_silent = True
    found = await taken(node)
    assert (found.ok, found.worker, found.at) == (False, None, 0.0)
    assert found.problems == ["no worker is running at the moment"]
    assert found.proxy is not None
    assert (found.proxy.numbers, found.proxy.view) == ({}, None)
    assert found.proxy.limits


async def test_a_proxy_that_has_gone() -> None:
    found = await taken(FakeNode(), "gone")
    assert found.proxy is None
    assert found.proxies[0].name == "app"
