"""Users who have no secret: looked up in the database, by a query that the operator has configured.

One connection of its own asks, beside the pool's: clients do not wait for each other's
transactions to log in. It is opened when somebody is looked up, and closed when nobody was for a
while.
"""

import asyncio
import contextlib
import datetime as dt
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from forebay.net.connector import ConnectError, DatabaseConnection, parameterized_query
from forebay.net.login import UserAuth, derive_user
from forebay.net.login.auth_query import entry_of
from forebay.net.queries import Rows
from forebay.protocol.errors import PgError
from forebay.worker.agenda import Agenda

logger = logging.getLogger("forebay.login")

QUERY_TIMEOUT_S: Final = 10.0
IDLE_S: Final = 60.0
FRESH_S: Final = 1.0
"""What was found so lately is not looked up again: many clients of one user may come at once."""
MAX_KNOWN: Final = 10_000

Connect = Callable[[], Awaitable[DatabaseConnection]]
"""A new connection, with the startup parameters that `entry_of` needs. Raises PgError,
ConnectError."""


# "invalid input syntax for type integer: …" and their like quote values, and what functions of the
# operator's say is anything: data_exception, integrity constraints, PL/pgSQL.
_QUOTING: Final = ("22", "23", "P0")


def _reason(error: Exception) -> str:
    """Why nobody could be looked up, without anything of what was."""
    if isinstance(error, PgError) and error.sqlstate.startswith(_QUOTING):
        return f"SQLSTATE {error.sqlstate}; the database's log has its text, which may hold secrets"
    return str(error) or "the database did not answer in time"


class AuthQuery:
    """Looks users up. ``query`` has the user's name as its only parameter."""

    def __init__(self, agenda: Agenda, query: str, connect: Connect) -> None:
        self._agenda = agenda
        self._query = query
        self._connect = connect
        self._connection: DatabaseConnection | None = None
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        self._known: OrderedDict[str, tuple[float, UserAuth | None]] = OrderedDict()

    async def find(self, user: str) -> UserAuth | None:
        """How this user logs in, by what the database has now; None if there is no such user, or
        that can't be found out, which is logged."""
        if not _is_text(user):
            return None  # asking would cost the connection, as often as somebody wants it to
        async with self._asking:
            found_at, known = self._known.get(user, (float("-inf"), None))
            if self._agenda.now() - found_at < FRESH_S:
                return known
            try:
                async with asyncio.timeout(QUERY_TIMEOUT_S):
                    found = await self._look_up(user, known)
            except (PgError, ConnectError, ValueError, TimeoutError) as error:
                self.close_connection()
                reason = _reason(error)
                logger.warning("auth_query failed: %s", reason, extra={"fields": {"user": user}})
                return None
            except asyncio.CancelledError:
                # The login was given up. An answer still to come would be taken for the next one's.
                self.close_connection()
                raise
            self._note(user, found)
            return found

    async def _look_up(self, user: str, known: UserAuth | None) -> UserAuth | None:
        entry = entry_of(await self._rows(user), user, dt.datetime.now(dt.UTC))
        return None if entry is None else await derive_user(entry, known)

    async def _rows(self, user: str) -> Rows:
        if self._connection is not None:  # it may have been closed meanwhile
            try:
                return await parameterized_query(self._connection.stream, self._query, [user])
            except (PgError, ConnectError):
                self.close_connection()
        self._connection = await self._connect()
        self._asked_at = self._agenda.now()
        self._agenda.later(IDLE_S, self._close_idle)
        return await parameterized_query(self._connection.stream, self._query, [user])

    def _note(self, user: str, found: UserAuth | None) -> None:
        self._asked_at = self._agenda.now()
        self._known[user] = self._asked_at, found
        self._known.move_to_end(user)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def _close_idle(self) -> None:
        if self._connection is None:
            return
        left_s = self._asked_at + IDLE_S - self._agenda.now()
        if left_s > 0 or self._asking.locked():
            self._agenda.later(max(left_s, 1.0), self._close_idle)
        else:
            self.close_connection()

    def close_connection(self) -> None:
        """The next one who is looked up has another connection opened."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()


def _is_text(user: str) -> bool:
    """Whether a name is UTF-8: what is not is in it as lone surrogates."""
    try:
        user.encode()
    except UnicodeEncodeError:
        return False
    return True
