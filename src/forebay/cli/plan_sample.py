"""Looks at the sessions of a database that clients still reach without a proxy."""

import asyncio
import os
from typing import Final

from forebay.channel import Credential
from forebay.cli.logins import Logins, unfit
from forebay.config import ProxySettings, load_any
from forebay.config.url import parse_url
from forebay.identity.database_tokens import DatabaseTokens
from forebay.net.connector import ConnectError, DatabaseConnection, simple_query
from forebay.net.tls import ClientContexts
from forebay.node.materials import Materials
from forebay.plan.formulas import Capacity
from forebay.plan.sampling import Sample, Sampler, Sight
from forebay.protocol.errors import PgError
from forebay.worker.pool.budget import LIMITS_QUERY, parse_limits

INTERVAL_S: Final = 0.1
QUERY_TIMEOUT_S: Final = 10.0
LONGEST_S: Final = 3600.0
_PARAMETERS: Final = {"application_name": "forebay plan"}

# Clients only: backend_type is hidden from other users, but just they have a user and a database.
_SESSIONS_QUERY: Final = """
SELECT
    EXTRACT(epoch FROM pg_catalog.clock_timestamp()),
    pid || '/' || COALESCE(EXTRACT(epoch FROM backend_start)::pg_catalog.text, ''),
    usename, application_name, state,
    EXTRACT(epoch FROM xact_start), EXTRACT(epoch FROM state_change)
FROM pg_catalog.pg_stat_activity
WHERE datid IS NOT NULL AND usesysid IS NOT NULL
AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
LIMIT 10000
"""
_COUNT_QUERY: Final = """
SELECT EXTRACT(epoch FROM pg_catalog.clock_timestamp()),
    pg_catalog.sum(xact_commit OPERATOR(pg_catalog.+) xact_rollback)
FROM pg_catalog.pg_stat_database
"""


class SampleError(Exception):
    """The database can't be sampled; the text says why, and holds no secret."""


async def sample(url: str, seconds: float) -> tuple[Sample, Capacity]:
    """What the sessions of a database are like over this time, and how many it allows.

    Raises ConfigError and MaterialError for the URL, SampleError for the database.
    """
    needs_none = _has_no_password(url)
    # The database may ask for no password; a proxy would need one for its clients.
    config = load_any(url, {**os.environ, "PGPASSWORD": "none"} if needs_none else os.environ)
    ((name, proxy),) = config.proxies.items()
    materials = Materials(os.environ, lambda _: None)
    tokens = DatabaseTokens()
    try:
        found = await materials.gather(config)
        credentials = found[name].credentials
        connection = await _connect(proxy, credentials, tokens, with_password=not needs_none)
        try:
            return await _sample(connection, str(proxy.target.addresses()[0]), seconds)
        finally:
            connection.close()
    except PgError as error:
        raise SampleError(
            f"the database says: {error.message} (SQLSTATE {error.sqlstate})"
        ) from None
    except TimeoutError:
        raise SampleError(f"no answer within {QUERY_TIMEOUT_S:g} s") from None
    except (ConnectError, ValueError) as error:
        raise SampleError(str(error)) from None
    finally:
        tokens.close()
        await materials.close()


def _has_no_password(url: str) -> bool:
    """Whether neither the URL nor the environment has one, nor is it to be a token."""
    try:
        parsed = parse_url(url)
    except ValueError:  # load_any says what is wrong
        return False
    given = parsed.password or os.environ.get("PGPASSWORD") or parsed.parameters.get("auth_scheme")
    return not given


async def _connect(
    proxy: ProxySettings,
    credentials: list[Credential],
    tokens: DatabaseTokens,
    *,
    with_password: bool,
) -> DatabaseConnection:
    user, database = credentials[0], proxy.target.database
    if problem := unfit(user):
        raise SampleError(problem)
    host = proxy.target.addresses()[0]
    logins = Logins(proxy, host, credentials, tokens, ClientContexts())
    if not with_password:
        return await logins.connect(user.username, None, database, _PARAMETERS)
    connection, _, _ = await logins.log_in(user.identity, database, _PARAMETERS)
    return connection


async def _sample(
    connection: DatabaseConnection, name: str, seconds: float
) -> tuple[Sample, Capacity]:
    limits = await _ask(connection, LIMITS_QUERY)
    max_connections, reserved = parse_limits(limits[0] if limits else [])
    found = await _look(connection, seconds)
    capacity = Capacity(
        name=name,
        max_connections=max_connections,
        reserved=reserved,
        basis="as the database says",
    )
    return found, capacity


async def _look(connection: DatabaseConnection, seconds: float) -> Sample:
    clock = asyncio.get_running_loop().time
    sampler = Sampler()
    began, asked = await _count(connection), 1
    start_s = clock()
    for look in range(int(seconds / INTERVAL_S) + 1):
        await asyncio.sleep(max(0.0, start_s + look * INTERVAL_S - clock()))
        if look and clock() > start_s + seconds:
            break  # a slow database: fewer looks, but no longer
        rows = await _ask(connection, _SESSIONS_QUERY)
        if rows:
            sampler.look(float(rows[0][0] or 0), [_sight(row) for row in rows])
        else:
            sampler.look(await _now(connection), [])
        asked += 1
    ended = await _count(connection)
    return sampler.result(_rate(began, ended, asked))


def _sight(row: list[str | None]) -> Sight:
    _, session, user, application, state, transaction, change = (each or "" for each in row)
    return Sight(session, user, application, state, transaction, change)


def _rate(began: tuple[float, int], ended: tuple[float, int], own: int) -> float | None:
    """Transactions per second of all clients, without this one's own."""
    seconds = ended[0] - began[0]
    return max(0, ended[1] - began[1] - own) / seconds if seconds > 0 else None


async def _now(connection: DatabaseConnection) -> float:
    return (await _count(connection))[0]


async def _count(connection: DatabaseConnection) -> tuple[float, int]:
    ((now, count),) = await _ask(connection, _COUNT_QUERY)
    return float(now or 0), int(float(count or 0))


async def _ask(connection: DatabaseConnection, sql: str) -> list[list[str | None]]:
    async with asyncio.timeout(QUERY_TIMEOUT_S):
        return await simple_query(connection.stream, sql)
