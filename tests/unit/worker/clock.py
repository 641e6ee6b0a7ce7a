"""An Agenda whose time is played: nothing happens but what a test lets happen."""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from types import SimpleNamespace
from typing import Any

Call = tuple[Callable[..., object], tuple[object, ...]]


class Gate:
    """What a coroutine awaits until a test opens it."""

    def __init__(self) -> None:
        self.is_open = False
        self.sleepers: list[Callable[[], None]] = []

    def __await__(self) -> Generator["Gate", None, None]:
        if not self.is_open:
            yield self

    def open(self) -> None:
        self.is_open = True
        for wake in self.sleepers:
            wake()


class Clock:
    """Stands in for `forebay.worker.agenda.Agenda`. Begins at `now` seconds."""

    def __init__(self, now: float = 1000.0) -> None:
        self.time_s = now
        self.poller = SimpleNamespace(interrupted=False)
        self.spawned: list[str] = []
        self._soon: deque[Call] = deque()
        self._timers: list[tuple[float, int, Call]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self.time_s

    def soon(self, function: Callable[..., object], *arguments: object) -> None:
        self._soon.append((function, arguments))

    def later(self, delay_s: float, function: Callable[..., object], *arguments: object) -> None:
        due = self.time_s + delay_s, next(self._numbers), (function, arguments)
        heapq.heappush(self._timers, due)

    def spawn(self, coroutine: Coroutine[Any, Any, object], name: str) -> None:
        self.spawned.append(name)
        self.soon(self._step, coroutine)

    def _step(self, coroutine: Coroutine[Any, Any, object]) -> None:
        try:
            gate = coroutine.send(None)
        except StopIteration:
            return
        gate.sleepers.append(lambda: self._step(coroutine))

    def run(self) -> None:
        """All that is to be done at once."""
        while self._soon:
            function, arguments = self._soon.popleft()
            function(*arguments)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with every timer that falls due on the way."""
        self.run()
        end_s = self.time_s + seconds
        while self._timers and self._timers[0][0] <= end_s:
            self.time_s, _, (function, arguments) = heapq.heappop(self._timers)
            function(*arguments)
            self.run()
        self.time_s = end_s
