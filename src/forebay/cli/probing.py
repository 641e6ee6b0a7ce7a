"""Logging in to the databases as a proxy would, to learn what it will find there."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from forebay.channel import Credential
from forebay.config import Address, ProxySettings
from forebay.net.connector import (
    ConnectError,
    DatabaseConnection,
    Target,
    connect,
    simple_query,
)
from forebay.net.tls import ClientContexts
from forebay.protocol.errors import PgError
from forebay.session.settings import quote_literal
from forebay.sql.functions import parse_function_name
from forebay.worker.pool.budget import LIMITS_QUERY, parse_limits

QUERY_TIMEOUT_S = 10.0
# A check is no reason to take many connections from a database that may be full.
AT_ONCE = 2

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
    """One user on one host: what was learnt, or why nothing was."""

    user: str
    host: Address
    facts: Facts | None = None
    error: str = ""


async def probe(proxy: ProxySettings, credentials: list[Credential]) -> list[Login]:
    """Log in with every user to every host of the proxy's target. Raises nothing."""
    contexts = ClientContexts()
    at_once = asyncio.Semaphore(AT_ONCE)
    unreachable: dict[Address, str] = {}

    async def one(host: Address, user: Credential) -> Login:
        async with at_once:
            if host in unreachable:  # its silence need not be waited for again
                return Login(user.username, host, error=unreachable[host])
            try:
                return Login(user.username, host, await _facts(proxy, host, user, contexts))
            except PgError as error:
                text = f"the database says: {error.message} (SQLSTATE {error.sqlstate})"
                return Login(user.username, host, error=text)
            except ConnectError as error:
                if error.transient:
                    unreachable[host] = str(error)
                return Login(user.username, host, error=str(error))
            except (TimeoutError, ValueError) as error:
                text = str(error) or f"no answer within {QUERY_TIMEOUT_S:g} s"
                return Login(user.username, host, error=text)

    hosts = proxy.target.addresses()
    return list(await asyncio.gather(*(one(host, user) for host in hosts for user in credentials)))


async def _facts(
    proxy: ProxySettings, host: Address, user: Credential, contexts: ClientContexts
) -> Facts:
    async def log_in(password: str | None) -> DatabaseConnection:
        return await connect(
            Target(host.host, host.port, proxy.target.sslmode, proxy.target.sslrootcert),
            user=user.username,
            password=password,
            database=proxy.target.database,
            parameters={"application_name": "forebay check"},
            connect_timeout_s=proxy.target.connect_timeout,
            tls_contexts=contexts,
        )

    connection = await log_in(user.passwords[0])
    try:
        async with asyncio.timeout(QUERY_TIMEOUT_S):
            limits = await simple_query(connection.stream, LIMITS_QUERY)
            rows = await simple_query(connection.stream, _FACTS_QUERY)
            missing = await _missing_functions(connection, proxy.session_functions)
            await _try_init_query(connection, proxy.pool.init_query)
        tls = connection.stream.tls
    finally:
        connection.close()
    asks_password = True
    with contextlib.suppress(ConnectError, PgError):
        (await log_in(None)).close()
        asks_password = False
    facts = _parse(rows, limits, tls, asks_password=asks_password)
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
