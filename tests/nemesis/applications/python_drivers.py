"""What is each library's own in an application: how it connects, writes, and looks."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

INSERT = "INSERT INTO writes (client, seq, part) VALUES ({}, {}, {})"
LOOK = "SELECT current_setting('TimeZone'), current_schema(), what, {} FROM kept WHERE n = {}"
ZONE, SCHEMA = "Asia/Kathmandu", "apart"
Row = tuple[Any, Any, Any, Any]
Found = list[dict[str, Any]]


@dataclass
class Step:
    """What an application is at."""

    at: str


class Application(Protocol):
    def alone(self, client: int, seq: int, step: Step) -> None:
        """Writes by one statement without a transaction of the application's."""

    def together(self, client: int, seq: int, step: Step) -> None:
        """Writes two rows in a transaction."""

    def rest(self, count: int) -> Found:
        """Uses so many connections at once: the same each time."""

    def close(self) -> None: ...


def text(sql: str, *marks: str) -> str:
    return sql.format(*marks)


def found(who: object, row: Row) -> dict[str, Any]:
    return {"id": str(who), "zone": row[0], "place": row[1], "kept": f"{row[2]} {row[3]}"}


def code_of(error: BaseException | None) -> str:
    """The SQLSTATE, wherever the library has it."""
    while error is not None:
        for name in ("sqlstate", "pgcode"):
            if code := getattr(error, name, None):
                return str(code)
        error = getattr(error, "orig", None) or error.__cause__
    return ""


class OnSqlalchemy:
    """SQLAlchemy with one of its drivers."""

    def __init__(self, given: dict[str, Any], driver: str) -> None:
        import sqlalchemy as sa

        self.sa = sa
        names = {"username": "user", "password": "password", "host": "host", "port": "port"}
        address = sa.URL.create(
            f"postgresql+{driver}",
            database=given["database"],
            **{name: given[key] for name, key in names.items()},
        )
        self.engine = sa.create_engine(address)
        self.resting = sa.create_engine(address)

        @sa.event.listens_for(self.resting, "connect")
        def prepare(connection: Any, _: Any) -> None:
            before, connection.autocommit = connection.autocommit, True
            cursor = connection.cursor()
            cursor.execute(f"SET TIME ZONE '{ZONE}'")
            cursor.execute(f"SET search_path TO {SCHEMA}, public")
            cursor.close()
            connection.autocommit = before

        self.insert = sa.text(text(INSERT, ":c", ":s", ":p"))
        self.look = sa.text(text(LOOK, "cast(:x AS int)", ":n"))

    def alone(self, client: int, seq: int, step: Step) -> None:
        with self.engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            step.at = "statement"
            connection.execute(self.insert, {"c": client, "s": seq, "p": 0})

    def together(self, client: int, seq: int, step: Step) -> None:
        with self.engine.begin() as connection:
            step.at = "statement"
            for part in (0, 1):
                connection.execute(self.insert, {"c": client, "s": seq, "p": part})
            step.at = "commit"

    def rest(self, count: int) -> Found:
        with ExitStack() as stack:
            all_of = [stack.enter_context(self.resting.connect()) for _ in range(count)]
            rows = [one.execute(self.look, {"x": 7, "n": 1}).one() for one in all_of]
            who = [id(one.connection.dbapi_connection) for one in all_of]
        return [found(*each) for each in zip(who, map(tuple, rows), strict=True)]

    def close(self) -> None:
        self.engine.dispose()
        self.resting.dispose()


