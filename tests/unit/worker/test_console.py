"""One client of the admin database, message by message, with a node that a test plays."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from forebay.channel import AdminQuery, AdminResult, CallError
from forebay.net.login import LoggedIn
from forebay.net.stream import Stream
from forebay.protocol import messages
from forebay.protocol.errors import PgError, admin_shutdown
from forebay.protocol.messages import message, parse_data_row
from forebay.worker import console
from forebay.worker.console import MAX_PORTALS, MAX_STATEMENTS, Console, statements_in
from tests.unit.control.fakes import until

Answer = Callable[[AdminQuery], AdminResult]
ROWS = AdminResult(
    columns=[("name", "text"), ("value", "int4")], rows=[["a", "1"], ["b", None]], tag="SHOW"
)
SHOW = messages.query("SHOW IT")


class Far:
    """The client's end. ``asked``: what the node was asked for it; ``rows`` it has got so far."""

    def __init__(self, sock: socket.socket) -> None:
        self._stream = Stream(sock)
        self.asked: list[AdminQuery] = []
        self.rows: list[bytes] = []
        self.last = b""

    async def say(self, *parts: bytes) -> None:
        self._stream.write(b"".join(parts))
        await self._stream.drain()

    async def read(self) -> tuple[str, bytes]:
        kind, body = await self._stream.read_message(1 << 20)
        return chr(kind), body

    async def until_ready(self) -> str:
        """The types of all messages up to ReadyForQuery, with that one's status."""
        kinds = ""
        while not kinds.endswith("Z"):
            kind, body = await self.read()
            kinds += kind
            if kind == "E":
                self.last = body
            elif kind == "D":
                self.rows.append(body)
        return kinds + body.decode()

    def error(self) -> PgError:
        return PgError.parse(self.last)

    def close(self) -> None:
        self._stream.close()


@asynccontextmanager
async def talk(
    answer: Answer, *, idle_timeout_s: float = 60.0
) -> AsyncIterator[tuple[Far, Console]]:
    """A client that has been greeted."""
    ours, theirs = socket.socketpair()
    far = Far(theirs)

    async def ask(request: Any, expected: type[Any], timeout_s: float, /) -> Any:
        far.asked.append(request)
        await asyncio.sleep(0)
        return answer(request)

    login = LoggedIn(Stream(ours), "ops", "pgbouncer", (), 0, "")
    served = Console(login, "app", ask, idle_timeout_s=idle_timeout_s)
    served.key = b"keys"
    task = asyncio.ensure_future(served.run(7))
    try:
        assert await far.until_ready() == "S" * len(console.GREETING) + "KZI"
        yield far, served
    finally:
        far.close()
        await task


async def test_a_query_and_its_rows() -> None:
    async with talk(lambda _: ROWS) as (far, _):
        await far.say(SHOW)
        assert await far.until_ready() == "TDDCZI"
        assert [parse_data_row(each) for each in far.rows] == [["a", "1"], ["b", None]]
        assert far.asked == [AdminQuery(proxy="app", user="ops", text="SHOW IT")]
        await far.say(messages.query("-- ping\n;"))
        assert await far.until_ready() == "IZI"


async def test_rows_come_part_by_part() -> None:
    def answer(query: AdminQuery) -> AdminResult:
        rest = 200 if query.offset == 0 else 0
        return AdminResult(columns=ROWS.columns, rows=ROWS.rows, tag="SHOW", next_offset=rest)

    async with talk(answer) as (far, _):
        await far.say(SHOW)
        assert await far.until_ready() == "TDDDDCZI"
        assert [each.offset for each in far.asked] == [0, 200]


async def test_several_statements_end_at_the_first_error() -> None:
    def answer(query: AdminQuery) -> AdminResult:
        if query.text == "NO":
            return AdminResult(error="no", sqlstate="42601")
        return AdminResult(tag=query.text)

    async with talk(answer) as (far, _):
        await far.say(messages.query("RELOAD; RESUME /* and */; NO; KILL"))
        assert await far.until_ready() == "CCEZI"
        assert [each.text for each in far.asked] == ["RELOAD", "RESUME", "NO"]
        assert (far.error().message, far.error().sqlstate) == ("no", "42601")


async def test_a_node_that_does_not_answer() -> None:
    def answer(query: AdminQuery) -> AdminResult:
        raise CallError("the node has ended")

    async with talk(answer) as (far, _):
        await far.say(SHOW)
        assert await far.until_ready() == "EZI"
        assert far.error().sqlstate == "58000"


