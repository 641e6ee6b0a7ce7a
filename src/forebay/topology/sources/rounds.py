"""Looking around from time to time, and at once when something is wrong."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from forebay.net.tasks import spawn

_log = logging.getLogger("forebay.topology")


class Rounds:
    """Awaits ``look`` each ``period_s``; `hurry` has it begin at once, or once more if it is under
    way. ``name`` is for the log."""

    def __init__(self, look: Callable[[], Awaitable[None]], period_s: float, name: str) -> None:
        self._look = look
        self._period_s = period_s
        self._name = name
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins with a look."""
        if self._task is None:
            self._task = spawn(self._run(), self._name)

    def hurry(self) -> None:
        """There is a reason to look."""
        self._hurry.set()

    async def stop(self) -> None:
        """Ends; a look under way is given up."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while True:
            self._hurry.clear()
            try:
                await self._look()
            except Exception:  # noqa: BLE001 - our own fault: the next look may do
                _log.exception("Failed: %s", self._name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._period_s):
                    await self._hurry.wait()
