"""All proxies of a worker, as the node configures them. No proxy here listens or connects."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from forebay.channel import Apply, CallError, CertificatePair, CredentialChange, WorkerProxy
from forebay.config.settings import PoolSettings, ProxySettings, TargetSettings
from forebay.net.tls import self_signed_certificate
from forebay.worker import dataplane
from forebay.worker.dataplane import DataPlane
from forebay.worker.main import relay_loop
from forebay.worker.prepared import Prepared
from tests.harness.credentials import credential

USER = credential("app", "hush")


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    """The level of the log is as it was, afterwards."""
    logger = logging.getLogger("forebay")
    before = logger.level
    yield
    logger.setLevel(before)


pair = cache(lambda: CertificatePair(*self_signed_certificate()))


def proxy(name: str, *, port: int = 5432, clients: int = 10, debug: bool = False) -> WorkerProxy:
    return WorkerProxy(
        name=name,
        listeners=[],
        settings=ProxySettings(
            target=TargetSettings(hosts=[f"127.0.0.1:{port}"]),
            pool=PoolSettings(max_waiting_clients=clients),
            max_client_connections=clients,
            debug_logging=debug,
        ),
        credentials=[],
        certificates=[pair()],
    )


def opens(*proxies: WorkerProxy) -> Apply:
    return Apply(open=list(proxies), drain_timeout_s=3)


def changes(*proxies: WorkerProxy) -> Apply:
    return Apply(change=list(proxies), drain_timeout_s=3)


async def no_node(*_: object) -> Any:
    raise CallError("there is no node")


def plane() -> DataPlane:
    return DataPlane(asyncio.get_running_loop(), no_node)


def run(test: Any) -> None:
    """A coroutine on the relay's loop, as in a worker."""
    with asyncio.Runner(loop_factory=relay_loop) as runner:
        runner.run(test)


class Proxy:
    """Notes what a proxy is told."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name = name
        self.told = told
        self.told.append(f"{name} starts")

    @classmethod
    def into(cls, told: list[str]) -> Any:
        def start(around: object, prepared: Prepared, passed: object, route: object) -> "Proxy":
            made = cls(prepared.given.name, told)
            made.prepared = prepared
            return made

        return SimpleNamespace(start=start)

    def change(self, prepared: Prepared, passed: object) -> None:
        self.prepared = prepared
        users = ",".join(each.username for each in prepared.given.credentials)
        self.told.append(f"{self.name} changes" + (f": {users}" if users else ""))

    @property
    def is_logged_in_detail(self) -> bool:
        return self.prepared.given.settings.debug_logging

    async def drain(self, deadline: float) -> None:
        self.told.append(f"{self.name} drains")
        await asyncio.sleep(0)
        self.told.append(f"{self.name} is drained, by {deadline}")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What proxies that do nothing else are told."""
    found: list[str] = []
    monkeypatch.setattr(dataplane, "Proxy", Proxy.into(found))
    return found


def played() -> DataPlane:
    """A data plane whose time stands still."""
    selector = SimpleNamespace(poller=SimpleNamespace(interrupted=False))
    return DataPlane(cast(Any, SimpleNamespace(_selector=selector, time=lambda: 100.0)), no_node)


async def test_proxies_start_change_and_close(told: list[str]) -> None:
    here = played()
    await here.apply(opens(proxy("a"), proxy("bc")), {})
    assert told == ["a starts", "bc starts"]
    steps = Apply(change=[proxy("a")], open=[proxy("def")], close=["bc"], drain_timeout_s=3)
    await here.apply(steps, {})
    assert told[2:] == ["def starts", "a changes"]
    assert here._proxies.keys() == {"a", "def"}
    for _ in range(3):
        await asyncio.sleep(0)
    assert told[4:] == ["bc drains", "bc is drained, by 103.0"]


async def test_one_that_closes_is_waited_for_and_may_come_back(told: list[str]) -> None:
    here = played()
    await here.apply(opens(proxy("a")), {})
    await here.apply(Apply(close=["a"], drain_timeout_s=3), {})
    await here.apply(opens(proxy("a")), {})
    await here.drain(7.0)
    assert told[:2] == ["a starts", "a starts"]
    assert sorted(each for each in told if "is drained" in each) == [
        "a is drained, by 103.0",
        "a is drained, by 107.0",
        "a is drained, by 107.0",
    ]