async def test_notices_and_transactions() -> None:
    def answer(query: AdminQuery) -> AdminResult:
        return AdminResult(tag=query.text, notice="look", notice_detail="here")

    async with talk(answer) as (far, _):
        for text, ready in (("BEGIN", "NCZT"), ("SHOW", "NCZT"), ("COMMIT", "NCZI")):
            await far.say(messages.query(text))
            assert await far.until_ready() == ready


def parse(name: bytes, text: bytes, types: int = 0) -> bytes:
    return message(b"P", name + b"\0" + text + b"\0" + struct.pack("!H", types) + b"\0" * 4 * types)


def bind(portal: bytes, statement: bytes, *formats: int) -> bytes:
    codes = struct.pack(f"!H{len(formats)}H", len(formats), *formats)
    return message(b"B", portal + b"\0" + statement + b"\0" + b"\0" * 4 + codes)


def execute(portal: bytes, rows: int = 0) -> bytes:
    return message(b"E", portal + b"\0" + struct.pack("!i", rows))


SYNC = messages.sync()


async def test_the_extended_protocol() -> None:
    def answer(query: AdminQuery) -> AdminResult:
        return ROWS if query.step == "run" else AdminResult(columns=ROWS.columns, tag="SHOW")

    async with talk(answer) as (far, _):
        await far.say(parse(b"s", b"SHOW IT;"), message(b"D", b"Ss\0"), SYNC)
        assert await far.until_ready() == "1tTZI"
        await far.say(bind(b"", b"s", 0, 1), message(b"D", b"P\0"), execute(b""), SYNC)
        assert await far.until_ready() == "2TDDCZI"
        assert far.rows[0].endswith(b"\0\0\0\4\0\0\0\1")
        assert [each.step for each in far.asked] == ["describe", "run"]
        await far.say(message(b"C", b"Ss\0"), bind(b"", b"s"), execute(b""), SYNC)
        assert await far.until_ready() == "3EZI"  # what follows an error is skipped
        assert far.error().sqlstate == "26000"


async def test_rows_may_be_fetched_a_few_at_a_time() -> None:
    async with talk(lambda _: ROWS) as (far, _):
        await far.say(parse(b"", b"SHOW IT"), bind(b"p", b""), execute(b"p", 1), message(b"H"))
        kinds = "".join([(await far.read())[0] for _ in range(4)])
        assert kinds == "12Ds"
        await far.say(execute(b"p", 1), execute(b"p", 5), SYNC)
        assert await far.until_ready() == "DsCZI"
        await far.say(execute(b"p"), SYNC)  # it has ended with the transaction
        assert await far.until_ready() == "EZI"
        assert far.error().sqlstate == "34000"


async def test_a_statement_without_rows_and_an_empty_one() -> None:
    async with talk(lambda _: AdminResult(tag="RELOAD")) as (far, _):
        await far.say(parse(b"", b"RELOAD"), message(b"D", b"S\0"), bind(b"", b"", 1))
        await far.say(execute(b""), SYNC)
        assert await far.until_ready() == "1tn2CZI"
        await far.say(parse(b"", b" ;"), bind(b"", b""), message(b"D", b"P\0"), execute(b""), SYNC)
        assert await far.until_ready() == "12nIZI"


@pytest.mark.parametrize(
    ("asked", "sqlstate"),
    [
        (parse(b"", b"A; B"), "42601"),
        (parse(b"", b"A", types=1), "0A000"),
        (parse(b"x", b"A") * 2, "42P05"),
        (b"".join(parse(b"%d" % each, b"A") for each in range(MAX_STATEMENTS + 1)), "54000"),
        (parse(b"", b"A") + bind(b"", b"", 1, 1, 1), "08P01"),
        (parse(b"", b"A") + bind(b"", b"", 7), "08P01"),
        (
            parse(b"", b"A") + b"".join(bind(b"%d" % each, b"") for each in range(MAX_PORTALS + 1)),
            "53400",
        ),
        (parse(b"", b"A") + message(b"B", b"\0\0\0\0\0\1\xff\xff\xff\xff\0\0"), "08P01"),
    ],
)
async def test_what_cannot_be(asked: bytes, sqlstate: str) -> None:
    async with talk(lambda _: ROWS) as (far, _):
        await far.say(asked, SYNC)
        assert (await far.until_ready()).endswith("EZI")
        assert far.error().sqlstate == sqlstate


