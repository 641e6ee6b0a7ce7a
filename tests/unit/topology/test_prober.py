"""Probes of servers that answer, do not, or refuse."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from forebay.config.addresses import Address
from forebay.net.connector import Target
from forebay.net.tls import ClientContexts
from forebay.protocol.errors import Severity
from forebay.topology.control import ControlLogin
from forebay.topology.prober import Prober
from forebay.topology.reports import Failure, HintKind, Report
from forebay.topology.sources.resolver import Resolver
from tests.harness.fake_postgres import SILENCE, FakePostgres, error, rows
from tests.unit.topology.servers import answering, prober


@pytest.fixture
async def server() -> AsyncIterator[FakePostgres]:
    async with FakePostgres(answering()) as fake:
        yield fake


async def test_one_connection_per_server(server: FakePostgres) -> None:
    asker, address = prober(server.port)
    assert [type(await asker.probe(address)) for _ in range(3)] == [Report] * 3
    server.answer = lambda sql: rows(["1"])
    assert await asker.ask(address, "SELECT 1") == [["1"]]
    asker.close()
    assert len(server.startups) == 1


async def test_silence_closes_the_connection(server: FakePostgres) -> None:
    asker, address = prober(server.port, timeout_s=0.2)
    server.answer = lambda sql: SILENCE
    found = await asker.probe(address)
    assert isinstance(found, Failure)
    assert found.kind == "timeout"
    server.answer = answering()
    assert isinstance(await asker.probe(address), Report)
    assert len(server.startups) == 2
    asker.close()


async def test_silence_at_the_login(server: FakePostgres) -> None:
    asker, address = prober(server.port, timeout_s=0.2)
    server.greeting = SILENCE
    found = await asker.probe(address)
    assert isinstance(found, Failure)
    assert found.kind == "timeout"
    asker.close()


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [("57P03", "starting"), ("28P01", "auth"), ("53300", "too_many"), ("3D000", "other")],
)
async def test_refusals(server: FakePostgres, sqlstate: str, kind: str) -> None:
    asker, address = prober(server.port)
    server.refusal = lambda user: error(sqlstate, Severity.FATAL)
    found = await asker.probe(address)
    assert isinstance(found, Failure)
    assert found.kind == kind
    asker.close()


async def test_nobody_there() -> None:
    async with FakePostgres(answering()) as fake:
        asker, address = prober(fake.port)
    found = await asker.probe(address)
    assert isinstance(found, Failure)
    assert found == Failure("refused", "Connection refused")
    asker.close()


async def test_no_postgresql(server: FakePostgres) -> None:
    asker, address = prober(server.port)
    server.greeting = b"HTTP/1.0 400 Bad Request\r\n\r\n"
    found = await asker.probe(address)
    assert isinstance(found, Failure)
    assert found.kind == "protocol"
    asker.close()


async def test_a_name_that_cannot_be_looked_up_any_more(server: FakePostgres) -> None:
    """It is connected to where it was last; localhost has two addresses, one that nobody is at."""
    known = True

    def look_up(*_: object, **__: object) -> list[tuple[Any, ...]]:
        if not known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (each, 0)) for each in ("127.0.0.2", "127.0.0.1")]

    async def logins(_: Address) -> list[ControlLogin]:
        return [ControlLogin("watcher", "secret", "postgres")]

    named = Address("db.test", server.port)
    asker = Prober(
        lambda each: Target(each.host, each.port), logins, ClientContexts(), 60.0, Resolver(look_up)
    )
    assert isinstance(await asker.probe(named), Report)
    known = False
    asker.keep(())
    assert isinstance(await asker.probe(named), Report)
    nobody = await asker.probe(Address("db.test", 1))
    assert nobody == Failure("refused", "127.0.0.1:1 (db.test): Connection refused")
    other = Address("other.test", server.port)
    assert await asker.probe(other) == Failure("refused", "Name or service not known")
    asker.close()


async def test_no_login_is_known(server: FakePostgres) -> None:
    async def none(_: Address) -> list[ControlLogin]:
        raise LookupError("the secret of the control user could not be read")

    target = Target("127.0.0.1", server.port)
    asker = Prober(lambda _: target, none, ClientContexts())
    found = await asker.probe(Address("127.0.0.1", server.port))
    assert found == Failure("auth", "the secret of the control user could not be read")
    asker.close()


async def test_an_error_leaves_the_connection(server: FakePostgres) -> None:
    asker, address = prober(server.port)
    server.answer = lambda sql: error("42883")
    found = await asker.ask(address, "SELECT unknown()")
    assert isinstance(found, Failure)
    server.answer = answering()
    assert isinstance(await asker.probe(address), Report)
    assert len(server.startups) == 1
    asker.close()


async def test_it_tells_of_an_end(server: FakePostgres) -> None:
    asker, address = prober(server.port)
    told: asyncio.Future[tuple[Address, HintKind]] = asyncio.get_running_loop().create_future()
    asker.on_hint = lambda where, kind: told.set_result((where, kind))
    await asker.probe(address)
    await server.end()
    assert await told == (address, "lost")
    asker.close()


async def test_one_that_is_forgotten_while_it_is_asked(server: FakePostgres) -> None:
    asker, address = prober(server.port)
    asked = asyncio.Event()

    def silent(sql: str) -> bytes:
        asked.set()
        return SILENCE

    server.answer = silent
    probe = asyncio.ensure_future(asker.probe(address))
    await asked.wait()
    asker.close()
    found = await probe
    assert isinstance(found, Failure)
    assert found.kind == "lost"


async def test_questions_one_after_the_other(server: FakePostgres) -> None:
    asker, address = prober(server.port)
    found = await asyncio.gather(*(asker.probe(address) for _ in range(5)))
    assert [type(each) for each in found] == [Report] * 5
    assert len(server.startups) == 1
    asker.close()