async def test_users_alone_may_be_other(told: list[str]) -> None:
    here = played()
    before = msgspec.structs.replace(proxy("a"), credentials=[USER, credential("goes", "x")])
    await here.apply(opens(before), {})
    change = CredentialChange(proxy="a", users=[credential("comes", "x")], gone=["goes"])
    await here.apply(Apply(credentials=[change], drain_timeout_s=3), {})
    assert told == ["a starts", "a changes: app,comes"]


async def test_all_proxies_drain_at_once_and_by_one_moment(told: list[str]) -> None:
    here = played()
    await here.apply(opens(proxy("a"), proxy("b")), {})
    await here.drain(7.0)
    assert sorted(told[2:4]) == ["a drains", "b drains"]
    assert sorted(told[4:]) == ["a is drained, by 107.0", "b is drained, by 107.0"]


async def test_the_log_is_as_detailed_as_any_proxy_wants_it(told: list[str]) -> None:
    here = played()
    await here.apply(opens(proxy("a"), proxy("b")), {})
    for wanted in (True, False):
        await here.apply(changes(proxy("b", debug=wanted)), {})
        assert (logging.getLogger("forebay").level == logging.DEBUG) is wanted


WRONG = "-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("wrong_one", ["a", "b", "c"])
async def test_if_one_of_several_refuses_nothing_is_different(
    told: list[str], wrong_one: str
) -> None:
    """Of proxies that change, of those that come, and of those that go."""
    here = played()
    await here.apply(opens(proxy("a"), proxy("b"), proxy("d")), {})
    wanted = {name: proxy(name, clients=77) for name in "abc"}
    wanted[wrong_one] = msgspec.structs.replace(
        wanted[wrong_one], certificates=[CertificatePair("nonsense", WRONG)]
    )
    ours, theirs = socket.socketpair()
    steps = Apply(
        change=[wanted["a"], wanted["b"]], open=[wanted["c"]], close=["d"], drain_timeout_s=3
    )
    with pytest.raises(ValueError, match=f"proxies.{wrong_one}: ") as refused:
        await here.apply(steps, {1: ours})
    assert "hush" not in str(refused.value)
    assert told == ["a starts", "b starts", "d starts"]
    assert here._proxies.keys() == {"a", "b", "d"}
    with theirs:
        assert ours.fileno() == -1  # it serves nobody, so who connects must not wait there


def test_proxies_of_one_worker_have_pools_of_their_own() -> None:
    async def test() -> None:
        here = plane()
        await here.apply(opens(proxy("a"), proxy("b", port=5433)), {})
        managers = {each.backends[0].manager for each in here._proxies.values()}
        assert len(managers) == len(here._proxies) == 2
        assert not any(each.sessions.clients for each in here._proxies.values())
        await here.drain(0)

    run(test())


def test_a_change_is_in_force_when_it_is_answered() -> None:
    async def test() -> None:
        here = plane()
        await here.apply(opens(proxy("a")), {})
        await here.apply(changes(proxy("a", port=9999, clients=77)), {})
        ours = here._proxies["a"]
        assert ours._target().port == 9999
        assert ours.backends[0].manager.census.waiting_limit == 77
        await here.drain(0)

    run(test())


def test_a_proxy_that_refuses_goes_on_as_before() -> None:
    async def test() -> None:
        here = plane()
        await here.apply(opens(proxy("a", clients=10)), {})
        wrong = msgspec.structs.replace(
            proxy("a", clients=77),
            certificates=[CertificatePair(pair().certificate_pem, WRONG)],
            credentials=[USER],
        )
        with pytest.raises(ValueError):
            await here.apply(changes(wrong), {})
        ours = here._proxies["a"]
        assert ours.backends[0].manager.census.waiting_limit == 10
        assert ours.settings.max_client_connections == 10
        assert "app" not in ours._identities
        await here.drain(0)

    run(test())
