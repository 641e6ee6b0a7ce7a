"""Simple queries over a connection that is logged in and idle."""

from typing import Final

from forebay.net.conversation import Conversation, Send, receive, unexpected
from forebay.protocol import messages
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.messages import MalformedMessageError

MAX_ANSWER_BYTES: Final = 1_048_576
"""What one query may return in all, unless its caller says otherwise."""

Rows = list[list[str | None]]


def simple_query(
    sql: str, parameters: dict[str, str] | None = None, limit_bytes: int = MAX_ANSWER_BYTES
) -> Conversation[Rows]:
    """Runs a query; returns the rows of all its results, as text.

    ParameterStatus messages that come along are put into `parameters`. Raises PgError with what the
    database said (the connection is idle again, unless it was FATAL), and MalformedMessageError for
    an answer that is none or longer than `limit_bytes`.
    """
    yield Send(messages.query(sql))
    rows: Rows = []
    failure: PgError | None = None
    left_bytes = limit_bytes
    while left_bytes > 0:
        kind, body = yield from receive(left_bytes)
        left_bytes -= len(body) + 5
        match chr(kind):
            case "D":
                rows.append(messages.parse_data_row(body))
            case "S":
                name, value = messages.parse_parameter_status(body)
                if parameters is not None:
                    parameters[name] = value
            case "E":
                failure = PgError.parse(body)
                if failure.severity is not Severity.ERROR:
                    raise failure
            case "Z":
                messages.parse_ready_for_query(body)
                if failure is not None:
                    raise failure
                return rows
            case "G":
                yield Send(messages.copy_fail("COPY FROM STDIN is not possible here"))
            case "T" | "C" | "I" | "N" | "A" | "H" | "d" | "c":
                pass
            case _:
                raise unexpected(kind)
    raise MalformedMessageError(f"the answer is longer than {limit_bytes} bytes")
