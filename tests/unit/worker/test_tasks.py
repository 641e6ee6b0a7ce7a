"""Tasks that nobody awaits, and threads."""

import asyncio
import gc
import logging
import threading

import pytest

from forebay.worker.tasks import in_crypto_thread, spawn


async def test_a_spawned_task_survives_garbage_collection() -> None:
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        gc.collect()
        await asyncio.sleep(0)
        done.set()

    spawn(work())
    gc.collect()
    await done.wait()


async def test_what_a_spawned_task_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("boom")

    with caplog.at_level(logging.ERROR):
        task = spawn(fail(), name="failing")
        await asyncio.wait([task])
    assert "Task failing failed" in caplog.text
    assert "boom" in caplog.text


async def test_a_cancelled_task_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    task = spawn(asyncio.sleep(60))
    task.cancel()
    await asyncio.wait([task])
    assert not caplog.records


async def test_in_crypto_thread() -> None:
    assert await in_crypto_thread(threading.current_thread) is not threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        await in_crypto_thread(divmod, 1, 0)
