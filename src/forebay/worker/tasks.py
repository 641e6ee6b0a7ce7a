"""Tasks and threads beside the event loop, started so that nothing gets lost."""

import asyncio
import functools
import logging
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

CRYPTO_THREADS: Final = min(4, os.cpu_count() or 1)
"""Threads for TLS handshakes and PBKDF2: as many as can run at once, for both are pure computing.
"""

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


@functools.cache
def _crypto_executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(CRYPTO_THREADS, thread_name_prefix="crypto")


async def in_crypto_thread(function: Callable[..., _T], *arguments: object) -> _T:
    """Runs a function that computes for long with the GIL released, off the loop.

    If the caller is cancelled, the function still runs to its end; its result is dropped.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_crypto_executor(), function, *arguments)
