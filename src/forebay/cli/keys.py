"""Keys as they are pressed, on a terminal that is left as it was."""

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# A key that is held down does not hold up what is shown.
MAX_KEYS = 64


class Keys:
    """What is typed. ``descriptor``: of the terminal; None where there is none."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def wait(self, timeout_s: float) -> str:
        """The keys that were pressed within this time, in order; returns at the first ones."""
        if self._descriptor is None:
            select.select([], [], [], timeout_s)
            return ""
        ready, _, _ = select.select([self._descriptor], [], [], timeout_s)
        if not ready:
            return ""
        typed = os.read(self._descriptor, MAX_KEYS)
        if not typed:  # the terminal is gone
            raise KeyboardInterrupt
        return typed.decode("ascii", "replace")


@contextmanager
def keys() -> Iterator[Keys]:
    """Read keys one by one, without showing them. SIGTERM and SIGHUP end it as Ctrl-C does, so that
    the terminal is restored."""
    descriptor = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    before = None if descriptor is None else termios.tcgetattr(descriptor)
    handlers = {each: signal.signal(each, _end) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        if descriptor is not None:
            tty.setcbreak(descriptor)
        yield Keys(descriptor)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if descriptor is not None and before is not None:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
