"""Queries over a connection that is logged in and idle."""

from collections.abc import Sequence
from typing import Final

from forebay.net.conversation import Conversation, Send, receive, unexpected
from forebay.protocol import messages
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.messages import MalformedMessageError

MAX_ANSWER_BYTES: Final = 1_048_576
"""What one query may return in all, unless its caller says otherwise."""

_NO_COPY: Final = "COPY FROM STDIN is not possible here"
_SIMPLE: Final = frozenset("TCINAHdc")
_EXTENDED: Final = frozenset("12CINAHdc")

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
    end = messages.copy_fail(_NO_COPY)
    return (yield from _rows(_SIMPLE, end, parameters, limit_bytes))


def parameterized_query(
    sql: str, values: Sequence[str | None], limit_bytes: int = MAX_ANSWER_BYTES
) -> Conversation[Rows]:
    """Runs one statement with `values` bound as text to its parameters $1, $2 …; None is NULL.

    Nothing in a value can change what the statement means. Returns and raises as `simple_query`;
    ValueError for values that cannot be bound (a NUL in one).
    """
    asked = messages.parse_unnamed(sql), messages.bind_unnamed(values), messages.execute_unnamed()
    yield Send(b"".join(asked) + messages.sync())
    # The Sync that has been sent is lost on a COPY.
    end = messages.copy_fail(_NO_COPY) + messages.sync()
    return (yield from _rows(_EXTENDED, end, None, limit_bytes))


def _rows(
    passed_over: frozenset[str],
    end_of_copy: bytes,
    parameters: dict[str, str] | None,
    limit_bytes: int,
) -> Conversation[Rows]:
    """Reads an answer up to ReadyForQuery."""
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
                yield Send(end_of_copy)
            case other if other in passed_over:
                pass
            case _:
                raise unexpected(kind)
    raise MalformedMessageError(f"the answer is longer than {limit_bytes} bytes")
