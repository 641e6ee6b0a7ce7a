"""Tasks and threads beside the event loop, started so that nothing gets lost."""

import asyncio
import contextlib
import contextvars
import functools
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Generator
from queue import SimpleQueue
from typing import Any, Final, TypeVar

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_Call = Callable[[], None]

CRYPTO_THREADS: Final = max(1, min(4, os.cpu_count() or 1))
"""Threads for TLS handshakes and PBKDF2: as many as can run at once, for both only compute."""

# asyncio itself only keeps weak references: a task nobody awaits may vanish while it waits.
_running: set[asyncio.Task[Any]] = set()


def spawn(coroutine: Coroutine[Any, Any, _T], name: str | None = None) -> asyncio.Task[_T]:
    """Starts a task that nobody needs to await: it is kept alive, and what it raises is logged."""
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _running.add(task)
    task.add_done_callback(_finished)
    return task


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    log_failure(task)


def log_failure(task: asyncio.Task[Any]) -> None:
    """Logs what a task that is done has raised, if it has."""
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        _log.error("Task %s failed", task.get_name(), exc_info=error)


class Wakeup:
    """What one task waits for until a callback of the event loop resumes it, in that very callback.

    A future would do the same one turn of the loop later, which a login takes several times. This
    is asyncio's protocol for objects that tasks may wait for (see asyncio.isfuture).
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_callback",
        "_cancelled",
        "_context",
        "_loop",
        "_resumed",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        self._loop = loop
        self._callback: Callable[[Any], object] | None = None
        self._context: contextvars.Context | None = None
        self._resumed = False
        self._cancelled = False

    def __await__(self) -> Generator[Any, None, None]:
        if not self._resumed:
            self._asyncio_future_blocking = True
            yield self

    def resume(self) -> None:
        """Lets the task go on, now. Only for callbacks of the loop: no task may be running."""
        self._resumed = True
        callback, self._callback = self._callback, None
        if callback is not None and self._context is not None:
            self._context.run(callback, self)

    def resume_soon(self) -> None:
        """Lets the task go on in the loop's next turn."""
        self._resumed = True
        if self._callback is not None:
            self._loop.call_soon(self.resume)

    # ---- what asyncio's tasks ask for ----

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(
        self, callback: Callable[[Any], object], *, context: contextvars.Context
    ) -> None:
        self._callback, self._context = callback, context

    def cancel(self, msg: object = None) -> bool:
        self._cancelled = True
        self.resume_soon()
        return True

    def result(self) -> None:
        if self._cancelled:
            raise asyncio.CancelledError


async def in_crypto_thread(function: Callable[..., _T], *arguments: object) -> _T:
    """Runs a function that computes for long with the GIL released, off the loop.

    If the caller is cancelled, the function still runs to its end; its result is dropped.
    A quarter of what an executor of concurrent.futures costs, which a login would feel.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def call() -> None:
        try:
            answer = functools.partial(_give, done, function(*arguments))
        except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
            answer = functools.partial(_fail, done, error)
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(answer)

    _crypto_queue().put(call)
    return await done


def _give(done: asyncio.Future[_T], result: _T) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[Any], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)


@functools.cache
def _crypto_queue() -> SimpleQueue[_Call]:
    queue: SimpleQueue[_Call] = SimpleQueue()
    for number in range(CRYPTO_THREADS):
        name = f"crypto-{number}"
        threading.Thread(target=_compute, args=(queue,), name=name, daemon=True).start()
    return queue


def _compute(queue: SimpleQueue[_Call]) -> None:
    while True:
        queue.get()()
