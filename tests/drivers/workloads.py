"""The same work done by many clients of each driver at once: entries in the account book.

``WORKLOADS[name](forebay, count)`` has so many clients connect with the driver's defaults, and
begin when all have; each makes `TURNS` entries in transactions and uses what its driver is known
for. All have left when it returns.
"""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import psycopg2
import sqlalchemy as sa

from tests.drivers.test_asyncpg import options
from tests.drivers.test_sqlalchemy import engine_on, engine_on_asyncpg
from tests.harness import Forebay
from tests.harness.work import assert_balanced, in_threads

TURNS = 6  # more than psycopg's prepare_threshold
TIMEOUT_S = 300.0
ROOT = Path(__file__).parents[2]
Workload = Callable[[Forebay, int], None]


def in_psycopg2(forebay: Forebay, count: int) -> None:
    together = threading.Barrier(count)

    def work(number: int) -> None:
        connection = psycopg2.connect(forebay.dsn())
        try:
            together.wait(TIMEOUT_S)
            for turn in range(TURNS):
                with connection, connection.cursor() as cursor:
                    cursor.execute("SET work_mem = '8MB'")
                    cursor.execute("INSERT INTO history VALUES (%s, 1, %s)", (1 + turn, number))
                    sql = "UPDATE account SET balance = balance + 1 WHERE id = %s"
                    cursor.execute(sql, (1 + turn,))
            connection.set_session(isolation_level="SERIALIZABLE", autocommit=True)
            with connection.cursor() as cursor:
                cursor.execute("SHOW work_mem")
                assert cursor.fetchone() == ("8MB",)
            connection.reset()
        finally:
            connection.close()

    in_threads(count, work, timeout_s=TIMEOUT_S)


def in_psycopg(forebay: Forebay, count: int) -> None:
    together = threading.Barrier(count)

    def work(number: int) -> None:
        with psycopg.connect(forebay.dsn()) as connection:
            together.wait(TIMEOUT_S)
            for turn in range(TURNS):
                with connection.transaction():
                    connection.execute("INSERT INTO history VALUES (%s, 1, %s)", (1 + turn, number))
                    sql = "UPDATE account SET balance = balance + 1 WHERE id = %s"
                    connection.execute(sql, (1 + turn,))
            connection.execute("SET work_mem = '8MB'")
            connection.commit()
            assert connection.execute("SHOW work_mem").fetchone() == ("8MB",)
            connection.execute("DEALLOCATE ALL")

    in_threads(count, work, timeout_s=TIMEOUT_S)


def in_asyncpg(forebay: Forebay, count: int, cached: bool = True) -> None:
    """In its pool, which resets a session when it comes back. Without its cache of statements,
    asyncpg names none, but for those of its cursors."""
    given = {} if cached else {"statement_cache_size": 0}

    async def work(number: int, pool: asyncpg.Pool) -> None:
        for turn in range(TURNS):
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("INSERT INTO history VALUES ($1, 1, $2)", turn, number)
                sql = "UPDATE account SET balance = balance + 1 WHERE id = $1"
                await connection.execute(sql, 1 + turn)
                if cached:
                    async for row in connection.cursor("SELECT id FROM account", prefetch=3):
                        assert row["id"]

    async def main() -> None:
        sizes = {"min_size": count, "max_size": count}
        async with (
            asyncio.timeout(TIMEOUT_S),
            asyncpg.create_pool(**options(forebay), **sizes, **given) as pool,
        ):
            await asyncio.gather(*(work(number, pool) for number in range(count)))

    asyncio.run(main())


INSERT = sa.text("INSERT INTO history VALUES (:id, 1, :client)")
UPDATE = sa.text("UPDATE account SET balance = balance + 1 WHERE id = :id")


def in_sqlalchemy(forebay: Forebay, count: int, driver: str) -> None:
    together = threading.Barrier(count)

    with engine_on(forebay, driver, pool_size=count, pool_timeout=TIMEOUT_S) as engine:

        def work(number: int) -> None:
            with engine.connect() as connection:
                together.wait(TIMEOUT_S)
                for turn in range(TURNS):
                    with connection.begin():
                        connection.execute(INSERT, {"id": 1 + turn, "client": number})
                        connection.execute(UPDATE, {"id": 1 + turn})

        in_threads(count, work, timeout_s=TIMEOUT_S)


def in_sqlalchemy_on_asyncpg(forebay: Forebay, count: int) -> None:
    async def main() -> None:
        together = asyncio.Barrier(count)
        async with (
            asyncio.timeout(TIMEOUT_S),
            engine_on_asyncpg(forebay, pool_size=count, pool_timeout=TIMEOUT_S) as engine,
        ):

            async def work(number: int) -> None:
                async with engine.connect() as connection:
                    await together.wait()
                    for turn in range(TURNS):
                        async with connection.begin():
                            await connection.execute(INSERT, {"id": 1 + turn, "client": number})
                            await connection.execute(UPDATE, {"id": 1 + turn})

            await asyncio.gather(*map(work, range(count)))

    asyncio.run(main())


def in_pgbench(forebay: Forebay, count: int, protocol: str) -> None:
    forebay.pgbench("--initialize", "--quiet").ok()
    finished = forebay.pgbench(
        f"--protocol={protocol}",
        "--no-vacuum",
        f"--client={count}",
        "--transactions=8",
        "--select-only",
        timeout_s=TIMEOUT_S,
    )
    assert finished.ok().transactions == 8 * count


DJANGO_WAYS: dict[str, dict[str, Any]] = {
    "persistent": {"CONN_MAX_AGE": None},
    "server-side binding": {"CONN_MAX_AGE": None, "OPTIONS": {"server_side_binding": True}},
    "pool": {"OPTIONS": {"pool": {"min_size": 1, "timeout": TIMEOUT_S}}},
}


def in_django(forebay: Forebay, count: int, way: str, task: str = "book") -> None:
    """A task of `django_ways` in a process of its own: Django is configured once a process."""
    module = ["-W", "error", "-m", "tests.drivers.django_ways", way, task, str(count)]
    finished = subprocess.run(
        [sys.executable, *module],
        cwd=ROOT,
        env=forebay.environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


WORKLOADS: dict[str, Workload] = {
    "psycopg2": in_psycopg2,
    "psycopg": in_psycopg,
    "asyncpg": in_asyncpg,
    "asyncpg without its cache": partial(in_asyncpg, cached=False),
    "SQLAlchemy on psycopg2": partial(in_sqlalchemy, driver="psycopg2"),
    "SQLAlchemy on psycopg": partial(in_sqlalchemy, driver="psycopg"),
    "SQLAlchemy on asyncpg": in_sqlalchemy_on_asyncpg,
    "pgbench simple": partial(in_pgbench, protocol="simple"),
    "pgbench extended": partial(in_pgbench, protocol="extended"),
    "pgbench prepared": partial(in_pgbench, protocol="prepared"),
    **{f"Django, {way}": partial(in_django, way=way) for way in DJANGO_WAYS},
}


def assert_done(forebay: Forebay, count: int, name: str) -> None:
    """The book balances, with all entries that so many clients of a workload make."""
    assert_balanced(forebay, 0 if name.startswith("pgbench") else count * TURNS)
