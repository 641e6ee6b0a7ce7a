"""asyncpg with its defaults: it prepares every statement, and resets a session with a query."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.work import assert_balanced, make_book


def options(forebay: Forebay) -> dict[str, Any]:
    context = ssl.create_default_context(cafile=str(forebay.ca_file))
    return {
        "host": forebay.host,
        "port": forebay.port,
        "user": forebay.database.user,
        "password": forebay.database.password,
        "database": forebay.database.name,
        "ssl": context,
        "timeout": 60,
        "command_timeout": 60,
    }


@contextlib.asynccontextmanager
async def connect(forebay: Forebay) -> AsyncIterator[asyncpg.Connection]:
    """A connection that is closed in the end, come what may."""
    connection = await asyncpg.connect(**options(forebay))
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


async def test_statements_and_the_cache(forebay: Forebay) -> None:
    async with connect(forebay) as connection:
        await connection.execute("CREATE TABLE t (n int, s text)")
        for number in range(3):
            await connection.execute("INSERT INTO t VALUES ($1, $2)", number, f"line {number}")
        assert await connection.fetchval("SELECT sum(n) FROM t") == 3
        rows = await connection.fetch("SELECT n, s FROM t WHERE n > $1 ORDER BY n", 0)
        assert [tuple(row) for row in rows] == [(1, "line 1"), (2, "line 2")]
        statement = await connection.prepare("SELECT $1::int * 2")
        assert [await statement.fetchval(number) for number in range(5)] == [0, 2, 4, 6, 8]
        await connection.executemany(
            "INSERT INTO t VALUES ($1, 'many')", [(n,) for n in range(100)]
        )
        assert await connection.fetchval("SELECT count(*) FROM t") == 103


async def test_transactions(forebay: Forebay) -> None:
    async with connect(forebay) as connection:
        await connection.execute("CREATE TABLE t (n int PRIMARY KEY)")
        async with connection.transaction(isolation="serializable"):
            await connection.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(asyncpg.UniqueViolationError):
                async with connection.transaction():
                    await connection.execute("INSERT INTO t VALUES (1)")
            await connection.execute("INSERT INTO t VALUES (2)")
            async for row in connection.cursor(
                "SELECT n FROM generate_series(1, 200) n", prefetch=50
            ):
                assert row["n"] > 0
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await connection.fetch("SELEC")
        assert await connection.fetchval("SELECT count(*) FROM t") == 2


async def test_a_pool_that_is_as_large_as_the_limit(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, pool=connections(4))
    make_book(forebay)
    async with asyncpg.create_pool(**options(forebay), min_size=2, max_size=4) as pool:

        async def work(number: int) -> None:
            for turn in range(6):
                async with pool.acquire() as connection, connection.transaction():
                    await connection.execute("SET application_name = 'changed'")
                    await connection.execute("INSERT INTO history VALUES ($1, 1, $2)", turn, number)
                    # UPDATE locks rows as it meets them: two sessions might in another order.
                    await connection.fetch("SELECT FROM account ORDER BY id FOR UPDATE")
                    await connection.execute("UPDATE account SET balance = balance + 1")

        async with asyncio.timeout(60):
            await asyncio.gather(*map(work, range(8)))
            assert await pool.fetchval("SHOW application_name") != "changed"
    found = forebay.psql("SELECT sum(balance), 10 * (SELECT count(*) FROM history) FROM account")
    assert found.ok().rows == [("480", "480")]


async def test_clients_that_come_and_go(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, pool=connections(3))
    make_book(forebay)

    async def work(number: int) -> None:
        for _ in range(2):
            async with connect(forebay) as connection, connection.transaction():
                await connection.execute("INSERT INTO history VALUES ($1, 1, 0)", number)
                await connection.execute("UPDATE account SET balance = balance + 1 WHERE id = 1")

    async with asyncio.timeout(60):
        await asyncio.gather(*map(work, range(12)))
    assert_balanced(forebay, 24)


async def test_server_settings_outlive_the_pools_reset(forebay: Forebay) -> None:
    settings = {
        "search_path": "pg_catalog",
        "application_name": "counted",
        "TimeZone": "Asia/Tokyo",
    }
    pool = asyncpg.create_pool(**options(forebay), min_size=1, max_size=1, server_settings=settings)
    async with pool:
        for _ in range(3):
            async with pool.acquire() as connection:
                found = {name: await connection.fetchval(f"SHOW {name}") for name in settings}
                assert found == settings
                assert connection.get_settings().TimeZone == "Asia/Tokyo"
                await connection.execute("SET search_path = public; SET TimeZone = 'Asia/Aden'")


async def test_copying(forebay: Forebay) -> None:
    async with connect(forebay) as connection:
        await connection.execute("CREATE TABLE t (n int, s text)")
        records = [(number, f"line {number}") for number in range(10_000)]
        assert await connection.copy_records_to_table("t", records=records) == "COPY 10000"
        taken: list[bytes] = []

        async def take(data: bytes) -> None:
            taken.append(data)

        assert await connection.copy_from_table("t", output=take) == "COPY 10000"
        assert b"".join(taken).count(b"\n") == 10_000
        await connection.execute("ALTER TABLE t ADD CHECK (n >= 0)")
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.copy_records_to_table("t", records=[*records, (-1, "never")])
        assert await connection.fetchval("SELECT count(*) FROM t") == 10_000


async def test_listening(forebay: Forebay) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with connect(forebay) as listener, connect(forebay) as speaker, asyncio.timeout(30):
        await listener.add_listener("news", lambda *said: heard.put_nowait(said[-1]))
        for number in range(3):
            await speaker.execute("SELECT pg_notify('news', $1)", str(number))
        assert [await heard.get() for _ in range(3)] == ["0", "1", "2"]


async def test_a_command_that_takes_too_long_is_cancelled(forebay: Forebay) -> None:
    async with connect(forebay) as connection:
        with pytest.raises(TimeoutError):
            await connection.execute("SELECT pg_sleep(60)", timeout=0.3)
        task = asyncio.ensure_future(connection.fetch("SELECT pg_sleep(60)"))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await connection.fetchval("SELECT 1") == 1
