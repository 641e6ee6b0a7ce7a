"""An Agenda without an event loop: callbacks, timers and coroutines run when the rig says so."""

import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from time import monotonic
from typing import Any

from forebay.relay import Poller


class Gate:
    """Something a coroutine awaits until the script opens it."""

    def __init__(self) -> None:
        self.is_open = False
        self.sleepers: list[Callable[[], None]] = []

    def __await__(self) -> Generator["Gate", None, None]:
        if not self.is_open:
            yield self

    def open(self) -> None:
        self.is_open = True
        sleepers, self.sleepers = self.sleepers, []
        for wake in sleepers:
            wake()


class Timer:
    def __init__(self, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
        self.function = function
        self.arguments = arguments
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ScriptedAgenda:
    """Stands in for `forebay.worker.agenda.Agenda`. Time stands still until some is let pass: then
    what has really passed is added, for the relay reads the real clock."""

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        self._real_s = monotonic()
        self._passed_s = 0.0
        self._soon: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0

    def now(self) -> float:
        return self._real_s + self._passed_s

    def soon(self, function: Callable[..., object], *arguments: object) -> None:
        self._soon.append((function, arguments))

    def later(self, delay_s: float, function: Callable[..., object], *arguments: object) -> Timer:
        timer = Timer(function, arguments)
        self._count += 1
        heapq.heappush(self._timers, (self.now() + delay_s, self._count, timer))
        return timer

    def spawn(self, coroutine: Coroutine[Any, Any, object], name: str) -> None:
        self.soon(self._step, coroutine)

    def _step(self, coroutine: Coroutine[Any, Any, object]) -> None:
        try:
            gate = coroutine.send(None)
        except StopIteration:
            return
        gate.sleepers.append(lambda: self._step(coroutine))

    def run_soon(self) -> bool:
        """Everything that is to be done at once; whether there was anything."""
        worked = bool(self._soon)
        while self._soon:
            function, arguments = self._soon.popleft()
            function(*arguments)
        return worked

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with every timer that falls due on the way."""
        self._real_s = monotonic()
        end_s = self.now() + seconds
        while self._timers and self._timers[0][0] <= end_s:
            due_s, _, timer = heapq.heappop(self._timers)
            self._passed_s += max(0.0, due_s - self.now())
            if not timer.cancelled:
                timer.function(*timer.arguments)
            self.run_soon()
        self._passed_s += max(0.0, end_s - self.now())