class Looped:
    """An application on an event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, work: Awaitable[Any]) -> Any:
        async def whole() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(whole(), self.loop).result()


class OnSqlalchemyAsyncpg(Looped):
    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__()
        import sqlalchemy as sa
        from sqlalchemy.ext.asyncio import create_async_engine

        address = sa.URL.create(
            "postgresql+asyncpg",
            username=given["user"],
            password=given["password"],
            host=given["host"],
            port=given["port"],
            database=given["database"],
        )
        self.engine = create_async_engine(address)
        settings = {"TimeZone": ZONE, "search_path": f"{SCHEMA}, public"}
        self.resting = create_async_engine(address, connect_args={"server_settings": settings})
        self.insert = sa.text(text(INSERT, ":c", ":s", ":p"))
        self.look = sa.text(text(LOOK, "cast(:x AS int)", ":n"))

    def alone(self, client: int, seq: int, step: Step) -> None:
        async def work() -> None:
            async with self.engine.connect() as connection:
                connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
                step.at = "statement"
                await connection.execute(self.insert, {"c": client, "s": seq, "p": 0})

        self.run(work())

    def together(self, client: int, seq: int, step: Step) -> None:
        async def work() -> None:
            async with self.engine.begin() as connection:
                step.at = "statement"
                for part in (0, 1):
                    await connection.execute(self.insert, {"c": client, "s": seq, "p": part})
                step.at = "commit"

        self.run(work())

    def rest(self, count: int) -> Found:
        async def work() -> Found:
            all_of = [await self.resting.connect() for _ in range(count)]
            try:
                rows = [(await one.execute(self.look, {"x": 7, "n": 1})).one() for one in all_of]
                raw = [(await one.get_raw_connection()).driver_connection for one in all_of]
            finally:
                for one in all_of:
                    await one.close()
            who = [one.get_server_pid() for one in raw]
            return [found(*each) for each in zip(who, map(tuple, rows), strict=True)]

        result: Found = self.run(work())
        return result

    def close(self) -> None:
        async def work() -> None:
            await self.engine.dispose()
            await self.resting.dispose()

        self.run(work())


class OnPsycopgPool:
    def __init__(self, given: dict[str, Any]) -> None:
        import psycopg_pool
        from psycopg.conninfo import make_conninfo

        names = ("user", "password", "host", "port")
        address = make_conninfo(dbname=given["database"], **{name: given[name] for name in names})

        def configure(connection: Any) -> None:
            connection.execute(f"SET search_path TO {SCHEMA}, public")
            connection.commit()

        pool = psycopg_pool.ConnectionPool
        self.pool = pool(address, open=True)
        self.alone_pool = pool(address, open=True, kwargs={"autocommit": True})
        options = f"{address} options='-c TimeZone={ZONE}'"
        self.resting = pool(options, open=True, configure=configure)
        for each in (self.pool, self.alone_pool, self.resting):
            each.wait()

    def alone(self, client: int, seq: int, step: Step) -> None:
        with self.alone_pool.connection() as connection:
            step.at = "statement"
            connection.execute(text(INSERT, "%s", "%s", "%s"), (client, seq, 0))

    def together(self, client: int, seq: int, step: Step) -> None:
        with self.pool.connection() as connection:
            step.at = "statement"
            for part in (0, 1):
                connection.execute(text(INSERT, "%s", "%s", "%s"), (client, seq, part))
            step.at = "commit"

    def rest(self, count: int) -> Found:
        with ExitStack() as stack:
            all_of = [stack.enter_context(self.resting.connection()) for _ in range(count)]
            look = text(LOOK, "%s::int", "%s")
            rows = [one.execute(look, (7, 1)).fetchone() for one in all_of]
            who = [one.info.backend_pid for one in all_of]
        return [found(*each) for each in zip(who, rows, strict=True)]  # type: ignore[arg-type]

    def close(self) -> None:
        for each in (self.pool, self.alone_pool, self.resting):
            each.close()


class OnAsyncpgPool(Looped):
    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__()
        names = ("user", "password", "host", "port", "database")
        self.given = {name: given[name] for name in names}
        self.run(self.open())

    async def open(self) -> None:
        import asyncpg

        settings = {"TimeZone": ZONE, "search_path": f"{SCHEMA}, public"}
        self.pool = await asyncpg.create_pool(**self.given)
        self.resting = await asyncpg.create_pool(**self.given, server_settings=settings)

    def alone(self, client: int, seq: int, step: Step) -> None:
        async def work() -> None:
            async with self.pool.acquire() as connection:
                step.at = "statement"
                await connection.execute(text(INSERT, "$1", "$2", "$3"), client, seq, 0)

        self.run(work())

    def together(self, client: int, seq: int, step: Step) -> None:
        async def work() -> None:
            async with self.pool.acquire() as connection:
                step.at = "begin"
                async with connection.transaction():
                    step.at = "statement"
                    for part in (0, 1):
                        await connection.execute(text(INSERT, "$1", "$2", "$3"), client, seq, part)
                    step.at = "commit"

        self.run(work())

    def rest(self, count: int) -> Found:
        async def work() -> Found:
            all_of = [await self.resting.acquire() for _ in range(10)]  # all that it has
            try:
                look = text(LOOK, "$1::int", "$2")
                rows = [await one.fetchrow(look, 7, 1) for one in all_of]
                who = [one.get_server_pid() for one in all_of]
            finally:
                for one in all_of:
                    await self.resting.release(one)
            return [found(*each) for each in zip(who, map(tuple, rows), strict=True)]

        result: Found = self.run(work())
        return result

    def close(self) -> None:
        async def work() -> None:
            await self.pool.close()
            await self.resting.close()

        self.run(work())


class OnDjango:
    """Django as its threads of requests have it, with connections that persist."""

    def __init__(self, given: dict[str, Any]) -> None:
        from django.conf import settings

        database = {
            "ENGINE": "django.db.backends.postgresql",
            "CONN_MAX_AGE": None,
            "HOST": given["host"],
            "PORT": given["port"],
            "USER": given["user"],
            "PASSWORD": given["password"],
            "NAME": given["database"],
        }
        options = {"options": f"-c search_path={SCHEMA},public"}
        resting = {**database, "TIME_ZONE": ZONE, "OPTIONS": options}
        settings.configure(DATABASES={"default": database, "resting": resting}, USE_TZ=True)
        import django

        django.setup()
        self.threads = [ThreadPoolExecutor(1) for _ in range(given["resting"])]

    @staticmethod
    def request(work: Callable[[], Any]) -> Any:
        """As a request does, before and behind its view."""
        from django.core.signals import request_finished, request_started

        request_started.send(sender=None)
        try:
            return work()
        finally:
            request_finished.send(sender=None)

    def alone(self, client: int, seq: int, step: Step) -> None:
        from django.db import connection

        def view() -> None:
            with connection.cursor() as cursor:
                step.at = "statement"
                cursor.execute(text(INSERT, "%s", "%s", "%s"), (client, seq, 0))

        self.request(view)

    def together(self, client: int, seq: int, step: Step) -> None:
        from django.db import connection, transaction

        def view() -> None:
            with transaction.atomic():
                step.at = "statement"
                with connection.cursor() as cursor:
                    for part in (0, 1):
                        cursor.execute(text(INSERT, "%s", "%s", "%s"), (client, seq, part))
                step.at = "commit"

        self.request(view)

    def rest(self, count: int) -> Found:
        def view() -> dict[str, Any]:
            from django.db import connections

            with connections["resting"].cursor() as cursor:
                cursor.execute(text(LOOK, "%s::int", "%s"), (7, 1))
                return found(connections["resting"].connection.info.backend_pid, cursor.fetchone())

        return [each.submit(self.request, view).result() for each in self.threads]

    def close(self) -> None:
        for each in self.threads:
            each.shutdown()


APPLICATIONS: dict[str, Callable[[dict[str, Any]], Application]] = {
    "sqlalchemy-psycopg2": lambda given: OnSqlalchemy(given, "psycopg2"),
    "sqlalchemy-psycopg": lambda given: OnSqlalchemy(given, "psycopg"),
    "sqlalchemy-asyncpg": OnSqlalchemyAsyncpg,
    "psycopg-pool": OnPsycopgPool,
    "asyncpg-pool": OnAsyncpgPool,
    "django": OnDjango,
}
