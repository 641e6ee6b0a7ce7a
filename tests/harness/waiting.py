"""Waiting for what other processes do."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_INTERVAL_S = 0.02


def eventually(look: Callable[[], T], what: str = "condition", timeout_s: float = 15.0) -> T:
    """The first true answer of ``look``; fails the test if none comes in time.

    The timeout only bounds a failing test: no passing test depends on it.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        answer = look()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(POLL_INTERVAL_S)
