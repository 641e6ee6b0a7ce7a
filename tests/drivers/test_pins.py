"""Stock drivers with their defaults share few connections among many clients: nothing pins but what
must.

With FOREBAY_TEST_FULL=1: 200 clients over 20 connections.
"""

import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import asyncpg
import psycopg
import psycopg2
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from forebay.demo.surroundings import clean_environment
from tests.drivers.test_asyncpg import options
from tests.drivers.test_sqlalchemy import asyncpg_url, url
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.work import assert_balanced, in_threads, make_book

FULL = os.environ.get("FOREBAY_TEST_FULL") == "1"
CLIENTS, LIMIT = (200, 20) if FULL else (40, 8)
TURNS = 6  # more than psycopg's prepare_threshold
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    """A Forebay with few connections, and the account book."""
    forebay = start_forebay(postgres.port, database, pool=connections(LIMIT))
    make_book(forebay)
    return forebay


def pins(forebay: Forebay) -> Counter[str]:
    """How often clients were pinned, by reason."""
    lines = forebay.logged("was pinned")
    reasons = (re.search(r'"reason":"(\w+)"', line) for line in lines)
    found = Counter(match[1] for match in reasons if match)
    assert found.total() == len(lines), lines
    return found


def test_psycopg2(forebay: Forebay, seen: Observer) -> None:
    together: list[psycopg2.extensions.connection] = []

    def work(number: int) -> None:
        connection = psycopg2.connect(forebay.dsn())
        together.append(connection)
        for turn in range(TURNS):
            with connection, connection.cursor() as cursor:
                cursor.execute("SET work_mem = '8MB'")
                cursor.execute("INSERT INTO history VALUES (%s, 1, %s)", (1 + turn, number))
                cursor.execute(
                    "UPDATE account SET balance = balance + 1 WHERE id = %s", (1 + turn,)
                )
        connection.set_session(isolation_level="SERIALIZABLE", autocommit=True)
        with connection.cursor() as cursor:
            cursor.execute("SHOW work_mem")
            assert cursor.fetchone() == ("8MB",)
        connection.reset()

    in_threads(CLIENTS, work, timeout_s=300)
    assert_balanced(forebay, CLIENTS * TURNS)
    assert len(seen.backends()) <= LIMIT
    assert len(together) == CLIENTS
    for connection in together:
        connection.close()
    assert pins(forebay) == {}


def test_psycopg(forebay: Forebay, seen: Observer) -> None:
    def work(number: int) -> None:
        with psycopg.connect(forebay.dsn()) as connection:
            for turn in range(TURNS):
                with connection.transaction():
                    connection.execute("INSERT INTO history VALUES (%s, 1, %s)", (1 + turn, number))
                    sql = "UPDATE account SET balance = balance + 1 WHERE id = %s"
                    connection.execute(sql, (1 + turn,))
            connection.execute("SET work_mem = '8MB'")
            connection.commit()
            assert connection.execute("SHOW work_mem").fetchone() == ("8MB",)
            connection.execute("DEALLOCATE ALL")

    in_threads(CLIENTS, work, timeout_s=300)
    assert_balanced(forebay, CLIENTS * TURNS)
    assert len(seen.backends()) <= LIMIT
    assert pins(forebay) == {}


async def test_asyncpg(forebay: Forebay, seen: Observer) -> None:
    async with (
        asyncio.timeout(300),
        asyncpg.create_pool(**options(forebay), min_size=CLIENTS, max_size=CLIENTS) as pool,
    ):

        async def work(number: int) -> None:
            for turn in range(TURNS):
                async with pool.acquire() as connection, connection.transaction():
                    await connection.execute("INSERT INTO history VALUES ($1, 1, $2)", turn, number)
                    sql = "UPDATE account SET balance = balance + 1 WHERE id = $1"
                    await connection.execute(sql, 1 + turn)
                    async for row in connection.cursor("SELECT id FROM account", prefetch=3):
                        assert row["id"]

        await asyncio.gather(*map(work, range(CLIENTS)))
    assert_balanced(forebay, CLIENTS * TURNS)
    assert len(seen.backends()) <= LIMIT
    assert pins(forebay) == {}


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_sqlalchemy(forebay: Forebay, seen: Observer, driver: str) -> None:
    engine = sa.create_engine(url(forebay, driver), pool_size=CLIENTS, pool_timeout=300)

    def work(number: int) -> None:
        for turn in range(TURNS):
            with engine.begin() as connection:
                given = {"id": 1 + turn, "client": number}
                connection.execute(sa.text("INSERT INTO history VALUES (:id, 1, :client)"), given)
                sql = "UPDATE account SET balance = balance + 1 WHERE id = :id"
                connection.execute(sa.text(sql), given)

    in_threads(CLIENTS, work, timeout_s=300)
    engine.dispose()
    assert_balanced(forebay, CLIENTS * TURNS)
    assert len(seen.backends()) <= LIMIT
    assert pins(forebay) == {}


