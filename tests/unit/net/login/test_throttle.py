"""How wrong passwords are slowed."""

import tracemalloc

from forebay.net.login import Throttle


def test_delays_grow_up_to_a_bound() -> None:
    throttle = Throttle(first_delay_s=1, max_delay_s=5, forget_s=60)
    assert [throttle.failed("u", "a", now_s=0) for _ in range(5)] == [1, 2, 4, 5, 5]
    assert throttle.failed("u", "b", now_s=0) == 1
    assert throttle.failed("v", "a", now_s=0) == 1
    assert throttle.wrong_passwords == 7
    for _ in range(2000):
        assert throttle.failed("u", "a", now_s=0) == 5


def test_delays_are_forgotten() -> None:
    throttle = Throttle(first_delay_s=1, max_delay_s=5, forget_s=60)
    assert [throttle.failed("u", "a", now_s=t) for t in (0, 60, 120.5)] == [1, 2, 1]
    throttle.failed("u", "a", now_s=121)
    throttle.succeeded("u", "a")
    assert throttle.failed("u", "a", now_s=121) == 1
    throttle.succeeded("never", "seen")


def test_the_table_is_bounded() -> None:
    throttle = Throttle(max_entries=3)
    for number in range(10):
        throttle.failed(f"user{number}", "a", now_s=0)
    assert len(throttle) == 3
    assert throttle.failed("user9", "a", now_s=0) > throttle.failed("user0", "a", now_s=0)


def test_names_that_nobody_has_do_not_fill_the_memory() -> None:
    """A startup packet has room for a name of ten thousand characters."""
    throttle = Throttle()
    tracemalloc.start()
    try:
        for number in range(1000):
            name = f"{number:010}" * 1000
            assert throttle.failed(name, "a", now_s=0) < throttle.failed(name, "a", now_s=0)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(throttle) == 1000
    assert kept < 1_000_000
    throttle.succeeded(name, "a")
    assert len(throttle) == 999
