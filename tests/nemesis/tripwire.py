"""A proxy that knows PostgreSQL's messages, and has something happen at one exact point of one
request."""

import asyncio
import contextlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.harness import FaultProxy
from tests.harness.faults import Direction, Link, abort

Point = Literal["sent", "executed", "begun", "complete"]
"""Where the connection ends:

    sent      the request was written to it, and has not reached the server
    executed  the server has done it, and nothing of its answer has come through
    begun     ... but for the answer's first message
    complete  ... but for its ReadyForQuery
"""

STARTUP = struct.Struct("!I")
HEADER = struct.Struct("!cI")
ENDS_REQUEST = (b"Q", b"S")  # each is answered by one ReadyForQuery


@dataclass(slots=True)
class Conversation:
    """How far one connection is."""

    requests: int = 0  # passed on
    answered: int = 0
    marked: int | None = None  # the number of the request that the wire is for
    passed: int = 0  # messages of its answer


class Tripwire(FaultProxy):
    """As a FaultProxy; ``arm`` it for the next request whose text has a mark."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self._conversations: dict[Link, Conversation] = {}
        self._mark: bytes | None = None
        self._point: Point = "sent"
        self._strike: Callable[[], None] | None = None
        self.sprung = 0

    def arm(self, mark: str, point: Point, strike: Callable[[], None] | None = None) -> None:
        """``strike``: what happens at that point, before the connection is reset; it is called in
        another thread."""
        self._point, self._strike, self._mark = point, strike, mark.encode()

    async def _pump(
        self,
        link: Link,
        direction: Direction,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        conversation = self._conversations.setdefault(link, Conversation())
        flowing = self._flowing[direction]
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if direction == "to_server":
                head = await reader.readexactly(STARTUP.size)
                (length,) = STARTUP.unpack(head)
                writer.write(head + await reader.readexactly(length - STARTUP.size))
            while True:
                head = await reader.readexactly(HEADER.size)
                kind, length = HEADER.unpack(head)
                data = head + await reader.readexactly(length - STARTUP.size)
                await flowing.wait()
                if direction == "to_server":
                    passes = self._asked(conversation, kind, data)
                    is_over = not passes
                else:
                    passes, is_over = self._told(conversation, kind)
                if passes:
                    writer.write(data)
                    await writer.drain()
                if is_over:
                    await self._spring(link)
                    return
        await flowing.wait()
        self._conversations.pop(link, None)
        with contextlib.suppress(OSError):
            writer.write_eof()

    def _asked(self, conversation: Conversation, kind: bytes, data: bytes) -> bool:
        """Whether a client's message is passed on."""
        if self._mark is not None and self._mark in data:
            self._mark = None
            if self._point == "sent":
                return False
            conversation.marked = conversation.requests
        if kind in ENDS_REQUEST:
            conversation.requests += 1
        return True

    def _told(self, conversation: Conversation, kind: bytes) -> tuple[bool, bool]:
        """Whether a server's message is passed on, and whether it is the last before the end."""
        is_marked = conversation.marked is not None and (
            conversation.answered - LOGIN_ANSWERS == conversation.marked
        )
        if kind == b"Z":
            conversation.answered += 1
        if not is_marked:
            return True, False
        if kind == b"Z":
            return False, True
        conversation.passed += 1
        if self._point == "complete":
            return True, False
        return self._point == "begun" and conversation.passed == 1, False

    async def _spring(self, link: Link) -> None:
        if self._strike is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._strike)
        self.sprung += 1
        self._conversations.pop(link, None)
        for writer in link:
            abort(writer)


LOGIN_ANSWERS = 1
"""The first ReadyForQuery ends the login."""