async def test_sqlalchemy_on_asyncpg(forebay: Forebay, seen: Observer) -> None:
    address, given = asyncpg_url(forebay)
    engine = create_async_engine(address, pool_size=CLIENTS, pool_timeout=300, **given)

    async def work(number: int) -> None:
        for turn in range(TURNS):
            async with engine.begin() as connection:
                values = {"id": 1 + turn, "client": number}
                await connection.execute(
                    sa.text("INSERT INTO history VALUES (:id, 1, :client)"), values
                )
                sql = "UPDATE account SET balance = balance + 1 WHERE id = :id"
                await connection.execute(sa.text(sql), values)

    async with asyncio.timeout(300):
        await asyncio.gather(*map(work, range(CLIENTS)))
    await engine.dispose()
    assert_balanced(forebay, CLIENTS * TURNS)
    assert len(seen.backends()) <= LIMIT
    assert pins(forebay) == {}


@pytest.mark.parametrize("protocol", ["simple", "extended", "prepared"])
def test_pgbench(forebay: Forebay, seen: Observer, protocol: str) -> None:
    forebay.pgbench("--initialize", "--quiet").ok()
    finished = forebay.pgbench(
        f"--protocol={protocol}",
        "--no-vacuum",
        f"--client={CLIENTS}",
        "--transactions=8",
        "--select-only",
        timeout_s=300,
    )
    assert finished.ok().transactions == 8 * CLIENTS
    assert len(seen.backends()) <= LIMIT
    assert pins(forebay) == {}


DJANGO_WAYS = {
    "persistent": {"CONN_MAX_AGE": None},
    "server-side binding": {"CONN_MAX_AGE": None, "OPTIONS": {"server_side_binding": True}},
    "pool": {"OPTIONS": {"pool": {"min_size": 1, "max_size": CLIENTS // 4, "timeout": 300}}},
}


@pytest.mark.parametrize("way", DJANGO_WAYS)
def test_django(forebay: Forebay, seen: Observer, way: str) -> None:
    """Views in threads; .iterator() outside a transaction declares a cursor WITH HOLD."""
    django(forebay, way, "work")
    assert_balanced(forebay, CLIENTS * TURNS)
    assert len(seen.backends()) <= LIMIT
    assert pins(forebay) == {}
    django(forebay, way, "iterate")
    assert set(pins(forebay)) == {"CURSOR"}
    assert len(forebay.logged("no longer pinned")) == pins(forebay)["CURSOR"]


def django(forebay: Forebay, way: str, task: str) -> None:
    """Runs a task of this module in a process of its own: Django is configured once a process."""
    environment = clean_environment() | {
        "RDS_PROXY_HOST": forebay.host,
        "RDS_PROXY_PORT": str(forebay.port),
        "DATABASE_NAME": forebay.database.name,
        "DATABASE_USER": forebay.database.user,
        "DATABASE_PASSWORD": forebay.database.password,
    }
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.drivers.test_pins", way, task],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def _django_task(way: str, task: str) -> None:
    import django as framework
    from django.conf import settings

    from tests.drivers import django_settings

    database = django_settings.DATABASES["default"]
    given = dict(DJANGO_WAYS[way])
    choices = {**database["OPTIONS"], **given.pop("OPTIONS", {})}
    settings.configure(
        DATABASES={"default": {**database, **given, "OPTIONS": choices}},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        USE_TZ=True,
        SECRET_KEY="not one",
    )
    framework.setup()
    from django.contrib.contenttypes.models import ContentType
    from django.db import connection, transaction

    def work(number: int) -> None:
        for turn in range(TURNS):
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("INSERT INTO history VALUES (%s, 1, %s)", [1 + turn, number])
                sql = "UPDATE account SET balance = balance + 1 WHERE id = %s"
                cursor.execute(sql, [1 + turn])
            if way == "pool":
                connection.close()  # gives it back, as at the end of each request
        if way == "pool":
            return
        connection.close()

    if task == "work":
        in_threads(CLIENTS, work, timeout_s=300)
    else:
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        rows = ContentType.objects.order_by("pk").iterator(chunk_size=2)
        assert len(list(rows)) == ContentType.objects.count() > 2
        with transaction.atomic():
            assert len(list(ContentType.objects.iterator(chunk_size=2))) > 2
    if way == "pool":
        connection.close_pool()
    else:
        connection.close()


if __name__ == "__main__":
    _django_task(*sys.argv[1:])
