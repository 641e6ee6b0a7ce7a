"""Servers are watched: real ones, that are promoted, stopped, killed, frozen and come back."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest

from forebay.config.addresses import Address
from forebay.config.settings import TargetSettings
from forebay.embedded.pair import Pair
from forebay.embedded.postgres import Postgres
from forebay.net.tls import ClientContexts
from forebay.topology.cluster import Cluster
from forebay.topology.control import APPLICATION_NAME, ControlLogin
from forebay.topology.monitor import Monitor
from forebay.topology.prober import Prober
from forebay.topology.reports import Failure, Report, Verdict
from forebay.topology.sources.dns import DnsSource
from forebay.topology.sources.patroni import PatroniSource
from forebay.topology.sources.resolver import Resolver
from forebay.topology.sources.source import Source
from forebay.topology.sources.static import StaticSource
from forebay.topology.targets import target_of
from tests.harness.waiting import eventually

WATCHER = ControlLogin("watcher", "watching", "postgres")
TIMEOUT_S = 60.0
"""Bounds a failing test; no passing test depends on it."""


@pytest.fixture(scope="module")
def servers() -> Iterator[Pair]:
    with Pair() as pair:
        pair.writer.create_user(WATCHER.user, str(WATCHER.password))
        yield pair


@pytest.fixture
def pair(servers: Pair) -> Iterator[Pair]:
    """A writer and a standby, which one ever is which. They are mended behind a test."""
    yield servers
    for each in servers.servers:
        each.thaw()
    servers.writer.start()
    for each in servers.servers:
        if each is not servers.writer and each.upstream is not servers.writer:
            servers.rejoin(each)
    servers.start()


def address(server: Postgres, name: str = "") -> Address:
    return Address(server.host, server.port, name)


def prober_of(settings: TargetSettings | None = None, login: ControlLogin = WATCHER) -> Prober:
    given = settings or TargetSettings(hosts=[])

    async def logins(_: Address) -> list[ControlLogin]:
        return [login]

    # A probe on a busy machine may take its time.
    return Prober(lambda each: target_of(given, each), logins, ClientContexts(), timeout_s=5.0)


@contextlib.asynccontextmanager
async def probing(*settings: Any) -> AsyncIterator[Prober]:
    prober = prober_of(*settings)
    yield prober
    prober.close()


class Watch:
    """A monitor, and what it tells."""

    def __init__(self, source: Source) -> None:
        now = asyncio.get_running_loop().time()
        self.told: list[Verdict] = []
        self._new = asyncio.Event()
        self.monitor = Monitor(Cluster((), now=now), source, prober_of(), self._tell)

    async def __aenter__(self) -> "Watch":
        self.monitor.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.monitor.stop()

    def _tell(self, verdict: Verdict) -> None:
        self.told.append(verdict)
        self._new.set()

    async def until(self, holds: Callable[[Verdict], object]) -> Verdict:
        """The present verdict, as soon as that holds of it."""
        async with asyncio.timeout(TIMEOUT_S):
            while not self.told or not holds(self.told[-1]):
                self._new.clear()
                await self._new.wait()
        return self.told[-1]

    async def writes(self, server: Postgres, epoch: int) -> Verdict:
        """A server is confirmed as the writer, and one more is a standby if all is well."""
        found = await self.until(lambda each: each.state == "UP" and each.writer == address(server))
        assert found.epoch == epoch
        return found

    async def holds(self) -> Verdict:
        return await self.until(lambda each: each.state == "HOLD")


def watching(*servers: Postgres) -> Watch:
    return Watch(StaticSource([address(each) for each in servers]))


async def in_thread(call: Callable[..., Any], *arguments: Any) -> Any:
    """What takes a while, as the servers do."""
    return await asyncio.to_thread(call, *arguments)


class TestReports:
    async def test_a_writer_and_a_standby(self, pair: Pair) -> None:
        (standby,), timeline = pair.standbys, pair.writer.timeline
        async with probing() as prober:
            writing = await prober.probe(address(pair.writer))
            following = await prober.probe(address(standby))
        assert isinstance(writing, Report)
        assert isinstance(following, Report)
        assert (writing.in_recovery, following.in_recovery) == (False, True)
        assert (writing.timeline, following.timeline) == (timeline, 0)
        assert writing.system_id == following.system_id != ""
        assert (writing.lag_s, following.lag_s) == (None, 0.0)
        assert writing.max_connections == following.max_connections == 100
        assert writing.reserved_connections == 3
        assert 0 < writing.started_at != following.started_at > 0

    async def test_a_standby_that_does_not_stream_any_more(self, pair: Pair) -> None:
        (standby,) = pair.standbys
        async with probing() as prober:
            await prober.probe(address(standby))
            await in_thread(pair.writer.stop)
            while True:
                found = await prober.probe(address(standby))
                assert isinstance(found, Report)
                assert found.lag_s is not None
                if found.lag_s > 0:
                    break
        # It is behind by the time since, not by the age of the last commit.
        assert found.lag_s < TIMEOUT_S

    async def test_a_standby_is_promoted_under_the_connection(self, pair: Pair) -> None:
        (standby,), timeline = pair.standbys, pair.writer.timeline
        async with probing() as prober:
            await prober.probe(address(standby))
            await in_thread(pair.promote)
            found = await prober.probe(address(standby))
            assert isinstance(found, Report)
            assert (found.in_recovery, found.timeline) == (False, timeline + 1)
            assert standby.sql(
                f"SELECT count(*) FROM pg_stat_activity WHERE application_name='{APPLICATION_NAME}'"
            ) == [("1",)]

    async def test_open_connections_of_a_server_that_takes_no_new_ones(self, pair: Pair) -> None:
        async with probing() as prober:
            await prober.probe(address(pair.writer))
            pair.writer.freeze(backends=False)
            assert isinstance(await prober.probe(address(pair.writer)), Report)


class TestAnyServer:
    """Whatever PostgreSQL there is: the embedded one, and the system's, which is older."""

    @pytest.fixture(params=["postgres", "tls_postgres"])
    def server(self, request: pytest.FixtureRequest) -> Postgres:
        server: Postgres = request.getfixturevalue(request.param)
        return server

    @pytest.fixture
    def login(self, server: Postgres) -> Iterator[ControlLogin]:
        name = f"watcher_{secrets.token_hex(4)}"
        server.create_user(name, "watching")
        yield ControlLogin(name, "watching", "postgres")
        server.sql(f"DROP OWNED BY {name}; DROP ROLE {name}")

    async def test_all_is_told(self, server: Postgres, login: ControlLogin) -> None:
        async with probing(None, login) as prober:
            found = await prober.probe(address(server))
        assert isinstance(found, Report)
        assert not found.in_recovery
        assert found.timeline == 1
        assert found.system_id.isdigit()
        assert not found.is_read_only
        assert found.started_at > 0
        assert (found.max_connections, found.reserved_connections) == (100, 3)
        assert found.lag_s is None

    async def test_a_role_that_may_not_ask_everything(
        self, server: Postgres, login: ControlLogin
    ) -> None:
        await in_thread(server.sql, "CREATE DATABASE guarded")
        functions = "pg_control_system(), pg_current_wal_lsn(), pg_postmaster_start_time()"
        await in_thread(
            lambda: server.sql(
                f"REVOKE ALL ON FUNCTION {functions} FROM PUBLIC", database="guarded"
            )
        )
        there = ControlLogin(login.user, "watching", "guarded")
        async with probing(None, there) as prober:
            found = await prober.probe(address(server))
        await in_thread(server.sql, "DROP DATABASE guarded WITH (FORCE)")
        assert isinstance(found, Report)
        assert (found.timeline, found.system_id, found.started_at) == (0, "", 0.0)
        assert found.max_connections == 100

    async def test_read_only_for_one_role_or_database_is_not_for_everybody(
        self, server: Postgres, login: ControlLogin
    ) -> None:
        await in_thread(
            server.sql, f"ALTER ROLE {login.user} SET default_transaction_read_only = on"
        )
        async with probing(None, login) as prober:
            found = await prober.probe(address(server))
        assert isinstance(found, Report)
        assert not found.is_read_only

    async def test_a_search_path_that_lies(self, server: Postgres, login: ControlLogin) -> None:
        name = f"lies_{secrets.token_hex(4)}"
        await in_thread(
            server.sql,
            f"CREATE SCHEMA {name} AUTHORIZATION {login.user};"
            f" CREATE FUNCTION {name}.pg_is_in_recovery() RETURNS boolean RETURN true;"
            f" CREATE VIEW {name}.pg_settings AS SELECT 1;"
            f" CREATE FUNCTION {name}.no(text, text) RETURNS boolean RETURN false;"
            f" CREATE OPERATOR {name}.= (LEFTARG = text, RIGHTARG = text, FUNCTION = {name}.no);"
            f" ALTER ROLE {login.user} SET search_path = {name}, pg_catalog",
        )
        async with probing(None, login) as prober:
            found = await prober.probe(address(server))
        await in_thread(server.sql, f"DROP SCHEMA {name} CASCADE")
        assert isinstance(found, Report)
        assert not found.in_recovery
        assert found.max_connections == 100


