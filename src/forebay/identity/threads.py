"""A bounded number of threads for calls that block: AWS, STS, files that may lie on a slow network.

An executor of concurrent.futures takes any number of calls, and a program that ends waits for its
threads. These can refuse what is too much, and are left behind: a call to a server that does not
answer must not hold up a stop.
"""

import asyncio
import contextlib
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, TypeVar

T = TypeVar("T")

IDLE_S: Final = 20.0
"""After how long without work a thread closes what it has open. STS closes connections later."""


class BusyError(Exception):
    """All threads are busy, and so many calls wait for them that another is not taken."""


class Threads:
    """Up to ``most`` threads, started when there is work, and up to ``waiting`` calls that wait for
    one (None: any number). `call` and `run` are for the thread of an event loop."""

    def __init__(
        self,
        name: str,
        *,
        most: int,
        waiting: int | None = None,
        idle: Callable[[], None] | None = None,
        idle_s: float = IDLE_S,
    ) -> None:
        """``idle``: called in a thread that has had no work for ``idle_s``, and before it ends."""
        self._name = name
        self._most = most
        self._limit = None if waiting is None else most + waiting
        self._idle = idle
        self._idle_s = idle_s
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._under_way = 0
        self._closed = False

    async def run(self, function: Callable[[], T]) -> T:
        """What it returns or raises, called in a thread. Cancelling does not end it: what comes of
        it is dropped. Raises as `call`."""
        return await self.call(function)

    def call(self, function: Callable[[], T]) -> "asyncio.Future[T]":
        """Has it called in a thread. If the future is cancelled, it still runs to its end.

        Raises BusyError if there is too much to do already, RuntimeError after `close`."""
        if self._closed:
            raise RuntimeError(f"the threads {self._name} are closed")
        if self._limit is not None and self._under_way >= self._limit:
            raise BusyError
        self._under_way += 1
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def finish(result: T | None, error: BaseException | None) -> None:
            self._under_way -= 1
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]

        def work() -> None:
            result: T | None = None
            failure: BaseException | None = None
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(finish, result, failure)

        self._queue.put(work)
        if len(self._threads) < min(self._most, self._under_way):
            name = f"{self._name}-{len(self._threads) + 1}"
            thread = Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def close(self) -> None:
        """Lets the threads end when they have done what there is to do. Does not wait for them."""
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)
        self._threads.clear()

    def _work(self) -> None:
        while True:
            try:
                work = self._queue.get(timeout=self._idle_s)
            except Empty:
                self._become_idle()
                work = self._queue.get()
            if work is None:
                self._become_idle()
                return
            work()

    def _become_idle(self) -> None:
        if self._idle is not None:
            self._idle()
