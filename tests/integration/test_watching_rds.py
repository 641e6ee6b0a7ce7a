"""A cluster that lists its instances itself, as Aurora does and Multi-AZ DB clusters do.

The servers imitate AWS's by what its drivers ask and are answered. They tell neither timeline nor
system identifier, so that nothing but their own word says which of them writes.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from forebay.config.addresses import Address
from forebay.net.connector import Target
from forebay.net.tls import ClientContexts
from forebay.protocol.errors import Severity
from forebay.topology.cluster import Cluster
from forebay.topology.control import ControlLogin
from forebay.topology.monitor import Monitor
from forebay.topology.prober import Prober
from forebay.topology.reports import Verdict
from forebay.topology.sources.rds import AURORA, MULTI_AZ, Dialect, RdsSource
from forebay.topology.sources.resolver import Resolver
from tests.harness.fake_postgres import FakePostgres, error, rows
from tests.unit.topology.servers import lacking

DOMAIN = "c1abc.eu-west-1.rds.amazonaws.com"
PLACES = {"shop-1": "127.0.0.1", "shop-2": "127.0.0.2"}
NOT_TOLD = ("pg_control_system", "pg_current_wal_lsn", "pg_last_wal_receive_lsn")
TIMEOUT_S = 60.0
"""Bounds a failing test; no passing test depends on it."""


class World:
    """Two instances, and the names that lead to them."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.writer = "shop-1"
        self.starts = {"shop-1": "1764360000.5", "shop-2": "1764360001.5"}
        self.servers: dict[str, FakePostgres] = {}

    async def begin(self, stack: contextlib.AsyncExitStack) -> None:
        """Starts both, at one port."""
        port = 0
        for name, host in PLACES.items():
            server = FakePostgres(self.answer_of(name), host, port)
            self.servers[name] = await stack.enter_async_context(server)
            port = server.port

    @property
    def cluster(self) -> Address:
        return Address(f"shop.cluster-{DOMAIN}", self.servers["shop-1"].port)

    def instance(self, name: str) -> Address:
        return Address(f"{name}.{DOMAIN}", self.servers[name].port)

    def answer_of(self, name: str) -> Callable[[str], bytes]:
        def answer(sql: str) -> bytes:
            if sql == self.dialect.sql:
                names = sorted(PLACES, key=lambda each: each != self.writer)
                if self.dialect is AURORA:
                    return rows(*([each, None] for each in names))
                port = str(self.servers[name].port)
                return rows(*([f"{each}.{DOMAIN}", port] for each in names))
            is_reader = self.writer != name
            return lacking(
                *NOT_TOLD,
                in_recovery="t" if is_reader else "f",
                timeline=None,
                replayed_age_s="0.02" if is_reader else None,
                started_at=self.starts[name],
            )(sql)

        return answer

    def look_up(self, host: str, *_: object, **__: object) -> list[tuple[Any, ...]]:
        name = self.writer if "cluster-" in host else host.partition(".")[0]
        return [(2, 1, 6, "", (PLACES[name], 0))]

    async def fail_over(self) -> None:
        """The writer restarts, as a reader in the end; the other one takes over."""
        old = self.servers[self.writer]
        old.refusal = lambda user: error("57P03", Severity.FATAL)
        await old.say(error("57P01", Severity.FATAL))
        await old.end()
        self.writer = "shop-2" if self.writer == "shop-1" else "shop-1"

    def come_back(self, name: str) -> None:
        """One that was restarted is there again."""
        self.starts[name] = "1764360500.5"
        self.servers[name].refusal = lambda user: None


@pytest.fixture(params=[AURORA, MULTI_AZ], ids=["aurora", "multi_az"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with contextlib.AsyncExitStack() as stack:
        world = World(request.param)
        await world.begin(stack)
        yield world


async def test_a_failover(world: World) -> None:
    told, new = list[Verdict](), asyncio.Event()

    def tell(verdict: Verdict) -> None:
        told.append(verdict)
        new.set()

    async def until(holds: Callable[[Verdict], object]) -> Verdict:
        async with asyncio.timeout(TIMEOUT_S):
            while not told or not holds(told[-1]):
                new.clear()
                await new.wait()
        return told[-1]

    async def logins(_: Address) -> list[ControlLogin]:
        return [ControlLogin("watcher", "secret", "postgres")]

    prober = Prober(
        lambda each: Target(each.host, each.port, "disable"),
        logins,
        ClientContexts(),
        5.0,
        Resolver(world.look_up),
    )
    source = RdsSource(world.dialect, [world.cluster], prober.ask)
    monitor = Monitor(Cluster(()), source, prober, tell)
    monitor.start()
    one, two = world.instance("shop-1"), world.instance("shop-2")
    found = await until(lambda each: each.state == "UP" and each.standbys)
    assert (found.writer, found.epoch, found.standbys) == (one, 1, [two])
    (standby,) = (each for each in found.servers if each.address == two)
    assert standby.report is not None
    assert standby.report.lag_s == 0.02
    await world.fail_over()
    found = await until(lambda each: each.state == "UP" and each.epoch == 2)
    assert found.writer == two
    world.come_back("shop-1")
    found = await until(lambda each: each.standbys == [one])
    assert (found.writer, found.epoch) == (two, 2)
    assert monitor.trouble == ""
    await monitor.stop()