class TestCertificates:
    async def test_they_are_those_of_the_name(self, tls_postgres: Postgres) -> None:
        server = tls_postgres
        server.create_user("tls_watcher", "watching")
        settings = TargetSettings(hosts=[], sslmode="verify-full", sslrootcert=str(server.ca_file))
        login = ControlLogin("tls_watcher", "watching", "postgres")
        async with probing(settings, login) as prober:
            found = await prober.probe(address(server, "localhost"))
            assert isinstance(found, Report)
            prober.keep(())
            found = await prober.probe(address(server, "elsewhere.test"))
            assert isinstance(found, Failure)
            assert found.kind == "other"
            assert "certificate" in found.text
        server.sql("DROP ROLE tls_watcher")


class TestFailovers:
    @pytest.mark.parametrize("way", ["stop", "kill", "freeze"])
    async def test_the_writer_dies_and_the_standby_is_promoted(self, pair: Pair, way: str) -> None:
        old, (new,) = pair.writer, pair.standbys
        async with watching(old, new) as watch:
            found = await watch.writes(old, 1)
            await watch.until(lambda each: each.standbys == [address(new)])
            await in_thread(getattr(old, way))
            held = await watch.holds()
            assert str(address(old)) in held.cause
            await in_thread(pair.promote)
            found = await watch.writes(new, 2)
            assert found.standbys == []
            if way == "freeze":
                # It believes that it is the writer still.
                await in_thread(old.thaw)
                found = await watch.until(
                    lambda each: any(server.reason == "FENCED" for server in each.servers)
                )
                assert (found.state, found.epoch, found.writer) == ("UP", 2, address(new))
            await in_thread(pair.rejoin, old)
            found = await watch.until(lambda each: each.standbys == [address(old)])
            assert (found.state, found.epoch, found.writer) == ("UP", 2, address(new))

    async def test_the_same_writer_comes_back(self, pair: Pair) -> None:
        async with watching(*pair.servers) as watch:
            await watch.writes(pair.writer, 1)
            await in_thread(pair.writer.restart)
            # Its connections are gone: another epoch.
            await watch.until(lambda each: each.epoch == 2)
            await watch.writes(pair.writer, 2)

    async def test_the_control_connection_is_terminated(self, pair: Pair) -> None:
        async with watching(*pair.servers) as watch:
            await watch.writes(pair.writer, 1)
            await in_thread(
                pair.writer.sql,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE application_name = '{APPLICATION_NAME}'",
            )
            await watch.until(lambda _: any(each.state == "SUSPECT" for each in watch.told))
            await watch.writes(pair.writer, 1)
            assert "HOLD" not in {each.state for each in watch.told if each.epoch}

    async def test_a_process_of_the_writer_crashes(self, pair: Pair) -> None:
        """The server restarts by itself, and is the same in all that it says."""
        async with watching(*pair.servers) as watch:
            await watch.writes(pair.writer, 1)
            find = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
            ((pid,),) = await in_thread(pair.writer.sql, find)
            os.kill(int(pid), signal.SIGKILL)
            await watch.until(lambda _: any(each.epoch and each.cause for each in watch.told))
            await watch.writes(pair.writer, 1)

    async def test_read_only_for_everybody(self, pair: Pair) -> None:
        async with watching(*pair.servers) as watch:
            await watch.writes(pair.writer, 1)
            await in_thread(lambda: pair.writer.configure(default_transaction_read_only=True))
            held = await watch.holds()
            assert "read-only" in held.cause
            await in_thread(lambda: pair.writer.configure(default_transaction_read_only=False))
            await watch.writes(pair.writer, 1)

    async def test_two_that_write(self, pair: Pair) -> None:
        old, (new,) = pair.writer, pair.standbys
        async with watching(old, new) as watch:
            await watch.writes(old, 1)
            await in_thread(pair.promote)
            await watch.writes(new, 2)
            found = await watch.until(
                lambda each: any(server.reason == "FENCED" for server in each.servers)
            )
            assert found.writer == address(new)

    async def test_hosts_come_and_go(self, pair: Pair) -> None:
        (standby,) = pair.standbys
        async with watching(standby) as watch:
            await watch.holds()
            watch.monitor.set_hosts([address(each) for each in pair.servers])
            await watch.writes(pair.writer, 1)
            watch.monitor.set_hosts([address(standby)])
            await watch.holds()


