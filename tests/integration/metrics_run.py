"""A run that brings every metric to a value that is known: real clients, a real PostgreSQL with
TLS, and a Forebay whose node is in this process.
"""

import asyncio
import json
import os
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from forebay.config import load
from forebay.embedded.postgres import Postgres
from forebay.node import Node, WorkerUnavailableError
from forebay.node.processes import NodeFigures
from forebay.protocol import messages
from tests.harness.clients import TestDatabase

LIMIT = 3
ROLE = "metrics_role"

CONFIG = """
[proxies.app]
listen = "127.0.0.1:0"
require_tls = false
[[proxies.app.auth]]
secret = "file:app.json"
[[proxies.app.auth]]
secret = "file:trusted.json"
client_auth = "trust"
[[proxies.app.auth]]
secret = "file:gone.json"
[proxies.app.target]
hosts = ["127.0.0.1:{port}"]
[proxies.app.pool]
max_connections = {limit}
max_waiting_clients = 1

[proxies.quiet]
listen = "127.0.0.1:0"
require_tls = false
[[proxies.quiet.auth]]
secret = "file:app.json"
[proxies.quiet.target]
hosts = ["127.0.0.1:{port}"]

[proxies.silent]
listen = "127.0.0.1:0"
require_tls = false
[[proxies.silent.auth]]
secret = "file:app.json"
[proxies.silent.target]
hosts = ["127.0.0.1:{silent}"]

[proxies.watched]
listen = "127.0.0.1:0"
require_tls = false
[[proxies.watched.auth]]
secret = "file:app.json"
[proxies.watched.target]
hosts = ["127.0.0.1:{port}", "127.0.0.1:{standby}"]
"""


