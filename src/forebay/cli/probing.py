"""Logging in to the databases as a proxy would, to learn what it will find there."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from forebay.channel import Credential
from forebay.cli.logins import Logins, unfit, untried
from forebay.config import Address, ProxySettings
from forebay.identity.database_tokens import DatabaseTokens
from forebay.net.connector import ConnectError, DatabaseConnection, simple_query
from forebay.net.tls import ClientContexts
from forebay.protocol.errors import PgError
from forebay.session.settings import quote_literal
from forebay.sql.functions import parse_function_name
from forebay.worker.pool.budget import LIMITS_QUERY, parse_limits

QUERY_TIMEOUT_S = 10.0
# A check is no reason to take many connections from a database that may be full.
AT_ONCE = 2

# What a connector says where a database asks for a password and there is none.
NO_PASSWORD = ": no password supplied"  # noqa: S105

# One row. Everything in it can be read by every user, and nothing in it is left to the search_path.
_FACTS_QUERY = """
SELECT
    pg_catalog.current_setting('server_version'),
    pg_catalog.current_setting('server_version_num'),
    pg_catalog.pg_is_in_recovery()::pg_catalog.text,
    r.rolsuper::pg_catalog.text, r.rolconnlimit, d.datconnlimit,
    pg_catalog.current_setting('statement_timeout'),
    COALESCE(pg_catalog.current_setting('idle_session_timeout', true), '0'),
    pg_catalog.current_setting('password_encryption'),
    -- backend_type is hidden from other users, these two are not: only clients' sessions have both.
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
     WHERE datid IS NOT NULL AND usesysid IS NOT NULL
     AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid())
FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER
AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
"""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a database said to one user. Limits of -1: none."""

    server_version: str
    server_version_number: int
    is_replica: bool
    is_superuser: bool
    user_limit: int
    database_limit: int
    statement_timeout: str
    idle_session_timeout: str
    password_encryption: str
    others_connected: int
    max_connections: int
    reserved: int
    missing_functions: list[str] = []  # listed in session_functions, not there
    tls: str | None  # "TLSv1.3", None: not encrypted
    asks_password: bool


@dataclass(frozen=True, slots=True)
class Login:
    """One user on one host: what was learnt, or why nothing was. ``untried``: why the login can't
    be tried from here, which is no failure. ``rejected``: so many newer logins of the user's the
    database has not taken."""

    user: str
    host: Address
    facts: Facts | None = None
    error: str = ""
    untried: str = ""
    rejected: int = 0


async def probe(proxy: ProxySettings, credentials: list[Credential]) -> list[Login]:
    """Log in with every user to every host of the proxy's target. Raises nothing."""
    contexts, tokens = ClientContexts(), DatabaseTokens()
    at_once = asyncio.Semaphore(AT_ONCE)
    unreachable: dict[Address, str] = {}

    async def one(host: Address, logins: Logins, user: Credential) -> Login:
        login = Login(user.username, host)
        async with at_once:
            if host in unreachable:  # its silence need not be waited for again
                return replace(login, error=unreachable[host])
            try:
                return await _probe_one(proxy, logins, user, login)
            except PgError as error:
                text = f"the database says: {error.message} (SQLSTATE {error.sqlstate})"
                return replace(login, error=text)
            except ConnectError as error:
                if error.transient:
                    unreachable[host] = str(error)
                return replace(login, error=str(error))
            except (TimeoutError, ValueError) as error:
                text = str(error) or f"no answer within {QUERY_TIMEOUT_S:g} s"
                return replace(login, error=text)

    hosts = [
        (host, Logins(proxy, host, credentials, tokens, contexts))
        for host in proxy.target.addresses()
    ]
    try:
        found = (one(host, logins, user) for host, logins in hosts for user in credentials)
        return list(await asyncio.gather(*found))
    finally:
        tokens.close()


async def _probe_one(proxy: ProxySettings, logins: Logins, user: Credential, login: Login) -> Login:
    """Raises PgError, ConnectError, TimeoutError, and ValueError with a sentence."""
    if problem := unfit(user):
        return replace(login, error=problem)
    database = proxy.target.database
    if reason := untried(proxy, user):
        try:
            connection = await logins.connect(user.username, None, database)
        except ConnectError as error:
            if not str(error).endswith(NO_PASSWORD):
                raise
            return replace(login, untried=reason)
        facts = await _facts(proxy, connection)
        return replace(login, facts=msgspec.structs.replace(facts, asks_password=False))
    connection, attempt, rejected = await logins.log_in(user.identity, database)
    facts = await _facts(proxy, connection)
    if proxy.target.sslcert is None:  # that one may do without a password, and be meant to
        with contextlib.suppress(ConnectError, PgError):
            (await logins.connect(attempt.user, None, database)).close()
            facts = msgspec.structs.replace(facts, asks_password=False)
    return replace(login, facts=facts, rejected=rejected)


async def _facts(proxy: ProxySettings, connection: DatabaseConnection) -> Facts:
    """What is to be learnt over this connection, which is closed then."""
    try:
        async with asyncio.timeout(QUERY_TIMEOUT_S):
            limits = await simple_query(connection.stream, LIMITS_QUERY)
            rows = await simple_query(connection.stream, _FACTS_QUERY)
            missing = await _missing_functions(connection, proxy.session_functions)
            await _try_init_query(connection, proxy.pool.init_query)
        tls = connection.stream.tls
    finally:
        connection.close()
    facts = _parse(rows, limits, tls, asks_password=True)
    return msgspec.structs.replace(facts, missing_functions=missing)


async def _missing_functions(connection: DatabaseConnection, listed: Iterable[str]) -> list[str]:
    """Those of the listed functions that the database does not have."""
    names = {text: parse_function_name(text) for text in listed}
    if not names:
        return []
    literals = ", ".join(quote_literal(each.name.decode()) for each in names.values())
    sql = (
        "SELECT n.nspname, p.proname FROM pg_catalog.pg_proc p"  # noqa: S608
        " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace"
        f" WHERE p.proname OPERATOR(pg_catalog.=) ANY (ARRAY[{literals}]::pg_catalog.name[])"
    )
    rows = await simple_query(connection.stream, sql)
    there = {(schema or "", name or "") for schema, name in rows}
    there |= {("", name) for _, name in there}
    return [
        text
        for text, (schema, name) in names.items()
        if (schema.decode(), name.decode()) not in there
    ]


async def _try_init_query(connection: DatabaseConnection, sql: str) -> None:
    if not sql.strip():
        return
    try:
        await simple_query(connection.stream, sql)
    except PgError as error:
        raise ValueError(f"init_query fails: {error.message} (SQLSTATE {error.sqlstate})") from None


def _parse(
    rows: list[list[str | None]],
    limits: list[list[str | None]],
    tls: ssl.SSLObject | None,
    *,
    asks_password: bool,
) -> Facts:
    """Raises ValueError when the database answered something else than it was asked."""
    if len(rows) != 1 or len(rows[0]) != 10 or len(limits) != 1:
        raise ValueError("the database did not tell its settings")
    row = [value or "" for value in rows[0]]
    max_connections, reserved = parse_limits(limits[0])
    return Facts(
        server_version=row[0],
        server_version_number=int(row[1]),
        is_replica=row[2] == "true",
        is_superuser=row[3] == "true",
        user_limit=int(row[4]),
        database_limit=int(row[5]),
        statement_timeout=row[6],
        idle_session_timeout=row[7],
        password_encryption=row[8],
        others_connected=int(row[9]),
        max_connections=max_connections,
        reserved=reserved,
        tls=tls.version() if tls is not None else None,
        asks_password=asks_password,
    )
