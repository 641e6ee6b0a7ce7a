"""Watches the database from outside of Forebay: how many connections it really has."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from forebay.embedded.errors import SetupError
from forebay.embedded.postgres import Postgres
from forebay.net.connector import (
    ConnectError,
    DatabaseConnection,
    Target,
    connect,
    simple_query,
)
from forebay.net.tls import ClientContexts
from forebay.protocol.errors import PgError

SAMPLE_INTERVAL_S = 0.05
CONNECT_TIMEOUT_S = 10.0
COUNT = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


class ConnectionSampler:
    """Counts the database's client connections, but for its own, every 50 ms.

    It uses one of the connections that the database keeps for superusers.
    """

    def __init__(self, server: Postgres) -> None:
        self.now = 0
        self.peak = 0
        self.idle = asyncio.Event()  # set while no client is connected
        self._server = server
        self._connection: DatabaseConnection | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        server = self._server
        try:
            self._connection = await connect(
                Target(host=str(server.socket_directory), port=server.port),
                user=server.superuser,
                password=server.password,
                database="postgres",
                parameters={"application_name": "forebay demo"},
                connect_timeout_s=CONNECT_TIMEOUT_S,
                tls_contexts=ClientContexts(),
            )
        except (PgError, ConnectError) as error:
            raise SetupError(f"the demo's own database does not answer: {error}") from error
        self._task = asyncio.ensure_future(self._sample(self._connection))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, PgError, ConnectError):
                await self._task
        if self._connection is not None:
            self._connection.close()

    async def _sample(self, connection: DatabaseConnection) -> None:
        while True:
            rows = await simple_query(connection.stream, COUNT)
            self.now = int(rows[0][0] or 0)
            self.peak = max(self.peak, self.now)
            (self.idle.clear if self.now else self.idle.set)()
            await asyncio.sleep(SAMPLE_INTERVAL_S)