class Run:
    """``async with`` it, ``await play()`` and then look: all stays as it is until its end.
    ``standby``: the port of a server that says it is one."""

    def __init__(
        self, folder: Path, postgres: Postgres, database: TestDatabase, standby: int
    ) -> None:
        self._folder = folder
        self._postgres = postgres
        self._database = database
        self._silence = socket.create_server(("127.0.0.1", 0))
        self._clients: list[psycopg.AsyncConnection[Any]] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._open: list[socket.socket] = [self._silence]
        users = {"app": database.user, "trusted": f"{database.user}_t", "gone": "gone"}
        for name, user in users.items():
            path = folder / f"{name}.json"
            path.write_text(json.dumps({"username": user, "password": database.password}))
            path.chmod(0o600)
        self.trusted = users["trusted"]
        postgres.create_user(self.trusted, database.password)
        postgres.sql(f"DROP ROLE IF EXISTS {ROLE}; CREATE ROLE {ROLE}")
        postgres.sql(f'GRANT {ROLE} TO "{database.user}"')
        file = folder / "forebay.toml"
        silent = self._silence.getsockname()[1]
        places = {"port": postgres.port, "silent": silent, "standby": standby}
        file.write_text(CONFIG.format(**places, limit=LIMIT))
        self.config = load(file, {})
        self.node = Node(self.config)

    async def play(self) -> None:
        """Everything, one after the other, so that nothing depends on who is faster."""
        await self._replace_the_worker()
        await self._fail_to_log_in()
        await asyncio.to_thread(self._resume_a_session)
        await self._carry_settings()
        await self._wait_for_a_connection()
        await self._hold_all_connections()
        await self._leave_the_others_as_they_are()

    async def __aenter__(self) -> "Run":
        await self.node.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clients:
            await client.close()
        for each in self._open:
            each.close()
        await self.node.drain(0)
        self._postgres.sql(f'DROP ROLE IF EXISTS {ROLE}; DROP ROLE "{self.trusted}"')

    # ---- The scenes ------------------------------------------------------------------------------

    async def _replace_the_worker(self) -> None:
        """WorkerRestarts: 1. All else is counted by the second worker alone."""
        first = self.node.worker_pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await self.until(lambda now: now.worker_restarts == 1)
        await self.until(_knows_its_limit)

    async def _fail_to_log_in(self) -> None:
        """Two clients that are refused: a wrong password, and a database that is not there."""
        for options in ({"password": "wrong"}, {"dbname": "not_there"}):
            try:
                await self.connect(**options)
            except psycopg.OperationalError:
                continue
            raise AssertionError(options)

    def _resume_a_session(self) -> None:
        """Two TLS connections of one that needs no password; the second has the first's ticket."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        session: ssl.SSLSession | None = None
        startup = {"user": self.trusted, "database": self._database.name}
        for _ in range(2):
            with socket.create_connection(self.node.endpoints["app"], 30) as plain:
                plain.sendall(messages.ssl_request())
                assert plain.recv(1) == b"S"
                with context.wrap_socket(plain, session=session) as secure:
                    secure.sendall(messages.startup_message(startup))
                    received = b""
                    while not received.endswith(b"Z\0\0\0\x05I"):
                        received += secure.recv(10_000)
                    session = secure.session

    async def _carry_settings(self) -> None:
        """One connection changes over between two clients, and once to what is refused by then."""
        one, other = await self.connect(), await self.connect()
        await one.execute(f"SET ROLE {ROLE}")
        await other.execute("SELECT 1")
        await one.execute("SELECT 1")
        await other.execute("SELECT 1")
        await asyncio.to_thread(self._postgres.sql, f"DROP ROLE {ROLE}")
        try:
            await one.execute("SELECT 1")
        except psycopg.Error:
            pass
        else:
            raise AssertionError("a role that is gone was taken")
        await one.close()
        await other.execute("LISTEN a")
        await other.execute("UNLISTEN a")
        await other.close()
        await self.until(lambda now: now.counted.proxies["app"].numbers["client_connections"] == 0)

    async def _wait_for_a_connection(self) -> None:
        """All are held, and one waits until one of them comes free."""
        holders = [await self.connect(autocommit=False) for _ in range(LIMIT)]
        for each in holders:
            await each.execute("SELECT pg_sleep(0.01)")
        waiter = await self.connect()
        waiting = asyncio.ensure_future(waiter.execute("SELECT 1"))
        await self.until(_has_waiters(1))
        await holders[0].commit()
        await waiting
        for each in holders[1:]:
            await each.rollback()
        for each in (*holders, waiter):
            await each.close()
        await self.until(lambda now: now.counted.proxies["app"].numbers["client_connections"] == 0)

    async def _hold_all_connections(self) -> None:
        """One is pinned, two are in transactions; one client waits, another is one too many."""
        pinned = await self.connect(stays=True)
        for _ in range(5):
            await pinned.execute("SELECT 1")
        for number in range(3):
            await pinned.execute("SELECT %s::int", (number,), prepare=True)
        for options in ({}, {"sslmode": "disable"}):
            client = await self.connect(stays=True, autocommit=False, **options)
            await client.execute("SELECT 1")
        waiter, refused = await self.connect(stays=True), await self.connect(stays=True)
        await pinned.execute("LISTEN a")
        self._later(waiter.execute("SELECT 1"))
        await self.until(_has_waiters(1))
        try:
            await refused.execute("SELECT 1")
        except psycopg.OperationalError:
            pass
        else:
            raise AssertionError("it was not one too many")

    async def _leave_the_others_as_they_are(self) -> None:
        """A client that is mute, a secret that is gone, a proxy at rest, a mute database."""
        await asyncio.to_thread((self._folder / "gone.json").unlink)
        quiet = await self.connect("quiet", stays=True)
        await quiet.execute("SELECT 1")
        self._later(self.connect("silent"))
        mute = socket.create_connection(self.node.endpoints["app"], 30)
        self._open.append(mute)
        await self.until(_is_at_rest)

    # ---- Means -----------------------------------------------------------------------------------

    async def connect(
        self, proxy: str = "app", *, stays: bool = False, **options: Any
    ) -> psycopg.AsyncConnection[Any]:
        """A client over TLS, each statement of which is a transaction, unless told otherwise."""
        host, port = self.node.endpoints[proxy]
        given: dict[str, Any] = {
            "host": host,
            "port": port,
            "user": self._database.user,
            "password": self._database.password,
            "dbname": self._database.name,
            "sslmode": "require",
            "autocommit": True,
            "prepare_threshold": 100,  # only what is asked for
        }
        client = await psycopg.AsyncConnection.connect(**{**given, **options})
        if stays:
            self._clients.append(client)
        return client

    async def until(self, is_so: Callable[[NodeFigures], bool]) -> None:
        """Wait until it is so; the test's own timeout bounds it."""
        while True:
            try:
                if is_so(await self.node.observer.figures()):
                    return
            except WorkerUnavailableError:
                pass
            await asyncio.sleep(0.05)

    def _later(self, doing: Any) -> None:
        self._tasks.append(asyncio.ensure_future(doing))


def _knows_its_limit(now: NodeFigures) -> bool:
    app = now.counted.proxies.get("app")  # a new worker has none at first
    return app is not None and app.numbers["max_database_connections_allowed"] == LIMIT


def _has_waiters(count: int) -> Callable[[NodeFigures], bool]:
    return lambda now: now.counted.proxies["app"].numbers["clients_waiting"] == count


def _is_at_rest(now: NodeFigures) -> bool:
    app, silent, watched = (
        now.counted.proxies[name].numbers for name in ("app", "silent", "watched")
    )
    return bool(
        watched["target_state"] == 0
        and watched["standbys"]
        and app["secrets_failing"]
        and app["logins_under_way"]
        and silent["database_connections_opening"]
        and silent["clients_waiting"]
    )
