"""The clock, chance, and the log of a virtual world."""

import heapq
import itertools
import json
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from random import Random

# Of the log, so much is kept to be shown.
TAIL = 60


class WrongError(AssertionError):
    """Something happened that must not."""


class World:
    """Time passes from one event to the next. Each part has its own chance, so that what one does
    more or less does not change what happens to the others."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 0.0
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.lines = 0
        self._hash = sha256()
        self._events: list[tuple[float, int, Callable[..., object], tuple[object, ...]]] = []
        self._numbers = itertools.count()

    def chance(self, part: str) -> Random:
        """The chance of one part."""
        return Random(f"{self.seed}/{part}")

    def later(self, delay_s: float, function: Callable[..., object], *arguments: object) -> None:
        self.at(self.now + delay_s, function, *arguments)

    def at(self, time_s: float, function: Callable[..., object], *arguments: object) -> None:
        """At a time that is not over. What is told first of what happens at one time is first."""
        heapq.heappush(self._events, (time_s, next(self._numbers), function, arguments))

    def log(self, what: str, *facts: object) -> None:
        """One line of the log."""
        line = json.dumps([round(self.now, 6), what, *map(str, facts)])
        self._hash.update(line.encode())
        self.tail.append(line)
        self.lines += 1

    @property
    def hash(self) -> str:
        """Of all that was logged."""
        return self._hash.hexdigest()

    def run(self, until: float, after_each: Callable[[], None]) -> None:
        """Events happen up to a time, with a look at everything after each."""
        while self._events and self._events[0][0] <= until:
            self.now, _, function, arguments = heapq.heappop(self._events)
            function(*arguments)
            after_each()
        self.now = until
