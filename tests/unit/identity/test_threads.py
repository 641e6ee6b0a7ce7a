"""A bounded number of threads beside an event loop."""

import asyncio
import threading

import pytest

from forebay.identity.threads import BusyError, Threads


async def test_results_and_errors() -> None:
    threads = Threads("test", most=2, waiting=2)
    assert await threads.call(threading.get_ident) != threading.get_ident()
    failing = threads.call(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        await failing
    threads.close()


async def test_no_more_than_that() -> None:
    threads = Threads("test", most=2, waiting=1)
    go = threading.Event()

    def named() -> str:
        go.wait()
        return threading.current_thread().name

    calls = [threads.call(named) for _ in range(3)]
    with pytest.raises(BusyError):
        threads.call(named)
    calls[0].cancel()  # it still runs to its end, and counts until then
    with pytest.raises(BusyError):
        threads.call(named)
    go.set()
    assert set(await asyncio.gather(*calls[1:])) <= {"test-1", "test-2"}
    while True:  # until the cancelled one is done with, too
        try:
            assert await asyncio.gather(*(threads.call(named) for _ in range(3)))
            break
        except BusyError:
            await asyncio.sleep(0)
    threads.close()


async def test_a_thread_without_work_closes_what_it_has_open() -> None:
    became_idle: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def idle() -> None:
        name = threading.current_thread().name
        loop.call_soon_threadsafe(became_idle.put_nowait, name)

    threads = Threads("test", most=1, waiting=0, idle=idle, idle_s=0.01)
    assert await threads.call(lambda: 1) == 1
    assert await became_idle.get() == "test-1"
    assert await threads.call(lambda: 2) == 2  # it is there for the next
    threads.close()
    assert await became_idle.get() == "test-1"


async def test_threads_are_started_when_there_is_work_and_end_with_close() -> None:
    threads = Threads("only-here", most=3, waiting=0)

    def there() -> list[threading.Thread]:
        return [each for each in threading.enumerate() if each.name == "only-here-1"]

    assert not there()
    for _ in range(3):
        await threads.call(lambda: None)
    (thread,) = there()
    assert thread.daemon
    threads.close()
    thread.join()
    assert not there()


async def test_any_number_may_wait_where_there_is_no_limit() -> None:
    threads = Threads("test", most=2)
    go_on = threading.Event()
    names = set()

    def call() -> None:
        names.add(threading.current_thread().name)
        if len(names) == 2:
            go_on.set()
        go_on.wait(30)

    await asyncio.gather(*(threads.run(call) for _ in range(50)))
    assert names == {"test-1", "test-2"}
    threads.close()


async def test_a_caller_that_was_cancelled_gets_nothing() -> None:
    threads = Threads("test", most=1)
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
    threads = Threads("test", most=1)
    thread = await threads.run(threading.current_thread)
    threads.close()
    thread.join(30)
    assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="closed"):
        await threads.run(lambda: 5)
