"""Who kills the writer, and promotes the standby as Patroni or a person would, after a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from forebay.embedded.errors import SetupError
from forebay.embedded.member import Member
from forebay.embedded.pair import Pair
from forebay.net.connector import ConnectError, Target, connect, simple_query
from forebay.net.tls import ClientContexts
from forebay.protocol.errors import PgError

DECIDING_S = 1.0  # until somebody, or something, has decided that the writer will not come back
LOOK_INTERVAL_S = 0.01
CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Switched:
    """When, by the monotonic clock, the writer was killed, the standby asked to write, and when it
    was seen that it can, a little later than it could."""

    killed_at: float
    promoted_at: float
    writer_at: float


async def fail_over(pair: Pair, tell: Callable[[str], None]) -> Switched:
    """Kills the writer (SIGKILL), and promotes the standby a second later. Raises SetupError."""
    (standby,) = pair.standbys
    tell("the writer is killed (kill -9)")
    killed_at = time.monotonic()
    pair.writer.kill()
    await asyncio.sleep(DECIDING_S)
    tell("the standby is promoted")
    promoted_at = time.monotonic()
    async with asyncio.TaskGroup() as both:
        writing = both.create_task(_writing_at(standby))
        both.create_task(asyncio.to_thread(pair.promote, standby))
    return Switched(killed_at, promoted_at, writing.result())


async def _writing_at(server: Member) -> float:
    """When a server that is being promoted could write: it is asked every 10 ms."""
    try:
        connection = await connect(
            Target(host=str(server.socket_directory), port=server.port),
            user=server.superuser,
            password=server.password,
            database="postgres",
            parameters={"application_name": "forebay demo"},
            connect_timeout_s=CONNECT_TIMEOUT_S,
            tls_contexts=ClientContexts(),
        )
        try:
            while True:
                rows = await simple_query(connection.stream, "SELECT pg_is_in_recovery()")
                if rows == [["f"]]:
                    return time.monotonic()
                await asyncio.sleep(LOOK_INTERVAL_S)
        finally:
            connection.close()
    except (PgError, ConnectError) as error:
        raise SetupError(f"the demo's own standby does not answer: {error}") from error
