"""One answer for all who ask for the same."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from forebay.net.tasks import spawn

T = TypeVar("T")


class Shared(Generic[T]):
    """An answer that serves all who ask while it is under way, and for ``age_s`` seconds more.

    Who asks may leave: the others get their answer all the same. An error goes to those who wait
    for it; it is not kept.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], age_s: float) -> None:
        self._ask = ask
        self._age_s = age_s
        self._answer: asyncio.Future[T] | None = None
        self._answered_at = 0.0

    async def get(self) -> T:
        """The answer. Raises what asking has raised."""
        loop = asyncio.get_running_loop()
        answer = self._answer
        if answer is None or (answer.done() and loop.time() - self._answered_at > self._age_s):
            answer = self._answer = loop.create_future()
            spawn(self._find(answer), "ask for all who look")
        return await asyncio.shield(answer)

    def forget(self) -> None:
        """Whoever asks from now on is told what is so from now on."""
        self._answer = None

    async def _find(self, answer: asyncio.Future[T]) -> None:
        try:
            found = await self._ask()
        except BaseException as error:
            if self._answer is answer:
                self._answer = None
            if isinstance(error, Exception):
                answer.set_exception(error)
                answer.exception()  # whoever waited may have left
                return
            answer.cancel()
            raise
        if self._answer is answer:
            self._answered_at = asyncio.get_running_loop().time()
        answer.set_result(found)
