"""Which servers are watched for which proxies, and what the worker is told of them."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from forebay.channel import Hint, Route, Routes, RouteServer
from forebay.config.addresses import Address
from forebay.config.settings import ProxySettings, TargetSettings
from forebay.node.watching import Watching
from forebay.topology.reports import HintKind, Report, Server, State, Verdict

A, B = Address("a", 5432), Address("b", 5432)


class Played:
    """A monitor that a test speaks for."""

    trouble = ""

    def __init__(self, hosts: list[str], on_change: Callable[[Verdict], None]) -> None:
        self.hosts = hosts
        self.say = on_change
        self.did: list[object] = []

    def start(self) -> None:
        self.did.append("start")

    async def stop(self) -> None:
        self.did.append("stop")

    def set_hosts(self, hosts: Sequence[Address]) -> None:
        self.hosts = [str(each) for each in hosts]

    def hint(self, address: Address | None, kind: HintKind) -> None:
        self.did.append((str(address), kind))

    def expect(self) -> None:
        self.did.append("expect")


class Place:
    def __init__(self) -> None:
        self.monitors: list[Played] = []
        self.told: list[Routes] = []
        self.heard = asyncio.Event()
        self.is_far_behind = False
        self.switched: list[list[str]] = []
        self.watching = Watching(cast(Any, self.make), self.tell, self.switched.append)

    def make(self, _: str, proxy: ProxySettings, on_change: Callable[[Verdict], None]) -> Played:
        self.monitors.append(Played(proxy.target.hosts, on_change))
        return self.monitors[-1]

    def tell(self, routes: Routes) -> bool:
        if self.is_far_behind:
            return False
        self.told.append(routes)
        self.heard.set()
        return True

    def use(self, **targets: TargetSettings) -> None:
        self.watching.use({name: ProxySettings(target=each) for name, each in targets.items()})


def verdict(state: State, epoch: int, writer: Address | None = A, cause: str = "") -> Verdict:
    servers = (
        Server(A, "AVAILABLE", report=Report(in_recovery=False)),
        Server(B, "AVAILABLE", report=Report(in_recovery=True, max_connections=50, lag_s=0.5)),
    )
    return Verdict(state, epoch, writer, servers, 0.0, cause)


def target(*hosts: str, **more: Any) -> TargetSettings:
    return TargetSettings(hosts=list(hosts), **more)


async def test_one_host_is_not_watched() -> None:
    place = Place()
    place.use(app=target("a"))
    assert (place.monitors, place.told, place.watching.is_watched("app")) == ([], [], False)


async def test_the_worker_is_told_what_is_known() -> None:
    place = Place()
    place.use(app=target("a", "b"))
    assert place.told == [Routes(routes={"app": Route()})]
    place.monitors[0].say(verdict("UP", 1))
    route = Route(
        epoch=1,
        state="UP",
        writer="a:5432",
        standbys=[RouteServer(address="b:5432", weight=50, lag_s=0.5)],
        servers=2,
    )
    assert place.told[-1] == place.watching.routes() == Routes(routes={"app": route})
    place.monitors[0].say(verdict("HOLD", 1, cause="a:5432 refuses"))
    assert place.told[-1].routes["app"].cause == "a:5432 refuses"
    assert place.switched == []
    place.monitors[0].say(verdict("UP", 2, B))
    assert place.switched == [["app"]]


async def test_proxies_before_the_same_servers_share_what_asks_them() -> None:
    place = Place()
    place.use(app=target("a", "b"), reports=target("b", "a"), other=target("a", "c"))
    assert len(place.monitors) == 2
    place.monitors[0].say(verdict("UP", 1))
    routes = place.told[-1].routes
    assert routes["app"] == routes["reports"]
    assert routes["other"].state == "HOLD"


async def test_other_hosts_are_the_same_cluster() -> None:
    place = Place()
    place.use(app=target("a", "b"))
    place.monitors[0].say(verdict("UP", 1))
    place.use(app=target("a", "b", "c"))
    assert len(place.monitors) == 1
    assert place.monitors[0].hosts == ["a:5432", "b:5432", "c:5432"]
    assert place.watching.statuses()["app"].epoch == 1


async def test_epochs_never_fall() -> None:
    """What comes of another way to look may be other servers: connections are made anew."""
    place = Place()
    place.use(app=target("a", "b"))
    place.monitors[0].say(verdict("UP", 3))
    place.use(app=target("a", "b", sslmode="require"))
    await asyncio.sleep(0)
    first, second = place.monitors
    assert first.did == ["start", "stop"]
    assert place.told[-1].routes["app"] == Route(epoch=3)
    second.say(verdict("UP", 1))
    assert place.watching.statuses()["app"].epoch == 4
    first.say(verdict("UP", 9))
    assert place.watching.statuses()["app"].epoch == 4


async def test_a_worker_that_is_far_behind_is_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forebay.node.watching.RETRY_S", 0.001)
    place = Place()
    place.is_far_behind = True
    place.use(app=target("a", "b"))
    assert place.told == []
    place.is_far_behind = False
    async with asyncio.timeout(5):
        await place.heard.wait()
    assert place.told == [Routes(routes={"app": Route()})]
    await place.watching.close()
    assert place.monitors[0].did == ["start", "stop"]


async def test_hints_and_what_is_expected_reach_the_monitor() -> None:
    place = Place()
    place.use(app=target("a", "b"))
    place.watching.hear(Hint(proxy="app", address="a:5432", kind="lost"))
    place.watching.hear(Hint(proxy="app", address="[nonsense", kind="crashed"))
    place.watching.hear(Hint(proxy="gone", address="a:5432", kind="lost"))
    place.watching.expect("app")
    place.watching.expect("gone")
    assert place.monitors[0].did == ["start", ("a:5432", "lost"), ("None", "crashed"), "expect"]


async def test_changes_are_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="forebay.topology")
    place = Place()
    place.use(app=target("a", "b"))
    for each in (
        verdict("UP", 1),
        verdict("SUSPECT", 1, cause="a:5432 is silent"),
        verdict("UP", 1),
        verdict("HOLD", 1, cause="a:5432 is down"),
        verdict("UP", 2, B),
    ):
        place.monitors[0].say(each)
    assert caplog.messages == [
        "a:5432 writes",
        "SUSPECT: a:5432 is silent",
        "a:5432 writes as before",
        "HOLD: a:5432 is down",
        "b:5432 writes",
    ]


@pytest.mark.parametrize(
    ("server", "lost"),
    [
        (Server(B, "UNAVAILABLE", "UNREACHABLE"), ["b:5432"]),
        (Server(B, "UNAVAILABLE", "CONNECTION_FAILED"), ["b:5432"]),
        (Server(B, "UNAVAILABLE", "FENCED", report=Report(in_recovery=False)), []),
        (Server(B, "UNAVAILABLE", "AUTH_FAILURE"), []),
        (Server(B, "AVAILABLE", "AUTH_FAILURE", report=Report(in_recovery=True)), []),
        (Server(B), []),
    ],
)
async def test_only_what_does_not_answer_is_lost(server: Server, lost: list[str]) -> None:
    """The control user's rights are no reason to cut what clients have."""
    place = Place()
    place.use(app=target("a", "b"))
    writer = Server(A, "AVAILABLE", report=Report(in_recovery=False))
    place.monitors[0].say(Verdict("UP", 1, A, (writer, server), 0.0))
    route = place.watching.routes().routes["app"]
    assert (route.lost, route.servers) == (lost, 2)
