"""Work for asyncio that is asked for from inside relayed work.

The relay serves its sockets inside ``select()`` and would go on there for a while; whoever adds a
callback, a timer or a task from there has to interrupt it, or asyncio would not hear of it in time.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from forebay.net.tasks import spawn
from forebay.relay import Poller


class Agenda:
    """An event loop whose selector is a Relay, as relayed work may use it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, poller: Poller) -> None:
        self.loop = loop
        self.poller = poller

    def now(self) -> float:
        """Seconds, monotonic."""
        return self.loop.time()

    def soon(self, function: Callable[..., object], *arguments: object) -> None:
        """Call when the relay is done with what it is at."""
        self.poller.interrupted = True
        self.loop.call_soon(function, *arguments)

    def later(
        self, delay_s: float, function: Callable[..., object], *arguments: object
    ) -> asyncio.TimerHandle:
        """Call after `delay_s` seconds."""
        self.poller.interrupted = True
        return self.loop.call_later(delay_s, function, *arguments)

    def spawn(self, coroutine: Coroutine[Any, Any, object], name: str) -> None:
        """Run as a task that nobody awaits; what it raises is logged."""
        self.poller.interrupted = True
        spawn(coroutine, name=name)
