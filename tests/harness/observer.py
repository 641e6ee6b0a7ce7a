"""A superuser's own connection to the server, past Forebay: what is really going on there."""

from typing import Any, Self

import psycopg2

from forebay.embedded.postgres import Postgres
from tests.harness.clients import TestDatabase
from tests.harness.waiting import eventually


class Observer:
    """Looks at the backends of one test database. ``with Observer(server, database) as seen:``."""

    def __init__(self, server: Postgres, database: TestDatabase) -> None:
        self.name = database.name
        self._server = server
        self._connection = psycopg2.connect(server.url())
        self._connection.autocommit = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of any query."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, sql: str, *parameters: Any) -> Any:
        """The only value of a query."""
        ((value,),) = self.rows(sql, *parameters)
        return value

    def url_for(self, database: TestDatabase) -> str:
        """The way to the database past Forebay."""
        return self._server.url(database.user, database.password, database.name)

    def backends(self, condition: str = "true") -> list[int]:
        """The pids of the database's client backends for which a condition on their row holds."""
        sql = f"""SELECT pid FROM pg_stat_activity
            WHERE datname = %s AND backend_type = 'client backend' AND ({condition})"""
        return [pid for (pid,) in self.rows(sql, self.name)]

    def running(self, text: str) -> list[int]:
        """The pids of the backends that run a statement with this text now."""
        sql = """SELECT pid FROM pg_stat_activity
            WHERE datname = %s AND state = 'active' AND strpos(query, %s) > 0"""
        return [pid for (pid,) in self.rows(sql, self.name, text)]

    def wait_until_running(self, text: str, count: int = 1) -> None:
        """Return as soon as so many backends run a statement with this text."""
        eventually(lambda: len(self.running(text)) >= count, f"{count} × {text!r} running")

    def wait_until_quiet(self) -> None:
        """Return as soon as every backend is idle, outside a transaction."""
        eventually(lambda: not self.backends("state <> 'idle'"), "all backends idle")
