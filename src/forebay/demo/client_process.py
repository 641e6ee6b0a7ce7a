"""What a process of clients does besides: it hears what to do, reports, and ends with the demo.

Its first line of input is the order; the second, any, says "go", the third, any, that it is enough.
When the input ends, the demo that started it is gone, and so are the clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from typing import Protocol

import msgspec

from forebay.net.tasks import spawn

REPORT_INTERVAL_S = 0.2


class Clients(Protocol):
    """All clients of one process."""

    async def run(self) -> None:
        """Everything, from connecting to the last answer."""

    def start(self) -> None:
        """Lets the clients work, which wait for it."""

    def stop(self) -> None:
        """Lets them finish what they are at, and no more."""

    def interim(self) -> msgspec.Struct:
        """How they stand while they work, without what grows with each answer."""

    def final(self) -> msgspec.Struct:
        """What came out."""


async def serve(make: Callable[[bytes], Clients]) -> None:
    """Makes clients of the order, runs them, and writes their reports, one JSON object a line."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    clients = make(await reader.readline())
    work = spawn(clients.run())
    orders = spawn(_listen(reader, clients, work))
    reports = spawn(_report(clients))
    try:
        await work
    except asyncio.CancelledError:
        return  # the demo is gone
    finally:
        orders.cancel()
        reports.cancel()
        transport.close()
    _write(clients.final())


async def _listen(reader: asyncio.StreamReader, clients: Clients, work: asyncio.Task[None]) -> None:
    for obey in (clients.start, clients.stop):
        if not await reader.readline():
            break
        obey()
    else:
        await reader.read()
    work.cancel()


async def _report(clients: Clients) -> None:
    while True:
        _write(clients.interim())
        await asyncio.sleep(REPORT_INTERVAL_S)


def _write(report: msgspec.Struct) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        sys.stdout.buffer.flush()
