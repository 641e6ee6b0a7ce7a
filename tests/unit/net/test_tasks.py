"""Tasks that nobody awaits, and threads."""

import asyncio
import gc
import logging
import threading

import pytest

from forebay.net.tasks import Wakeup, in_crypto_thread, spawn


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


class TestWakeup:
    async def test_the_task_goes_on_within_the_callback(self) -> None:
        loop = asyncio.get_running_loop()
        wakeup = Wakeup(loop)
        order = []

        async def wait() -> None:
            await wakeup
            order.append("task")

        def callback() -> None:
            order.append("before")
            wakeup.resume()
            order.append("after")

        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        loop.call_soon(callback)
        await task
        assert order == ["before", "task", "after"]

    async def test_from_within_a_task_it_is_resumed_soon(self) -> None:
        wakeup = Wakeup(asyncio.get_running_loop())

        async def wait() -> str:
            await wakeup
            return "resumed"

        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        wakeup.resume_soon()
        wakeup.resume_soon()
        assert not task.done()
        assert await task == "resumed"

    async def test_what_was_resumed_before_is_not_waited_for(self) -> None:
        wakeup = Wakeup(asyncio.get_running_loop())
        wakeup.resume()
        await wakeup

    async def test_cancelling_the_task(self) -> None:
        wakeup = Wakeup(asyncio.get_running_loop())

        async def wait() -> None:
            await wakeup

        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        wakeup.resume()  # nobody is there any more

    async def test_a_timeout_ends_the_wait(self) -> None:
        wakeup = Wakeup(asyncio.get_running_loop())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await wakeup

    async def test_cancelled_and_resumed_in_one_turn(self) -> None:
        """The cancellation wins; the task is stepped once."""
        wakeup = Wakeup(asyncio.get_running_loop())
        steps = []

        async def wait() -> None:
            try:
                await wakeup
            finally:
                steps.append("step")

        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        task.cancel()
        asyncio.get_running_loop().call_soon(wakeup.resume)
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        assert steps == ["step"]
