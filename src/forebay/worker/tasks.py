"""Tasks and threads beside the event loop, started so that nothing gets lost."""

import asyncio
import contextlib
import functools
import logging
import os
import threading
from collections.abc import Callable, Coroutine
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
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        _log.error("Task %s failed", task.get_name(), exc_info=error)


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
