import asyncio
import threading

import pytest

from forebay.identity.sources.threads import Threads


async def test_runs_beside_the_loop_and_hands_back() -> None:
    threads = Threads(2, "x")
    assert await threads.run(lambda: threading.current_thread().name) == "x-1"
    with pytest.raises(ValueError, match="no"):
        await threads.run(lambda: int("no"))
    threads.close()


async def test_at_most_so_many_at_once() -> None:
    threads = Threads(2, "x")
    go_on = threading.Event()
    names = set()

    def call() -> None:
        names.add(threading.current_thread().name)
        if len(names) == 2:
            go_on.set()
        go_on.wait(30)

    await asyncio.gather(*(threads.run(call) for _ in range(8)))
    assert names == {"x-1", "x-2"}
    threads.close()


async def test_one_thread_does_for_calls_in_turn() -> None:
    threads = Threads(4, "x")
    names = {await threads.run(lambda: threading.current_thread().name) for _ in range(5)}
    assert names == {"x-1"}
    threads.close()


async def test_a_caller_that_was_cancelled_gets_nothing() -> None:
    threads = Threads(1, "x")
    go_on = threading.Event()
    task = asyncio.ensure_future(threads.run(go_on.wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    assert await threads.run(lambda: 5) == 5
    threads.close()


async def test_nothing_runs_after_the_end() -> None:
    threads = Threads(1, "x")
    thread = await threads.run(threading.current_thread)
    threads.close()
    thread.join(30)
    assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="closed"):
        await threads.run(lambda: 5)
