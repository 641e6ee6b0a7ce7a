"""Opens a database connection and makes it ready for a micro-pool."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType

from forebay.net import connector
from forebay.net.connector import ConnectError, DatabaseConnection, Target
from forebay.net.tls import ClientContexts
from forebay.protocol.errors import PgError
from forebay.relay import MicroPool, Server
from forebay.session.replays import is_hasty
from forebay.session.settings import WITHOUT_TIMEOUT, InternTable
from forebay.sql.settings import names_pg_temp
from forebay.worker.agenda import Agenda
from forebay.worker.identities import Attempt, Identities
from forebay.worker.pool.budget import LIMITS_QUERY, parse_limits
from forebay.worker.pool.holding import WRITES_QUERY

# What a session begins with, by init_query and otherwise: its search_path, what RESET makes of
# that, and of statement_timeout. (What that is now, it is not in a question WITHOUT_TIMEOUT.)
BEGINNING_QUERY = (
    f"{WITHOUT_TIMEOUT} SELECT path.setting, path.reset_val, timeout.reset_val"  # noqa: S608
    " FROM pg_catalog.pg_settings AS path, pg_catalog.pg_settings AS timeout"
    " WHERE path.name OPERATOR(pg_catalog.=) 'search_path'"
    " AND timeout.name OPERATOR(pg_catalog.=) 'statement_timeout'"
)
TIMEOUT_QUERY = "SHOW statement_timeout"
NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})
# Wrong password; a role that there is not, or that may not log in, as when a user alternates.
REJECTIONS = ("28P01", "28000")
# Connections end after max_connection_age less up to a tenth of it: not all at once.
AGE_SPREAD = 0.1


@dataclass(slots=True)
class Login:
    """How connections log in. May change while running. ``newer``: asks whether there are newer
    logins of an identity, all of which the database has rejected."""

    identities: Identities
    newer: Callable[[str], Awaitable[bool]]
    init_query: str
    connect_timeout_s: float
    must_write: bool = False  # a server in recovery will not do


class Opener:
    """Opens connections to one database server."""

    def __init__(
        self,
        agenda: Agenda,
        intern: InternTable,
        login: Login,
        target: Callable[[], Target],
        tls_contexts: ClientContexts,
    ) -> None:
        self.login = login
        self._agenda = agenda
        self._intern = intern
        self._target = target
        self._tls_contexts = tls_contexts
        # Logins at the database: those that were tried, with TLS asked for, and that came to be.
        self.tried = self.tried_with_tls = self.succeeded = 0

    async def open(self, pool: MicroPool) -> tuple[Server, tuple[int, int]]:
        """A connection that has run init_query, not started yet, and the server's
        (max_connections, reserved connections).

        Raises PgError with what the database said, else ConnectError.
        """
        connection, attempt = await self.connect(pool.user, pool.database)
        return await self._make_ready(connection, attempt, pool)

    async def open_with(self, pool: MicroPool, attempt: Attempt) -> tuple[Server, tuple[int, int]]:
        """As `open`, by this login alone."""
        connection = await self.log_in_by(attempt, pool.database)
        return await self._make_ready(connection, attempt, pool)

    async def open_over(
        self, connection: DatabaseConnection, attempt: Attempt, pool: MicroPool, timeout_s: float
    ) -> tuple[Server, tuple[int, int]]:
        """As `open`, over a connection that was logged in so some time ago."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._make_ready(connection, attempt, pool)
        except TimeoutError:
            raise ConnectError("the database did not answer in time", transient=True) from None

    async def connect_to(
        self, target: Target, pool: MicroPool
    ) -> tuple[DatabaseConnection, Attempt]:
        """A connection for this micro-pool to another server than the one of now, that is logged in
        and no more. Raises as `open`."""
        return await self._try_logins(pool.user, pool.database, NO_PARAMETERS, target)

    async def _make_ready(
        self, connection: DatabaseConnection, attempt: Attempt, pool: MicroPool
    ) -> tuple[Server, tuple[int, int]]:
        try:
            told, beginning = await self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        server = self._hand_over(connection, pool)
        server.made_by = attempt.login
        server.search_path, reset_to, *timeouts = beginning
        server.begins_under_pg_temp = names_pg_temp(server.search_path + reset_to)
        server.begins_hasty = any(is_hasty({"statement_timeout": each}) for each in timeouts)
        return server, told

    async def connect(
        self, identity: str, database: str, parameters: Mapping[str, str] = NO_PARAMETERS
    ) -> tuple[DatabaseConnection, Attempt]:
        """A connection that is logged in, and no more: by the first login of the identity's that
        the database does not reject. If it rejects them all, there may be a newer one.

        Raises as `open`."""
        identities = self.login.identities
        before = identities.logins(identity)
        try:
            return await self._try_logins(identity, database, parameters)
        except PgError as error:
            if error.sqlstate not in REJECTIONS or identity not in identities:
                raise
            is_newer = await self.login.newer(identity)
            if not is_newer and identities.logins(identity) == before:
                raise
        return await self._try_logins(identity, database, parameters)

    async def _try_logins(
        self,
        identity: str,
        database: str,
        parameters: Mapping[str, str],
        target: Target | None = None,
    ) -> tuple[DatabaseConnection, Attempt]:
        identities = self.login.identities
        rejection: PgError | ConnectError | None = None
        for attempt in await identities.attempts(identity, target or self._target()):
            try:
                connection = await self.log_in_by(attempt, database, parameters, target)
            except (PgError, ConnectError) as error:
                if not is_rejection(error):
                    raise
                identities.failed(attempt)
                rejection = rejection or error
            else:
                identities.worked(attempt)
                return connection, attempt
        assert rejection is not None  # noqa: S101 - there is at least one attempt
        raise rejection

    async def log_in_by(
        self,
        attempt: Attempt,
        database: str,
        parameters: Mapping[str, str] = NO_PARAMETERS,
        target: Target | None = None,
    ) -> DatabaseConnection:
        """A connection that is logged in so, and no more. Raises as `open`."""
        target = target or self._target()
        self.tried += 1
        self.tried_with_tls += target.sslmode not in ("disable", "allow")
        connection = await connector.connect(
            target,
            user=attempt.user,
            password=attempt.proof,
            database=database,
            parameters=parameters,
            connect_timeout_s=self.login.connect_timeout_s,
            tls_contexts=self._tls_contexts,
        )
        self.succeeded += 1
        return connection

    async def _prepare(self, connection: DatabaseConnection) -> tuple[tuple[int, int], list[str]]:
        try:
            async with asyncio.timeout(self.login.connect_timeout_s):
                if self.login.must_write:
                    await self._demand_writer(connection)
                rows = await self._query(connection, LIMITS_QUERY)
                told = parse_limits(rows[0] if rows else ())
                in_force: list[list[str | None]] = []
                if self.login.init_query:
                    await self._query(connection, self.login.init_query, "init_query failed: ")
                    in_force = await self._query(connection, TIMEOUT_QUERY)
                rows = await self._query(connection, BEGINNING_QUERY)
                return told, _parse_beginning([*chain(*rows, *in_force)])
        except ValueError as error:
            raise ConnectError(str(error), transient=False) from None
        except TimeoutError:
            raise ConnectError("the database did not answer in time", transient=True) from None

    async def _demand_writer(self, connection: DatabaseConnection) -> None:
        """It was the one that writes when the node looked last."""
        if await self._query(connection, WRITES_QUERY) != [["t"]]:
            raise ConnectError(
                f"{self._target()} does not write: it is a standby, or read-only", transient=True
            )

    async def _query(
        self, connection: DatabaseConnection, sql: str, prefix: str = ""
    ) -> list[list[str | None]]:
        try:
            return await connector.simple_query(connection.stream, sql, connection.parameters)
        except PgError as error:
            if not prefix:
                raise
            message = prefix + error.message
            raise PgError(error.severity, error.sqlstate, message, error.detail) from None

    def _hand_over(self, connection: DatabaseConnection, pool: MicroPool) -> Server:
        detached = connection.detach()
        server = Server(
            self._agenda.poller,
            detached.fd,
            pool,
            connection.pid,
            connection.cancel_key,
            settings=self._intern.none,
            parameters=self._intern.parameters(connection.parameters),
            tls=detached.sslobj,
            incoming=detached.incoming,
            outgoing=detached.outgoing,
            early=detached.leftover,
        )
        server.place = connection.place
        server.age_jitter = 1.0 - AGE_SPREAD * random.random()  # noqa: S311 - no secret
        return server


def is_rejection(error: PgError | ConnectError) -> bool:
    """Whether another login may fare better: the database has rejected this one, or has asked for
    what it has not to show (the keys of another verifier, say)."""
    if isinstance(error, ConnectError):
        return not error.transient
    return error.sqlstate in REJECTIONS


def _parse_beginning(values: Sequence[str | None]) -> list[str]:
    """The answers to BEGINNING_QUERY and, behind an init_query, to TIMEOUT_QUERY. Raises ValueError
    on what is none."""
    known = [value for value in values if value is not None]
    if len(known) < 3 or len(known) != len(values):
        raise ValueError("the database did not tell what its sessions begin with")
    return known
