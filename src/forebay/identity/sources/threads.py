"""A few threads for calls that block: AWS, and files that may lie on a slow network."""

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

_T = TypeVar("_T")


class Threads:
    """At most ``count`` threads, started when they are needed first.

    They don't keep the process from ending, as those of concurrent.futures do: a call to a server
    that does not answer must not hold up a stop.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._started = 0
        self._busy = 0
        self._closed = False

    async def run(self, function: Callable[[], _T]) -> _T:
        """What the function returns or raises. Cancelling does not end it: its answer is dropped.

        Raises RuntimeError after `close`."""
        if self._closed:
            raise RuntimeError(f"the threads {self._name} are closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_T] = loop.create_future()

        def call() -> None:
            try:
                answer = functools.partial(_give, done, function())
            except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                answer = functools.partial(_fail, done, error)
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(answer)

        self._busy += 1
        if self._started < min(self._busy, self._count):
            self._started += 1
            name = f"{self._name}-{self._started}"
            threading.Thread(target=_work, args=(self._calls,), name=name, daemon=True).start()
        self._calls.put(call)
        try:
            return await done
        finally:
            self._busy -= 1

    def close(self) -> None:
        """Lets the threads end, each after the call that it is busy with and those waiting."""
        self._closed = True
        for _ in range(self._started):
            self._calls.put(None)
        self._started = 0


def _work(calls: "SimpleQueue[Callable[[], None] | None]") -> None:
    while (call := calls.get()) is not None:
        call()


def _give(done: "asyncio.Future[_T]", answer: _T) -> None:
    if not done.done():
        done.set_result(answer)


def _fail(done: "asyncio.Future[_T]", error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)
