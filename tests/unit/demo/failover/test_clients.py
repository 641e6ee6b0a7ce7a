"""What a client takes for written, refused and unknown, whatever its server does."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from forebay.demo.failover.clients import Crowd
from forebay.demo.failover.reports import Order, Report, Role
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.messages import message

Script = Callable[[str], bytes | None]
"""Answers a statement; None closes the connection instead."""

READY = b"Z" + struct.pack("!I", 5)
TAGS = {"BEGIN": "BEGIN", "SELECT": "SELECT 1", "INSERT": "INSERT 0 1", "COMMIT": "COMMIT"}


def fine(sql: str) -> bytes:
    word = sql.split()[0]
    status = b"T" if word in ("BEGIN", "SELECT") else b"I"
    return done(TAGS.get(word, word), status)


def done(tag: str, status: bytes = b"I") -> bytes:
    return message(b"C", tag.encode() + b"\0") + READY + status


def failed(sqlstate: str, status: bytes = b"I") -> bytes:
    return PgError(Severity.ERROR, sqlstate, "no").encode() + READY + status


@contextlib.asynccontextmanager
async def server(script: Script, in_hot_standby: str = "off") -> AsyncIterator[int]:
    """Lets everybody in, and answers by the script; the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readexactly(struct.unpack("!I", await reader.readexactly(4))[0] - 4)
            writer.write(message(b"R", struct.pack("!I", 0)))
            writer.write(message(b"S", b"in_hot_standby\0" + in_hot_standby.encode() + b"\0"))
            writer.write(READY + b"I")
            while await reader.readexactly(1) == b"Q":
                (length,) = struct.unpack("!I", await reader.readexactly(4))
                answer = script((await reader.readexactly(length - 4))[:-1].decode())
                if answer is None:
                    break
                writer.write(answer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


async def outcome(role: Role, script: Script, *hosts: int) -> Report:
    """What a client reports that makes one write, or holds its connection meanwhile."""
    asked = asyncio.Event()

    def watched(sql: str) -> bytes | None:
        answer = script(sql)
        asked.set()
        return answer

    async with server(watched) as port:
        order = Order(
            role=role,
            clients=1,
            first=5,
            hosts=[*(("127.0.0.1", host) for host in hosts), ("127.0.0.1", port)],
            sslmode="disable",
            user="app",
            password="x",
            database="shop",
            seed=1,
        )
        crowd = Crowd(order)
        running = asyncio.ensure_future(crowd.run())
        crowd.start()
        if role != "idle":
            await asked.wait()
        crowd.stop()
        await running
    return crowd.report


def told(report: Report) -> tuple[int, int, int]:
    return len(report.acknowledged), len(report.refused), len(report.unknown)


ROLES: list[Role] = ["web", "function"]


@pytest.mark.parametrize("role", ROLES)
async def test_acknowledged(role: Role) -> None:
    report = await outcome(role, fine)
    assert told(report) == (1, 0, 0)
    assert (report.writes, report.failed, report.dropped, report.connected) == (1, 0, 0, 0)
    assert report.written_at == [report.last_write_at]
    assert report.acknowledged == [5_000_001]
    assert (report.made_anew, report.attempts_failed) == (0, 0)
    assert len(report.waits_s) == 1
    assert report.waits_s[0] > 0
    assert report.is_connected
    assert report.is_finished


@pytest.mark.parametrize(
    ("role", "word", "answer", "expected"),
    [
        # The connection ends: only who has asked for the commit does not know.
        ("function", "INSERT", None, (0, 0, 1)),
        ("web", "COMMIT", None, (0, 0, 1)),
        ("web", "INSERT", None, (0, 1, 0)),
        ("web", "BEGIN", None, (0, 1, 0)),
        # It stays, and the proxy says that it does not know.
        ("function", "INSERT", failed("08007"), (0, 0, 1)),
        ("web", "COMMIT", failed("08007"), (0, 0, 1)),
        ("web", "INSERT", failed("08007"), (0, 1, 0)),
        # It is known not to be there.
        ("function", "INSERT", failed("25006"), (0, 1, 0)),
        ("web", "INSERT", failed("40001", b"E"), (0, 1, 0)),
        ("web", "COMMIT", failed("40001"), (0, 1, 0)),
        # A transaction that had failed is not committed, whatever its client asked for.
        ("web", "COMMIT", done("ROLLBACK"), (0, 1, 0)),
    ],
)
async def test_what_else_may_come_of_it(
    role: Role, word: str, answer: bytes | None, expected: tuple[int, int, int]
) -> None:
    asked: list[str] = []

    def script(sql: str) -> bytes | None:
        asked.append(sql.split()[0])
        return answer if asked[-1] == word else fine(sql)

    report = await outcome(role, script)
    assert told(report) == expected
    assert report.failed == 1
    assert report.dropped == (answer is None)
    assert report.waits_s == [0.0]  # it was not written
    assert ("ROLLBACK" in asked) == (answer is not None and answer.endswith(b"E"))


async def test_an_idle_client_asks_once_in_the_end() -> None:
    asked: list[str] = []

    def script(sql: str) -> bytes | None:
        asked.append(sql)
        return fine(sql)

    report = await outcome("idle", script)
    assert asked == ["SELECT 1"]
    assert (report.idle_dropped, report.failed) == (0, 0)


async def test_an_idle_client_whose_connection_is_gone() -> None:
    report = await outcome("idle", lambda _: None)
    assert (report.idle_dropped, report.dropped, report.failed) == (1, 1, 1)


async def test_a_connection_is_made_anew_and_the_wait_for_it_counts() -> None:
    asked: list[str] = []
    again = asyncio.Event()

    def script(sql: str) -> bytes | None:
        asked.append(sql)
        if len(asked) == 1:
            return None
        again.set()
        return fine(sql)

    async with server(script) as port:
        order = Order(
            role="function", clients=1, first=0, hosts=[("127.0.0.1", port)], sslmode="disable",
            user="app", password="x", database="shop", seed=1,
        )  # fmt: skip
        crowd = Crowd(order)
        running = asyncio.ensure_future(crowd.run())
        crowd.start()
        await again.wait()
        crowd.stop()
        await running
    assert (crowd.report.made_anew, crowd.report.dropped) == (1, 1)
    assert told(crowd.report) == (1, 0, 1)
    assert max(crowd.report.waits_s) > 0


async def test_of_several_hosts_the_one_that_writes_is_used() -> None:
    async with server(lambda _: None, in_hot_standby="on") as standby:
        report = await outcome("function", fine, standby)
    assert told(report) == (1, 0, 0)


async def test_nobody_there() -> None:
    report = Report()
    async with server(lambda _: None, in_hot_standby="on") as standby:
        order = Order(
            role="function",
            clients=2,
            first=0,
            hosts=[("127.0.0.1", standby), ("127.0.0.1", 1)],
            sslmode="disable",
            user="app",
            password="x",
            database="shop",
            seed=1,
        )
        crowd = Crowd(order)
        running = asyncio.ensure_future(crowd.run())
        crowd.start()
        crowd.stop()
        await running
        report = crowd.report
    assert (report.unconnected, report.is_connected) == (2, True)
    assert report.errors
    assert report.attempts_failed == 0  # to connect again: it was told to stop before
