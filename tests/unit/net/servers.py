"""Conversations with a server that is a script: no socket, no clock."""

import struct
from collections.abc import Callable
from typing import TypeVar

from forebay.net.conversation import Conversation, Receive, Send
from forebay.protocol import messages
from forebay.protocol.messages import MalformedMessageError, Message

_T = TypeVar("_T")

OK = messages.authentication_ok()
READY = messages.ready_for_query(b"I")


class Script:
    """Answers a conversation with these messages, whatever it says; ``sent`` is what it said.

    An answer that is a function is called with what was said last.
    """

    def __init__(self, *answers: bytes | Callable[[bytes], bytes]) -> None:
        self.sent: list[bytes] = []
        self._answers = list(answers)

    def play(self, conversation: Conversation[_T]) -> _T:
        """Raises EOFError where the script is at its end."""
        given: object = None
        while True:
            try:
                step = conversation.send(given)
            except StopIteration as end:
                result: _T = end.value
                return result
            given = None
            if isinstance(step, Send):
                self.sent.append(step.data)
            elif isinstance(step, Receive):
                given = self._next(step.limit_bytes)
            else:
                given = step.kept() or step.compute()

    @property
    def is_over(self) -> bool:
        return not self._answers

    def _next(self, limit_bytes: int) -> Message:
        if not self._answers:
            raise EOFError("the script is at its end")
        answer = self._answers.pop(0)
        data = answer if isinstance(answer, bytes) else answer(self.sent[-1])
        kind, length = struct.unpack_from("!BI", data)
        assert len(data) == length + 1
        if length - 4 > limit_bytes:
            raise MalformedMessageError("invalid message length")
        return Message(kind, data[5:])


def data_row(*values: str | None) -> bytes:
    body = struct.pack("!H", len(values))
    for value in values:
        data = (value or "").encode()
        body += struct.pack("!i", -1 if value is None else len(data)) + data
    return messages.message(b"D", body)