class Names:
    """A resolver."""

    def __init__(self, *names: str) -> None:
        self.names = set(names)

    def __call__(self, host: str, *_: object, **__: object) -> list[tuple[Any, ...]]:
        if host not in self.names:
            raise OSError("Name or service not known")
        return [(2, 1, 6, "", ("127.0.0.1", 0))]


async def test_names(pair: Pair) -> None:
    """They stop resolving before the failover, which goes on all the same."""
    old, (new,) = pair.writer, pair.standbys
    names = Names("one.test", "two.test")
    hosts = [Address("one.test", old.port), Address("two.test", new.port)]
    source = DnsSource(hosts, Resolver(names))
    async with Watch(source) as watch:
        found = await watch.writes(old, 1)
        assert found.writer is not None
        assert found.writer.name == "one.test"
        names.names.clear()
        await in_thread(old.kill)
        await watch.holds()
        # That is a reason to look at once.
        looks = "one.test can't be looked up"
        await in_thread(eventually, lambda: looks in watch.monitor.trouble, looks)
        await in_thread(pair.promote)
        found = await watch.writes(new, 2)
        assert found.writer is not None
        assert found.writer.name == "two.test"


class Patroni:
    """Its REST API, which says what it is told to."""

    def __init__(self) -> None:
        self.members: list[dict[str, Any]] = []
        self.asked = asyncio.Event()
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "Patroni":
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    def lists(self, servers: Sequence[tuple[Postgres, str]]) -> None:
        self.members = [
            {"name": "x", "role": role, "state": "running", "host": each.host, "port": each.port}
            for each, role in servers
        ]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"GET /cluster HTTP/1.1\r\n")
        body = json.dumps({"members": self.members, "scope": "test"}).encode()
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body)
        await writer.drain()
        writer.close()
        self.asked.set()


async def test_patroni(pair: Pair) -> None:
    """It lies about who leads, hides the writer, and is gone in the failover."""
    old, (new,) = pair.writer, pair.standbys
    async with Patroni() as patroni:
        patroni.lists([(old, "replica"), (new, "leader")])
        urls = [f"http://127.0.0.1:{patroni.port}"]
        source = PatroniSource([Address("127.0.0.1", 1)], urls, Resolver(), period_s=0.05)
        async with Watch(source) as watch:
            await watch.writes(old, 1)
            assert {each.address for each in watch.told[-1].servers} == {address(old), address(new)}
            patroni.lists([(new, "leader")])
            for _ in range(3):
                patroni.asked.clear()
                await patroni.asked.wait()
            assert watch.told[-1].writer == address(old)
            assert watch.told[-1].state == "UP"
            patroni.lists([(old, "leader"), (new, "replica")])
            patroni.asked.clear()
            await patroni.asked.wait()
            await patroni.stop()
            await in_thread(old.kill)
            await watch.holds()
            await in_thread(pair.promote)
            await watch.writes(new, 2)
            assert "can't be asked" in watch.monitor.trouble
