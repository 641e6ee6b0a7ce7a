"""Starts the processes full of clients, follows what they report, and ends them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import msgspec

from forebay.embedded.errors import SetupError

# The last report holds a number for every transaction.
MAX_REPORT_BYTES = 64 << 20
GRACE_S = 45.0  # for connecting, and for the transactions under way when the time is up
SHOWN_BYTES = 500


class Told(Protocol):
    """What the report of any process says."""

    is_connected: bool
    is_finished: bool


R = TypeVar("R", bound=Told)


class Crowd(Generic[R]):
    """One process for each order; ``async with Crowd(…) as crowd:`` ends them all.

    program: the module that each process runs. ``reports``: the latest of each, of this kind.
    work_s: how long they are going to work, after which they are waited for a while longer.
    """

    def __init__(
        self, orders: Sequence[msgspec.Struct], program: str, kind: type[R], work_s: float
    ) -> None:
        self.reports = [kind() for _ in orders]
        self._orders = orders
        self._program = program
        self._kind = kind
        self._limit_s = GRACE_S + work_s
        self._processes: list[asyncio.subprocess.Process] = []
        self._readers: list[asyncio.Task[None]] = []
        self._failure: SetupError | None = None
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        try:
            for index, order in enumerate(self._orders):
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    self._program,
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

    def start(self) -> None:
        """Lets all clients work."""
        for process in self._processes:
            _tell(process, b"go\n")

    def stop(self) -> None:
        """Lets all clients finish what they are at."""
        for process in self._processes:
            _tell(process, b"enough\n")

    async def finished(self) -> None:
        """Returns when the last client has finished."""
        await self._until(lambda report: report.is_finished)

    async def _until(self, is_so: Callable[[R], bool]) -> None:
        try:
            async with asyncio.timeout(self._limit_s), self._news:
                await self._news.wait_for(
                    lambda: self._failure or all(is_so(report) for report in self.reports)
                )
        except TimeoutError:
            raise SetupError(
                f"the clients were not done after {self._limit_s:.0f} s: is the machine overloaded?"
            ) from None
        if self._failure is not None:
            raise self._failure

    async def _read(self, index: int, process: asyncio.subprocess.Process) -> None:
        output, complaints = process.stdout, process.stderr
        if output is None or complaints is None:
            return  # both are pipes
        while line := await output.readline():
            self.reports[index] = msgspec.json.decode(line, type=self._kind)
            async with self._news:
                self._news.notify_all()
        if not self.reports[index].is_finished:
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
