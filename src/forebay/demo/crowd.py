"""Starts the processes full of clients, follows what they report, and ends them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import msgspec

from forebay.demo.reports import Order, Report
from forebay.embedded.errors import SetupError

# The last report holds a number for every transaction.
MAX_REPORT_BYTES = 64 << 20
GRACE_S = 45.0  # for connecting, and for the transactions under way when the time is up
SHOWN_BYTES = 500


class Crowd:
    """One process for each order; ``async with Crowd(orders) as crowd:`` ends them all."""

    def __init__(self, orders: Sequence[Order]) -> None:
        self._orders = orders
        self._processes: list[asyncio.subprocess.Process] = []
        self._readers: list[asyncio.Task[None]] = []
        self._reports = [Report() for _ in orders]
        self._failure: SetupError | None = None
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        try:
            for index, order in enumerate(self._orders):
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "forebay.demo.clients",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    limit=MAX_REPORT_BYTES,
                    start_new_session=True,  # Ctrl-C is the demo's to handle
                )
                self._processes.append(process)
                self._readers.append(asyncio.ensure_future(self._read(index, process)))
                _tell(process, msgspec.json.encode(order) + b"\n")
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._end()

    async def connected(self) -> None:
        """Returns when every client has its connection or knows that it gets none."""
        await self._until(lambda report: report.is_connected)

    async def work(self) -> None:
        """Lets all clients work, and returns when the last one has finished."""
        for process in self._processes:
            _tell(process, b"go\n")
        await self._until(lambda report: report.is_finished)

    def total(self) -> Report:
        """All reports added up, as of now."""
        total = Report()
        errors: Counter[str] = Counter()
        for report in self._reports:
            for name in ("connected", "refused", "unconnected", "transactions", "failed"):
                setattr(total, name, getattr(total, name) + getattr(report, name))
            total.latencies_us += report.latencies_us
            total.lag_us += report.lag_us
            errors.update(report.errors)
        total.errors = dict(errors)
        return total

    async def _until(self, is_so: Callable[[Report], bool]) -> None:
        limit_s = GRACE_S + max(order.work_s for order in self._orders)
        try:
            async with asyncio.timeout(limit_s), self._news:
                await self._news.wait_for(
                    lambda: self._failure or all(is_so(report) for report in self._reports)
                )
        except TimeoutError:
            raise SetupError(
                f"the clients were not done after {limit_s:.0f} s: is the machine overloaded?"
            ) from None
        if self._failure is not None:
            raise self._failure

    async def _read(self, index: int, process: asyncio.subprocess.Process) -> None:
        output, complaints = process.stdout, process.stderr
        if output is None or complaints is None:
            return  # both are pipes
        while line := await output.readline():
            self._reports[index] = msgspec.json.decode(line, type=Report)
            async with self._news:
                self._news.notify_all()
        if not self._reports[index].is_finished:
            said = (await complaints.read())[-SHOWN_BYTES:].decode(errors="replace").strip()
            self._failure = SetupError(f"a process of clients ended early: {said or 'in silence'}")
            async with self._news:
                self._news.notify_all()

    async def _end(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        for process in self._processes:
            await process.wait()
            if process.stdin is not None:
                process.stdin.close()


def _tell(process: asyncio.subprocess.Process, line: bytes) -> None:
    if process.stdin is not None:
        process.stdin.write(line)
