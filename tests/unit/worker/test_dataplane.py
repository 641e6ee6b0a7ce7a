"""All proxies of a worker, as the node configures them. No proxy here listens or connects."""

import asyncio
import logging
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from forebay.channel import Configure, Credential, WorkerProxy
from forebay.config.settings import PoolSettings, ProxySettings, TargetSettings
from forebay.net.tls import self_signed_certificate
from forebay.worker import dataplane
from forebay.worker.dataplane import DataPlane
from forebay.worker.main import relay_loop


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    """The level of the log is as it was, afterwards."""
    logger = logging.getLogger("forebay")
    before = logger.level
    yield
    logger.setLevel(before)


certificate = cache(self_signed_certificate)


def proxy(name: str, *, port: int = 5432, clients: int = 10, debug: bool = False) -> WorkerProxy:
    return WorkerProxy(
        name=name,
        listen_fds=[],
        settings=ProxySettings(
            target=TargetSettings(hosts=[f"127.0.0.1:{port}"]),
            pool=PoolSettings(max_waiting_clients=clients),
            max_client_connections=clients,
            debug_logging=debug,
        ),
        credentials=[],
        tls_certificate_pem=certificate()[0],
        tls_private_key_pem=certificate()[1],
    )


def configure(*proxies: WorkerProxy) -> Configure:
    return Configure(generation=1, proxies=list(proxies), drain_timeout_s=0)


def plane() -> DataPlane:
    return DataPlane(asyncio.get_running_loop())


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
        async def start(agenda: object, given: WorkerProxy, evacuator: object) -> "Proxy":
            return cls(given.name, told)

        return SimpleNamespace(start=start)

    async def reconfigure(self, given: WorkerProxy) -> list[str]:
        self.told.append(f"{self.name} changes")
        return [f"{self.name}: one thing can't be changed"]

    async def drain(self, deadline: float) -> None:
        self.told.append(f"{self.name} drains")
        await asyncio.sleep(0)
        self.told.append(f"{self.name} is drained, by {deadline}")

    def stats(self) -> dict[str, int | float]:
        return {"client_connections": len(self.name)}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What proxies that do nothing else are told."""
    found: list[str] = []
    monkeypatch.setattr(dataplane, "Proxy", Proxy.into(found))
    return found


def played() -> DataPlane:
    """A data plane whose time stands still."""
    selector = SimpleNamespace(poller=SimpleNamespace(interrupted=False))
    return DataPlane(cast(Any, SimpleNamespace(_selector=selector, time=lambda: 100.0)))


async def test_a_proxy_starts_once_and_tells_what_cannot_be_changed(told: list[str]) -> None:
    here = played()
    assert await here.configure(configure(proxy("a"), proxy("bc"))) == []
    assert told == ["a starts", "bc starts"]
    unchanged = await here.configure(configure(proxy("a"), proxy("bc"), proxy("def")))
    assert unchanged == ["a: one thing can't be changed", "bc: one thing can't be changed"]
    assert told[2:] == ["a changes", "bc changes", "def starts"]
    assert here.stats() == {name: {"client_connections": len(name)} for name in ("a", "bc", "def")}


async def test_all_proxies_drain_at_once_and_by_one_moment(told: list[str]) -> None:
    here = played()
    await here.configure(configure(proxy("a"), proxy("b")))
    await here.drain(7.0)
    assert sorted(told[2:4]) == ["a drains", "b drains"]
    assert sorted(told[4:]) == ["a is drained, by 107.0", "b is drained, by 107.0"]


async def test_the_log_is_as_detailed_as_any_proxy_wants_it(told: list[str]) -> None:
    here = played()
    for wanted in (True, False):
        await here.configure(configure(proxy("a"), proxy("b", debug=wanted)))
        assert (logging.getLogger("forebay").level == logging.DEBUG) is wanted


def test_proxies_of_one_worker_have_pools_of_their_own() -> None:
    async def test() -> None:
        here = plane()
        assert await here.configure(configure(proxy("a"), proxy("b", port=5433))) == []
        managers = {each._manager for each in here._proxies.values()}
        assert len(managers) == len(here.stats()) == 2
        assert all(each["client_connections"] == 0 for each in here.stats().values())
        await here.drain(0)

    run(test())


def test_what_cannot_be_changed_while_running_is_told_and_the_rest_is_changed() -> None:
    async def test() -> None:
        here = plane()
        await here.configure(configure(proxy("a")))
        told = await here.configure(configure(proxy("a", port=9999, clients=77)))
        assert told == ["a: the target can't be changed while running"]
        ours = here._proxies["a"]
        assert ours._target().port == 5432
        assert ours._manager.census.waiting_limit == 77
        await here.drain(0)

    run(test())


def test_a_proxy_that_refuses_goes_on_as_before_and_gives_no_secret_away() -> None:
    async def test() -> None:
        here = plane()
        await here.configure(configure(proxy("a", clients=10)))
        wrong = msgspec.structs.replace(
            proxy("a", clients=77),
            tls_private_key_pem="-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\n",
            credentials=[Credential("app", "hush", "scram-sha-256")],
        )
        with pytest.raises(ValueError) as refused:
            await here.configure(configure(wrong))
        assert "hush" not in str(refused.value)
        ours = here._proxies["a"]
        assert ours._manager.census.waiting_limit == 10
        assert ours._settings.max_client_connections == 10
        assert ours._password_of("app") is None
        await here.drain(0)

    run(test())


def test_a_proxy_that_cannot_start_is_none() -> None:
    async def test() -> None:
        here = plane()
        wrong = msgspec.structs.replace(proxy("a"), tls_certificate_pem="nonsense")
        with pytest.raises(ValueError):
            await here.configure(configure(wrong))
        assert here.stats() == {}
        await here.drain(0)

    run(test())
