"""Logging in to a database as the worker would: by all that a user has, newest first."""

from collections.abc import Iterable, Mapping
from typing import Any

from forebay.channel import CallError, Credential, MakeToken, Token
from forebay.config import Address, ProxySettings
from forebay.identity.database_tokens import DatabaseTokenError, DatabaseTokens
from forebay.net.connector import (
    ConnectError,
    DatabaseConnection,
    DatabaseLogin,
    Target,
    connect,
)
from forebay.net.login.kept import method_for
from forebay.net.tls import ClientContexts
from forebay.protocol import scram
from forebay.protocol.errors import PgError
from forebay.worker.identities import Attempt, Identities
from forebay.worker.pool.opener import is_rejection
from forebay.worker.prepared import entry_of

PARAMETERS: Mapping[str, str] = {"application_name": "forebay check"}


class Logins:
    """Those of one proxy's users at one host. ``tokens`` makes tokens of Forebay's own role."""

    def __init__(
        self,
        proxy: ProxySettings,
        host: Address,
        credentials: Iterable[Credential],
        tokens: DatabaseTokens,
        contexts: ClientContexts,
    ) -> None:
        target = proxy.target
        files = target.sslrootcert, target.sslcert, target.sslkey
        self.target = Target(host.host, host.port, target.sslmode, *files)
        self._settings = target
        self._tokens = tokens
        self._contexts = contexts
        self._identities = Identities("", lambda: self.target, self._make_token)
        self._identities.by_tokens = proxy.iam is not None and proxy.iam.verifier == "database"
        self._identities.use(credentials)

    async def log_in(
        self, identity: str, database: str, parameters: Mapping[str, str] = PARAMETERS
    ) -> tuple[DatabaseConnection, Attempt, int]:
        """A connection, how it has logged in, and how many other logins the database has rejected
        before. Raises PgError and ConnectError with what became of the newest, ValueError if there
        is nothing to log in with."""
        try:
            attempts = await self._identities.attempts(identity)
        except ConnectError as error:
            raise ValueError(str(error)) from None
        rejections: list[PgError | ConnectError] = []
        for attempt in attempts:
            try:
                connection = await self.connect(attempt.user, attempt.proof, database, parameters)
            except (PgError, ConnectError) as error:
                if not is_rejection(error):
                    raise
                rejections.append(error)
            else:
                return connection, attempt, len(rejections)
        raise rejections[0]

    async def connect(
        self,
        user: str,
        proof: DatabaseLogin,
        database: str,
        parameters: Mapping[str, str] = PARAMETERS,
    ) -> DatabaseConnection:
        """A connection by this login alone. Raises PgError, ConnectError."""
        return await connect(
            self.target,
            user=user,
            password=proof,
            database=database,
            parameters=parameters,
            connect_timeout_s=self._settings.connect_timeout,
            tls_contexts=self._contexts,
        )

    async def _make_token(self, request: Any, _: type[Any], __: float) -> Any:
        """As the node does it. Raises CallError."""
        assert isinstance(request, MakeToken)  # noqa: S101 - identities ask for nothing else
        region = self._settings.region or None
        try:
            text = await self._tokens.token(request.host, request.port, request.user, region)
        except DatabaseTokenError as error:
            raise CallError(str(error)) from None
        return Token(token=text)


def unfit(credential: Credential) -> str:
    """Why the worker would refuse this user, whatever the database says; "" if it would not."""
    try:
        method_for(entry_of(credential))
    except ValueError as error:
        return str(error)
    return ""


def untried(proxy: ProxySettings, credential: Credential) -> str:
    """Why a user's login can't be tried without clients; "" if it can."""
    passwords = [login.password for login in credential.logins if login.password]
    if credential.auth_scheme == "IAM_AUTH":
        return ""
    if not credential.passwords and credential.auth in ("scram-sha-256", "md5"):
        return "has no password that clients could show"
    if any(scram.Verifier.parse(each) is None for each in passwords):
        return ""
    if passwords:
        return (
            "only the SCRAM verifier of its password is known: connections are opened when a client"
            " has logged in"
        )
    if proxy.target.sslcert is not None or proxy.iam is None or proxy.iam.verifier != "database":
        return ""
    return "has no password: connections are opened with the IAM tokens that clients log in with"
