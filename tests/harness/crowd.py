"""Very many clients in one process, plain and light: for tests that hold them idle."""

import asyncio
import contextlib
import sys

from forebay.protocol import messages, scram
from tests.harness.raw import HOST, scram_answer

LOGINS_AT_ONCE = 64

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def hold(port: int, name: str, user: str, password: str, count: int) -> None:
    """Log ``count`` clients in and say so; then, at every line of standard input, let each of them
    ask something; end with the input."""
    gate = asyncio.Semaphore(LOGINS_AT_ONCE)

    async def log_in() -> Streams:
        async with gate:
            return await _log_in(port, name, user, password)

    clients = await asyncio.gather(*(log_in() for _ in range(count)))
    print(f"{len(clients)} logged in", flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        answered = 0
        for start in range(0, count, LOGINS_AT_ONCE):
            some = clients[start : start + LOGINS_AT_ONCE]
            answered += sum(await asyncio.gather(*map(_ask, some)))
        print(f"{answered} answered", flush=True)
    for _, writer in clients:
        writer.close()
    for _, writer in clients:
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _log_in(port: int, name: str, user: str, password: str) -> Streams:
    reader, writer = await asyncio.open_connection(HOST, port, limit=4096)
    writer.write(messages.startup_message({"user": user, "database": name}))
    exchange = scram.ClientExchange()
    while True:
        kind, body = await _read(reader)
        if kind == b"R":
            answer = scram_answer(exchange, body, password)
            if answer is not None:
                writer.write(answer)
        elif kind == b"Z":
            return reader, writer
        elif kind == b"E":
            raise ConnectionError(body.decode(errors="replace"))


async def _ask(client: Streams) -> bool:
    reader, writer = client
    writer.write(messages.query("SELECT 7"))
    rows = []
    while True:
        kind, body = await _read(reader)
        if kind == b"D":
            rows.append(messages.parse_data_row(body))
        elif kind == b"Z":
            return rows == [["7"]]


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], await reader.readexactly(int.from_bytes(head[1:], "big") - 4)
