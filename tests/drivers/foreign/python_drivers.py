"""Carries out scenes with drivers of Python: ``python python_drivers.py DRIVER < script``."""

import asyncio
import contextlib
import datetime as dt
import json
import re
import ssl
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

Record = dict[str, Any]
Step = dict[str, Any]

KINDS: dict[str, Callable[[Any], Any]] = {
    "timestamp": dt.datetime.fromisoformat,
    "timestamptz": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "bytea": bytes.fromhex,
    "uuid": uuid.UUID,
}


def values(arguments: list[tuple[str, Any]]) -> list[Any]:
    return [KINDS.get(kind, lambda value: value)(value) for kind, value in arguments]


def shown(value: Any) -> str:
    return f"{type(value).__name__}:{value!r}"


def table(columns: list[str], rows: list[Any]) -> Record:
    return {"columns": columns, "rows": [[shown(value) for value in row] for row in rows]}


def unverified() -> ssl.SSLContext:
    """TLS as sslmode=require has it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Asyncpg:
    """One session of asyncpg."""

    def __init__(self, door: dict[str, Any]) -> None:
        self.door = door
        self.transaction: Any = None
        self.heard: asyncio.Queue[str] = asyncio.Queue()

    async def open(self) -> None:
        door = {name: value for name, value in self.door.items() if name != "tls"}
        self.connection = await asyncpg.connect(
            **door, ssl=unverified() if self.door["tls"] else False
        )

    async def close(self) -> None:
        await self.connection.close(timeout=5)

    async def query(self, step: Step) -> Record:
        rows = await self.connection.fetch(step["sql"], *values(step["args"]))
        return table(list(rows[0].keys()) if rows else [], [row.values() for row in rows])

    async def plain(self, step: Step) -> Record:
        return {"ok": await self.connection.execute(step["sql"])}

    async def begin(self, _: Step) -> Record:
        self.transaction = self.connection.transaction()
        await self.transaction.start()
        return {}

    async def commit(self, _: Step) -> Record:
        await self.transaction.commit()
        return {}

    async def rollback(self, _: Step) -> Record:
        await self.transaction.rollback()
        return {}

    async def batch(self, step: Step) -> Record:
        await self.connection.executemany(
            step["items"][0][0], [values(arguments) for _, arguments in step["items"]]
        )
        return {}

    async def copy_in(self, step: Step) -> Record:
        records = [(number, f"line {number}") for number in range(step["count"])]
        return {"ok": await self.connection.copy_records_to_table(step["table"], records=records)}

    async def listen(self, step: Step) -> Record:
        await self.connection.add_listener(step["channel"], lambda *s: self.heard.put_nowait(s[-1]))
        return {}

    async def heard_so_far(self, step: Step) -> Record:
        return {"heard": [await self.heard.get() for _ in range(step["count"])]}

    async def cursor(self, step: Step) -> Record:
        rows = [row[0] async for row in self.connection.cursor(step["sql"], prefetch=step["size"])]
        return {"count": len(rows), "sum": sum(rows)}

    async def in_time(self, step: Step) -> Record:
        return {"ok": await self.connection.fetchval(step["sql"], timeout=step["ms"] / 1000)}


def named(sql: str) -> sa.TextClause:
    """SQLAlchemy's own way to write ``$1``."""
    return sa.text(re.sub(r"\$(\d+)", r":p\1", sql.replace("::", "\\:\\:")))


def by_name(arguments: list[tuple[str, Any]]) -> dict[str, Any]:
    return {f"p{number}": value for number, value in enumerate(values(arguments), 1)}


