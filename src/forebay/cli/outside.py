"""What a proxy asks of others while clients log in, tried: ``auth_query``, and STS."""

import asyncio
import datetime as dt
import os
import secrets
from collections.abc import Sequence

from forebay.channel import Credential
from forebay.cli.logins import Logins
from forebay.config import IamSettings, ProxySettings
from forebay.identity.database_tokens import DatabaseTokens
from forebay.identity.sts.endpoints import GLOBAL_REGION, Endpoint
from forebay.net.connector import ConnectError, parameterized_query
from forebay.net.login.auth_query import STARTUP_PARAMETERS, entry_of
from forebay.net.tls import ClientContexts
from forebay.protocol.errors import PgError

QUERY_TIMEOUT_S = 10.0
STS_TIMEOUT_S = 5.0


async def problems(proxy: ProxySettings, credentials: Sequence[Credential]) -> list[str]:
    """Why it would not work, in sentences. Raises nothing."""
    found = await asyncio.gather(_auth_query(proxy, credentials), _sts(proxy.iam))
    return [each for each in found if each]


async def _auth_query(proxy: ProxySettings, credentials: Sequence[Credential]) -> str:
    """What becomes of the query for a user who does not exist; "" if there is none."""
    if not proxy.auth_query:
        return ""
    known = [each for each in credentials if each.username == proxy.auth_user]
    if not known:
        return f'auth_user "{proxy.auth_user}" is none of the users of auth: nobody runs auth_query'
    tokens = DatabaseTokens()
    host = proxy.target.addresses()[0]
    logins = Logins(proxy, host, credentials, tokens, ClientContexts())
    try:
        await _run(proxy, logins, known[0].identity)
    except PgError as error:
        return f"auth_query: the database says: {error.message} (SQLSTATE {error.sqlstate})"
    except TimeoutError:
        return f"auth_query: no answer within {QUERY_TIMEOUT_S:g} s"
    except (ConnectError, ValueError) as error:
        return str(error) if str(error).startswith("auth_query ") else f"auth_query: {error}"
    finally:
        tokens.close()
    return ""


async def _run(proxy: ProxySettings, logins: Logins, identity: str) -> None:
    """As the worker does it. Raises PgError, ConnectError, TimeoutError, ValueError."""
    database = proxy.auth_dbname or proxy.target.database
    connection, _, _ = await logins.log_in(identity, database, STARTUP_PARAMETERS)
    nobody = f"forebay_check_{secrets.token_hex(8)}"
    try:
        async with asyncio.timeout(QUERY_TIMEOUT_S):
            rows = await parameterized_query(connection.stream, proxy.auth_query, [nobody])
    finally:
        connection.close()
    if entry_of(rows, nobody, dt.datetime.now(dt.UTC)) is not None:
        raise ValueError(
            "auth_query returns a row for a user who does not exist: everybody would be let in"
        )


async def _sts(iam: IamSettings | None) -> str:
    """Why STS can't be reached; "" if it can, or is not asked."""
    if iam is None or iam.verifier != "sts":
        return ""
    region = iam.region or GLOBAL_REGION
    endpoint = (
        Endpoint.parse(iam.sts_endpoint, region) if iam.sts_endpoint else Endpoint.of_region(region)
    )
    try:
        async with asyncio.timeout(STS_TIMEOUT_S):
            _, writer = await asyncio.open_connection(endpoint.address, endpoint.port)
    except TimeoutError:
        reason = f"no connection within {STS_TIMEOUT_S:g} s"
    except UnicodeError:
        reason = "that is no name of a host"
    except OSError as error:
        known = error.errno is not None and error.errno > 0
        reason = os.strerror(error.errno) if known and error.errno else error.strerror or str(error)
    else:
        writer.close()
        return ""
    return f"STS can't be reached at {endpoint.url} ({reason}): all tokens would be refused"
