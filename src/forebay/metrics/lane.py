"""A way to one receiver of metrics, which may be slow, away, or silent: nothing grows meanwhile,
and nobody waits. What could not be delivered within the minute is dropped, counted, and told once.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from forebay.identity.threads import Threads
from forebay.net.tasks import spawn

T = TypeVar("T")

log = logging.getLogger("forebay.metrics")

WAITING: Final = 2
"""So many minutes wait behind the one that is being delivered."""
PATIENCE_S: Final = 50.0
"""For how long a minute is tried: the next one comes after 60 s."""
FIRST_DELAY_S: Final = 1.0
LONGEST_DELAY_S: Final = 16.0


class DeliveryError(Exception):
    """Why nothing was delivered: the end of a sentence, without secrets. ``transient``: another
    attempt may help."""

    def __init__(self, text: str, *, transient: bool = True) -> None:
        super().__init__(text)
        self.transient = transient


class Lane(Generic[T]):
    """Hands parts to ``deliver``, one after the other, in a thread of its own.

    ``receiver`` is what the log calls it. ``deliver`` may block, and raises DeliveryError. For
    tests: ``sleep``, and ``now`` in seconds.
    """

    def __init__(
        self,
        receiver: str,
        deliver: Callable[[T], None],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.delivered = 0
        self.dropped = 0  # minutes, as above
        self._receiver = receiver
        self._deliver = deliver
        self._sleep = sleep
        self._now = now
        self._threads = Threads("metrics", most=1)
        self._minutes: deque[Sequence[T]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._is_failing = False

    def offer(self, minute: Sequence[T]) -> None:
        """Deliver a minute's parts. The oldest that waits goes if too many do."""
        if len(self._minutes) >= WAITING:
            self._minutes.popleft()
            self._drop("the minute before is still being delivered")
        self._minutes.append(minute)
        if self._task is None or self._task.done():
            self._task = spawn(self._run(), f"metrics for {self._receiver}")

    def close(self) -> None:
        """Deliver nothing more; what is being delivered is left to itself."""
        self._minutes.clear()
        if self._task is not None:
            self._task.cancel()
        self._threads.close()

    async def _run(self) -> None:
        while self._minutes:
            await self._take(self._minutes.popleft())

    async def _take(self, minute: Sequence[T]) -> None:
        deadline, delay_s = self._now() + PATIENCE_S, FIRST_DELAY_S
        for part in minute:
            while True:
                try:
                    await self._threads.run(lambda part=part: self._deliver(part))  # type: ignore[misc]
                    break
                except DeliveryError as error:
                    if not error.transient or self._now() + delay_s > deadline:
                        self._drop(str(error))
                        return
                # Nodes that were throttled together do not come back together.
                await self._sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311
                delay_s = min(2 * delay_s, LONGEST_DELAY_S)
        self.delivered += 1
        if self._is_failing:
            self._is_failing = False
            fields = {"dropped": self.dropped}
            log.info("%s takes metrics again", self._receiver, extra={"fields": fields})

    def _drop(self, reason: str) -> None:
        self.dropped += 1
        if not self._is_failing:
            self._is_failing = True
            text = "%s does not take metrics, which are dropped until it does: %s"
            log.warning(text, self._receiver, reason)
