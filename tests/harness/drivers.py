"""Logging in with each driver that Python has, and with psql, in the same words."""

import asyncio
import gc
import ssl
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import psycopg2
from psycopg.conninfo import make_conninfo

from tests.harness.clients import client, run

QUESTION = "SELECT current_user::text"
TIMEOUT_S = 30


class RefusedError(Exception):
    """The login was refused; the text is what the driver says."""


@dataclass(frozen=True)
class Door:
    """Where and as whom to log in. ``ca_file``: with TLS, verified by it. ``files``: the client's
    own certificate and its key. ``libpq``: settings that libpq alone has."""

    port: int
    user: str
    password: str = ""
    ca_file: Path | None = None
    files: tuple[Path, Path] | None = None
    host: str = "localhost"
    libpq: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """For libpq."""
        tls = {"sslmode": "disable"}
        if self.ca_file is not None:
            tls = {"sslmode": "verify-full", "sslrootcert": str(self.ca_file)}
        # Not those that may lie in a home directory.
        own = self.files or ("/nonexistent", "/nonexistent")
        tls |= {"sslcert": str(own[0]), "sslkey": str(own[1])}
        place = {"host": self.host, "hostaddr": "127.0.0.1", "port": str(self.port)}
        password = {"password": self.password} if self.password else {}
        return {
            **place,
            **tls,
            **password,
            "user": self.user,
            "dbname": "postgres",
            "connect_timeout": str(TIMEOUT_S),
            "passfile": "/nonexistent",
            **self.libpq,
        }


def by_psql(door: Door) -> str:
    arguments = ["-XAtqw", "-c", QUESTION, make_conninfo(**door.settings)]
    finished = run(client("psql"), arguments)
    if finished.code != 0:
        raise RefusedError(finished.err)
    return finished.out.strip()


def by_psycopg2(door: Door) -> str:
    try:
        connection = psycopg2.connect(**door.settings)
    except psycopg2.OperationalError as error:
        raise RefusedError(str(error)) from None
    try:
        with connection.cursor() as cursor:
            cursor.execute(QUESTION)
            ((name,),) = cursor.fetchall()
        return str(name)
    finally:
        connection.close()


def by_psycopg(door: Door) -> str:
    try:
        connection = psycopg.connect(**door.settings)
    except psycopg.OperationalError as error:
        raise RefusedError(str(error)) from None
    with connection:
        ((name,),) = connection.execute(QUESTION).fetchall()
    return str(name)


def by_asyncpg(door: Door) -> str:
    context: ssl.SSLContext | bool = False
    if door.ca_file is not None:
        context = ssl.create_default_context(cafile=door.ca_file)
        if door.files is not None:
            context.load_cert_chain(*door.files)

    async def ask() -> tuple[str, bool]:
        try:
            connection = await asyncpg.connect(
                host=door.host,
                port=door.port,
                user=door.user,
                password=door.password or None,
                database="postgres",
                ssl=context,
                timeout=TIMEOUT_S,
                passfile="/nonexistent",
            )
        except asyncpg.PostgresError as error:
            return str(error), False
        try:
            return str(await connection.fetchval(QUESTION)), True
        finally:
            await connection.close()

    with warnings.catch_warnings():
        # asyncpg leaves the socket of a login that was refused over TLS to the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        said, is_in = asyncio.run(ask())
        gc.collect()
    if not is_in:
        raise RefusedError(said)
    return said


DRIVERS: dict[str, Callable[[Door], str]] = {
    "psql": by_psql,
    "psycopg2": by_psycopg2,
    "psycopg": by_psycopg,
    "asyncpg": by_asyncpg,
}