class OnSqlalchemy:
    """One client of SQLAlchemy with an engine of its own: a connection for each transaction."""

    drivers: ClassVar = {"sqlalchemy-asyncpg": "asyncpg", "sqlalchemy-psycopg": "psycopg"}

    def __init__(self, door: dict[str, Any], driver: str) -> None:
        address = sa.URL.create(
            f"postgresql+{self.drivers[driver]}",
            username=door["user"],
            password=door["password"],
            host=door["host"],
            port=door["port"],
            database=door["database"],
        )
        given: dict[str, Any] = {}
        if driver == "sqlalchemy-asyncpg":
            given = {"ssl": unverified() if door["tls"] else False}
        elif door["tls"]:
            given = {"sslmode": "require"}
        self.engine = create_async_engine(address, pool_size=1, connect_args=given)
        self.connection: AsyncConnection | None = None

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        await self.engine.dispose()

    @contextlib.asynccontextmanager
    async def using(self) -> AsyncIterator[AsyncConnection]:
        if self.connection is not None:
            yield self.connection
        else:
            async with self.engine.begin() as connection:
                yield connection

    async def query(self, step: Step) -> Record:
        async with self.using() as connection:
            result = await connection.execute(named(step["sql"]), by_name(step["args"]))
            if not result.returns_rows:
                return {"ok": result.rowcount}
            return table(list(result.keys()), list(result.fetchall()))

    async def plain(self, step: Step) -> Record:
        async with self.using() as connection:
            for sql in step["sql"].split(";"):
                await connection.exec_driver_sql(sql)
        return {}

    async def begin(self, _: Step) -> Record:
        self.connection = await self.engine.connect()
        await self.connection.begin()
        return {}

    async def commit(self, _: Step) -> Record:
        return await self._end("commit")

    async def rollback(self, _: Step) -> Record:
        return await self._end("rollback")

    async def batch(self, step: Step) -> Record:
        given = [by_name(arguments) for _, arguments in step["items"]]
        async with self.using() as connection:
            await connection.execute(named(step["items"][0][0]), given)
        return {}

    async def cursor(self, step: Step) -> Record:
        async with self.using() as connection:
            rows = []
            options = {"yield_per": step["size"]}
            result = await connection.stream(sa.text(step["sql"]), execution_options=options)
            async for row in result:
                rows.append(row[0])  # noqa: PERF401  # one by one, as users do
        return {"count": len(rows), "sum": sum(rows)}

    async def _end(self, how: str) -> Record:
        connection, self.connection = self.connection, None
        assert connection is not None
        try:
            await getattr(connection, how)()
        finally:
            await connection.close()
        return {}


DRIVERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "asyncpg": Asyncpg,
    "sqlalchemy-asyncpg": lambda door: OnSqlalchemy(door, "sqlalchemy-asyncpg"),
    "sqlalchemy-psycopg": lambda door: OnSqlalchemy(door, "sqlalchemy-psycopg"),
}


def failure(error: Exception) -> Record:
    """What a user sees: the SQLSTATE, and the driver's own name of it."""
    inner = error
    while isinstance(inner, sa.exc.DBAPIError) and inner.orig is not None:
        inner = inner.orig
    code = getattr(inner, "sqlstate", None) or getattr(inner.__cause__, "sqlstate", None)
    return {"error": code or "client", "class": type(error).__name__, "message": str(inner)[:300]}


async def carry_out(driver: str, steps: list[Step], doors: dict[str, Any]) -> list[Record]:
    """One scene, with sessions of its own."""
    sessions: dict[str, Any] = {}
    records = []
    for step in steps:
        who = step["who"]
        name = "heard_so_far" if step["op"] == "heard" else step["op"]
        try:
            if who not in sessions:
                session = DRIVERS[driver](doors["beside" if who == "beside" else "through"])
                await session.open()
                sessions[who] = session
            do = getattr(sessions[who], name, None)
            async with asyncio.timeout(60):
                records.append(await do(step) if do else {"unsupported": True})
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what a user sees
            records.append(failure(error))
            if isinstance(sessions.get(who), Asyncpg) and sessions[who].connection.is_closed():
                records[-1]["closed"] = True
                del sessions[who]
    for session in sessions.values():
        await session.close()
    return records


async def main(driver: str, script: dict[str, Any]) -> dict[str, list[Record]]:
    scenes: dict[str, list[Step]] = script["scenes"]
    return {name: await carry_out(driver, steps, script) for name, steps in scenes.items()}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], json.load(sys.stdin)))))