async def test_prepared_statements_are_dropped() -> None:
    async with talk(lambda query: AdminResult(tag=" ".join(query.text.split()[:2]))) as (far, _):
        await far.say(parse(b"x", b"A"), messages.query("DEALLOCATE ALL"), bind(b"", b"x"), SYNC)
        await far.until_ready()
        assert (await far.until_ready()).startswith("E")


@pytest.mark.parametrize(
    "said", [message(b"Q", b"no end"), message(b"?"), b"Q\0\0\0\1", b"Q\x7f\0\0\0"]
)
async def test_nonsense_ends_it(said: bytes) -> None:
    async with talk(lambda _: ROWS) as (far, _):
        await far.say(said)
        kind, body = await far.read()
        assert (kind, PgError.parse(body).sqlstate) == ("E", "08P01")


async def test_goodbye_and_copy_data() -> None:
    async with talk(lambda _: ROWS) as (far, served):
        await far.say(message(b"d", b"x"), SHOW)
        assert await far.until_ready() == "TDDCZI"
        await far.say(messages.terminate())
        with pytest.raises(OSError):
            await far.read()
        served.end(admin_shutdown())  # nobody is there any more


async def test_it_may_be_ended() -> None:
    async with talk(lambda _: ROWS) as (far, served):
        served.end(admin_shutdown())
        kind, body = await far.read()
        assert (kind, PgError.parse(body).sqlstate) == ("E", "57P01")


async def test_whoever_says_nothing_is_not_kept_for_ever() -> None:
    async with talk(lambda _: ROWS, idle_timeout_s=0.01) as (far, _):
        kind, body = await far.read()
        assert (kind, PgError.parse(body).sqlstate) == ("E", "57P05")


async def test_whoever_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "SEND_TIMEOUT_S", 0.05)
    row: list[str | None] = ["x" * 1000, "1"]
    endless = AdminResult(columns=ROWS.columns, rows=[row] * 200, tag="SHOW", next_offset=1)
    ours, theirs = socket.socketpair()

    async def ask(request: Any, expected: type[Any], timeout_s: float, /) -> Any:
        return endless

    login = LoggedIn(Stream(ours), "ops", "pgbouncer", (), 0, "")
    theirs.setblocking(False)
    theirs.send(SHOW)
    served = Console(login, "app", ask, idle_timeout_s=60.0)
    served.key = b"keys"
    await served.run(7)  # it comes to an end
    assert login.stream.fileno() == -1
    theirs.close()


def pausing(*left: int) -> Answer:
    """A node in which a PAUSE has to wait for so many connections, each time that it is asked; the
    last number stays."""
    counts = list(left)

    def answer(query: AdminQuery) -> AdminResult:
        if query.step == "undo":
            return AdminResult(tag="PAUSE")
        return AdminResult(tag="PAUSE", pending=counts.pop(0) if len(counts) > 1 else counts[0])

    return answer


async def test_a_pause_is_waited_for() -> None:
    async with talk(pausing(2, 1, 0)) as (far, _):
        await far.say(messages.query("PAUSE"))
        assert await far.until_ready() == "CZI"
        assert [each.step for each in far.asked] == ["run", "wait", "wait"]


async def test_a_pause_that_is_cancelled_is_undone() -> None:
    async with talk(pausing(1)) as (far, served):
        await far.say(messages.query("PAUSE"))
        await until(lambda: len(far.asked) >= 2)
        served.cancel()
        assert await far.until_ready() == "EZI"
        assert far.error().sqlstate == "57014"
        assert far.asked[-1].step == "undo"
        await far.say(messages.query("PAUSE"))  # what was cancelled was the one before
        await until(lambda: far.asked[-1].step == "wait")


async def test_whoever_leaves_undoes_the_pause() -> None:
    async with talk(pausing(1)) as (far, _):
        await far.say(messages.query("PAUSE"))
        await until(lambda: len(far.asked) >= 2)
        far.close()
        await until(lambda: far.asked[-1].step == "undo")


def test_statements() -> None:
    assert statements_in('SHOW POOLS ; -- x\n ;; PAUSE "a;b"') == ["SHOW POOLS", 'PAUSE "a;b"']
    assert statements_in("") == statements_in(" ; /* ; */") == []
    assert statements_in("SHOW \ufffd") == ["SHOW \ufffd"]
