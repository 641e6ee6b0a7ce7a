"""What a source proposes, for tests."""

import asyncio
from collections.abc import Sequence

from forebay.config.addresses import Address


class Proposals:
    """Keeps what it is given, and waits for it."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[Address, ...]] = asyncio.Queue()

    def __call__(self, proposed: Sequence[Address]) -> None:
        self._queue.put_nowait(tuple(proposed))

    async def next(self) -> tuple[Address, ...]:
        return await self._queue.get()

    @property
    def empty(self) -> bool:
        return self._queue.empty()
