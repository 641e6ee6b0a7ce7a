"""Calls over a channel, both ways: each end asks, and each end answers.

Requests that arrive are answered at once and beside each other, so a slow one holds up no other.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, TypeVar

from forebay.channel.channel import Channel, ChannelError
from forebay.channel.envelopes import Answer, Call, Failed
from forebay.net.tasks import spawn

log = logging.getLogger("forebay.channel")

T = TypeVar("T")


class CallError(Exception):
    """A call came to nothing: the other end refused (the text is its reason), kept silent, or is
    gone."""


class SilenceError(CallError):
    """The other end has not answered in time: what it has done is not known."""


class Calls:
    """Asks and answers over a channel. ``name`` is the other end's, for errors.

    ``answer`` gives what a request is answered with; what it raises is told to the other end, as
    the reason. ``hear`` is given everything that is no call.
    """

    def __init__(
        self,
        channel: Channel[Any, Any],
        name: str,
        answer: Callable[[Any], Awaitable[Any]],
        hear: Callable[[Any], None],
    ) -> None:
        self._channel = channel
        self._name = name
        self._answer_to = answer
        self._hear = hear
        self._ids = count(1)
        self._expected: dict[int, asyncio.Future[Any]] = {}
        self._is_gone = False

    async def ask(self, request: Any, expected: type[T], timeout_s: float) -> T:
        """The answer to a request. Raises CallError."""
        if self._is_gone:
            raise CallError(f"the {self._name} has ended")
        number = next(self._ids)
        future = asyncio.get_running_loop().create_future()
        self._expected[number] = future
        try:
            async with asyncio.timeout(timeout_s):
                await self._channel.send(Call(id=number, request=request))
                result = await future
        except TimeoutError:
            text = f"the {self._name} did not answer within {timeout_s:g} s"
            raise SilenceError(text) from None
        finally:
            del self._expected[number]
        if not isinstance(result, expected):
            raise CallError(f"the {self._name} answered something else")
        return result

    def tell(self, message: Any) -> bool:
        """Say what has no answer. Returns False if the other end is gone, or far behind."""
        return self._channel.post(message)

    async def run(self) -> None:
        """Listen until the other end is gone. Raises ChannelError on nonsense."""
        try:
            while (message := await self._channel.receive()) is not None:
                self._take(message)
        finally:
            self._is_gone = True
            for future in self._expected.values():
                _settle(future, CallError(f"the {self._name} has ended"))

    def _take(self, message: Any) -> None:
        match message:
            case Call(id=number, request=request):
                spawn(self._reply(number, request), f"answer the {self._name}")
            case Answer(id=number, result=result):
                if number in self._expected:
                    _settle(self._expected[number], result)
            case Failed(id=number, reason=reason):
                if number in self._expected:
                    _settle(self._expected[number], CallError(reason))
            case _:
                try:
                    self._hear(message)
                except Exception:  # our own fault, and no reason to hear nothing any more
                    log.exception("What the %s said could not be taken", self._name)

    async def _reply(self, number: int, request: Any) -> None:
        reply: Any
        try:
            reply = Answer(id=number, result=await self._answer_to(request))
        except Exception as error:
            level = logging.DEBUG if isinstance(error, OSError | ValueError) else logging.ERROR
            kind = type(request).__name__
            log.log(level, "%s of the %s failed", kind, self._name, exc_info=True)
            reply = Failed(id=number, reason=str(error) or type(error).__name__)
        try:
            await self._channel.send(reply)
        except (ChannelError, ValueError, TypeError) as error:  # it is too long, or has no form
            log.error("The %s can't be told the answer: %s", self._name, error)
            await self._channel.send(Failed(id=number, reason=f"the answer can't be told: {error}"))


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
