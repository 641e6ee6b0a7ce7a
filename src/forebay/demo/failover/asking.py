"""A statement and all that its answer tells: whether a COMMIT has committed is in its tag alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from forebay.net.conversation import Conversation, Send, receive, unexpected
from forebay.protocol import messages
from forebay.protocol.errors import PgError, Severity

MAX_MESSAGE_BYTES: Final = 65_536
PASSED_OVER: Final = b"TDNSAI"


@dataclass(slots=True)
class Answer:
    """``tag``: of the last command that was completed. ``status``: ReadyForQuery's: I, T or E.
    ``error``: what the database said instead; the connection is kept."""

    tag: str = ""
    status: str = ""
    error: PgError | None = field(default=None)


def statement(sql: str) -> Conversation[Answer]:
    """Asks, and waits for ReadyForQuery: before it, nothing is acknowledged.

    Raises PgError if it is FATAL, and MalformedMessageError for an answer that is none.
    """
    yield Send(messages.query(sql))
    answer = Answer()
    while True:
        kind, body = yield from receive(MAX_MESSAGE_BYTES)
        if kind == ord("Z"):
            answer.status = messages.parse_ready_for_query(body).decode()
            return answer
        if kind == ord("C"):
            answer.tag = body.rstrip(b"\0").decode(errors="replace")
        elif kind == ord("E"):
            answer.error = PgError.parse(body)
            if answer.error.severity is not Severity.ERROR:
                raise answer.error
        elif kind not in PASSED_OVER:
            raise unexpected(kind)
