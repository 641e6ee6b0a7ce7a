"""The smallest client there is: one statement, its rows, over a connection that is logged in."""

from __future__ import annotations

from forebay.net.stream import Stream
from forebay.protocol import messages
from forebay.protocol.errors import PgError

MAX_MESSAGE_BYTES = 1 << 20
ROW, ERROR, READY = ord("D"), ord("E"), ord("Z")

Row = tuple[str | None, ...]


async def query(stream: Stream, sql: str) -> list[Row]:
    """Runs one simple query and returns its rows; the session is ready for the next one.

    Raises PgError with what the server said, also then ready; ConnectionError when it is gone.
    """
    stream.write(messages.query(sql))
    await stream.drain()
    rows: list[Row] = []
    failure: PgError | None = None
    while True:
        kind, body = await stream.read_message(MAX_MESSAGE_BYTES)
        if kind == ROW:
            rows.append(tuple(messages.parse_data_row(body)))
        elif kind == ERROR:
            failure = PgError.parse(body)
        elif kind == READY:
            if failure is not None:
                raise failure
            return rows
