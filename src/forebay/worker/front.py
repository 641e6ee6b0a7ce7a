"""What clients of a proxy meet at their login, as far as others have to be asked: newer secrets,
users in the database, tokens that the database or the node verifies.
"""

import asyncio
import dataclasses
import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from forebay.channel import CallError, NewerSecret, Refreshed
from forebay.config.settings import IamSettings, ProxySettings
from forebay.identity.presented import AcceptedTokens, VerifyingLimit
from forebay.net.connector import DatabaseConnection
from forebay.net.login import Credentials, LoggedIn, LoginPolicy, TokenVerifier, UserAuth
from forebay.net.login.auth_query import STARTUP_PARAMETERS
from forebay.protocol.errors import PgError
from forebay.relay import MicroPool, Server
from forebay.worker.agenda import Agenda
from forebay.worker.asking import AskNode
from forebay.worker.auth_query import AuthQuery
from forebay.worker.backend import Backend
from forebay.worker.identities import Attempt, Identities
from forebay.worker.prepared import Prepared
from forebay.worker.verifiers import ByDatabase, ByNode

logger = logging.getLogger("forebay.login")

REFRESH_TIMEOUT_S: Final = 20.0
"""For a newer secret: longer than the node waits for Secrets Manager."""
_NO_DATABASE: Final = "3D000"


class Front:
    """One proxy's. ``policy`` is what it demands of clients by now. ``backend``: the database
    server to ask, of those that it has; raises ConnectError if there is none."""

    def __init__(
        self,
        agenda: Agenda,
        ask: AskNode,
        identities: Identities,
        backend: Callable[[], Backend],
    ) -> None:
        self._agenda = agenda
        self._ask = ask
        self._identities = identities
        self._backend = backend
        self._prepared: Prepared | None = None
        self._verifying = VerifyingLimit()
        self._alone = asyncio.Lock()
        self._auth_query: AuthQuery | None = None
        self.policy = LoginPolicy(Credentials({}))

    def use(self, prepared: Prepared) -> list[str]:
        """Be so from now on. Returns the identities that have connections to be replaced, and those
        that are gone."""
        before, self._prepared = self._prepared, prepared
        settings = prepared.given.settings
        old = None if before is None else before.given.settings
        if old is None or (old.iam, old.target) != (settings.iam, settings.target):
            # What one database has accepted says nothing of another.
            self._identities.accepted = AcceptedTokens()
            self._identities.by_tokens = _is_by_database(settings.iam)
        self.policy = dataclasses.replace(
            prepared.policy,
            verifier=prepared.policy.verifier or self._verifier(prepared),
            newer=partial(self._newer, prepared.policy.credentials),
        )
        if old is None or _query_of(old) != _query_of(settings):
            self.close()
            if settings.auth_query:
                self._auth_query = AuthQuery(self._agenda, settings.auth_query, self._connect)
        changed = self._identities.use(prepared.given.credentials)
        return changed if settings.auth_query else [*changed, *self._identities.unlearn()]

    def switched(self) -> None:
        """Another server writes by now: whoever is looked up is looked up there."""
        if self._auth_query is not None:
            self._auth_query.close_connection()

    def close(self) -> None:
        """Nobody is looked up in the database any more."""
        if self._auth_query is not None:
            self._auth_query.close_connection()
            self._auth_query = None

    def policy_for(self, sock: socket.socket) -> LoginPolicy:
        """Clients have no TLS over Unix sockets, where nobody could overhear them."""
        if self.policy.require_tls and sock.family == socket.AF_UNIX:
            return dataclasses.replace(self.policy, require_tls=False)
        return self.policy

    def identity_of(self, login: LoggedIn) -> str | None:
        """Whose connections a client that has logged in shares; None if the user is gone by now."""
        known = self.policy.credentials.get(login.user)
        if login.client_keys is not None:
            passwords = () if known is None else known.passwords
            self._identities.note_keys(login.user, passwords, login.client_keys)
        found = self._given.identities.get(login.user)
        if found is None and self._identities.learned(login.user) is not None:
            return login.user
        return found

    async def refresh(self, user: str) -> bool:
        """A password of this user's, or of this identity's, was refused. Returns whether there is
        another one now."""
        before = self._identities.learned(user)
        if before is not None and self._auth_query is not None:
            found = await self._look_up(self._auth_query, user)
            return found is not None and found.passwords != before
        request = NewerSecret(proxy=self._given.given.name, user=user)
        try:
            answer: Refreshed = await self._ask(request, Refreshed, REFRESH_TIMEOUT_S)
        except CallError:
            return False
        return answer.changed

    async def _newer(self, known: Credentials, user: str) -> UserAuth | None:
        """See LoginPolicy.newer; ``known`` are the credentials of the policy that asks."""
        before = known.get(user)
        if self.policy.credentials.get(user) is before:
            if before is None and self._auth_query is not None:
                return await self._look_up(self._auth_query, user)
            await self.refresh(user)
        present = self.policy.credentials.get(user)
        return None if present is before else present

    async def _look_up(self, auth_query: AuthQuery, user: str) -> UserAuth | None:
        found = await auth_query.find(user)
        if found is None:
            return None
        self._identities.learn(user, found.passwords)
        if self._identities.learned(user) is not None:
            return found
        logger.warning(
            'auth_query has found a user named as the pool_identity "%s", who is not let in', user
        )
        return None

    @property
    def _given(self) -> Prepared:
        assert self._prepared is not None  # noqa: S101 - it is used first
        return self._prepared

    # ---- whom the database knows ----

    async def _connect(self) -> DatabaseConnection:
        """For auth_query."""
        settings = self._given.given.settings
        user = self._given.identities.get(settings.auth_user, settings.auth_user)
        database = settings.auth_dbname or settings.target.database
        connection, _ = await self._backend().opener.connect(user, database, STARTUP_PARAMETERS)
        return connection

    # ---- tokens ----

    def _verifier(self, prepared: Prepared) -> TokenVerifier | None:
        iam = prepared.given.settings.iam
        if iam is None:
            return None
        if iam.verifier == "sts":
            return ByNode(prepared.given.name, self._ask)
        target = prepared.given.settings.target
        hosts = iam.host_names() or [str(each).lower() for each in target.addresses()]
        return ByDatabase(hosts, self._identities.accepted, self._verifying, self._try)

    async def _try(self, attempt: Attempt, database: str) -> None:
        """Log in so, and keep the connection for the pool if it has room."""
        try:
            await self._try_in(attempt, database)
        except PgError as error:
            elsewhere = self._given.given.settings.target.database
            if error.sqlstate != _NO_DATABASE or database == elsewhere:
                raise
            await self._try_in(attempt, elsewhere)

    async def _try_in(self, attempt: Attempt, database: str) -> None:
        identity = self._given.identities.get(attempt.user, attempt.user)
        backend = self._backend()
        opener, manager = backend.opener, backend.manager
        if manager.has_room and manager.groups.has_room(database, identity):
            pool = manager.pool(database, identity)

            async def open_server(pool: MicroPool) -> tuple[Server, tuple[int, int]]:
                return await opener.open_with(pool, attempt)

            await manager.openings.open_now(pool, open_server)
        else:
            async with self._alone:  # one beyond the limit, for a moment
                (await opener.log_in_by(attempt, database)).close()


def _is_by_database(iam: IamSettings | None) -> bool:
    return iam is not None and iam.verifier == "database"


def _query_of(settings: ProxySettings) -> tuple[object, ...]:
    """What a connection for auth_query depends on."""
    return settings.auth_query, settings.auth_user, settings.auth_dbname, settings.target
