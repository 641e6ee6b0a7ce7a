"""psycopg 3 with its defaults: plain, asynchronous, pipelined, pooled."""

import asyncio
import threading

import psycopg
import psycopg_pool
import pytest
from psycopg import sql

from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.work import assert_balanced, in_threads, make_book


def test_a_transaction_with_savepoints(forebay: Forebay) -> None:
    with psycopg.connect(forebay.dsn()) as connection:
        connection.execute("CREATE TABLE t (n int PRIMARY KEY)")
        with connection.transaction():
            connection.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
                connection.execute("INSERT INTO t VALUES (2)")
                connection.execute("INSERT INTO t VALUES (1)")
            connection.execute("INSERT INTO t VALUES (%s)", [3])
        assert connection.execute("SELECT n FROM t ORDER BY n").fetchall() == [(1,), (3,)]


def test_types_in_both_formats(forebay: Forebay) -> None:
    with psycopg.connect(forebay.dsn()) as connection:
        for binary in (False, True):
            with connection.cursor(binary=binary) as cursor:
                given = [1, 2.5, "ä", b"\0\xff", [1, None], None, True]
                cursor.execute(
                    "SELECT %s::int, %s::float8, %s::text, %s::bytea, %s::int[], %s::date,"
                    " %s::bool",
                    given,
                )
                assert cursor.fetchone() == tuple(given)


def test_statements_are_prepared_after_five_executions(forebay: Forebay) -> None:
    with psycopg.connect(forebay.dsn(), autocommit=True) as connection:
        for number in range(12):
            assert connection.execute("SELECT %s::int + 1", [number]).fetchone() == (number + 1,)
        (prepared,) = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
        assert prepared == 1


def test_prepared_statements_of_many_clients(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, pool=connections(4))
    make_book(forebay)

    def work(number: int) -> None:
        for _ in range(2):
            with psycopg.connect(forebay.dsn()) as connection:
                for _ in range(8):  # psycopg prepares from the sixth on
                    with connection.transaction():
                        connection.execute("INSERT INTO history VALUES (%s, 1, %s)", [1, number])
                        connection.execute("UPDATE account SET balance = balance + 1 WHERE id = 1")

    in_threads(12, work)
    assert_balanced(forebay, 12 * 2 * 8)


def test_more_clients_than_connections(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, pool=connections(3))
    make_book(forebay)
    together = threading.Barrier(12)

    def work(number: int) -> None:
        with psycopg.connect(forebay.dsn()) as connection:
            together.wait(60)
            for turn in range(4):
                with connection.transaction():
                    connection.execute("INSERT INTO history VALUES (%s, 1, %s)", [turn, number])
                    connection.execute("UPDATE account SET balance = balance + 1 WHERE id = 1")

    in_threads(12, work)
    assert_balanced(forebay, 12 * 4)


def test_a_pipeline(forebay: Forebay) -> None:
    with psycopg.connect(forebay.dsn()) as connection:
        connection.execute("CREATE TABLE t (n int)")
        connection.commit()
        with connection.pipeline() as pipeline:
            cursors = [connection.execute("SELECT %s::int", [number]) for number in range(50)]
            connection.execute("INSERT INTO t SELECT generate_series(1, 10)")
            pipeline.sync()
            cursors += [connection.execute("SELECT count(*) FROM t")]
        assert [cursor.fetchone() for cursor in cursors] == [(n,) for n in [*range(50), 10]]
        connection.commit()
        with pytest.raises(psycopg.errors.DivisionByZero), connection.pipeline():
            connection.execute("INSERT INTO t VALUES (11)")
            connection.execute("SELECT 1/0")
            connection.execute("INSERT INTO t VALUES (12)")
        connection.rollback()
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (10,)


def test_executemany_and_returning(forebay: Forebay) -> None:
    with psycopg.connect(forebay.dsn()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id serial, n int)")
        cursor.executemany(
            "INSERT INTO t (n) VALUES (%s) RETURNING n", [(n,) for n in range(100)], returning=True
        )
        returned = [cursor.fetchone()]
        while cursor.nextset():
            returned.append(cursor.fetchone())
        assert returned == [(n,) for n in range(100)]


def test_a_server_side_cursor(forebay: Forebay) -> None:
    with psycopg.connect(forebay.dsn()) as connection:
        with connection.cursor("many") as cursor:
            cursor.itersize = 50
            cursor.execute("SELECT generate_series(1, %s)", [500])
            assert sum(number for (number,) in cursor) == 125_250
        with connection.cursor("scrolled", scrollable=True, withhold=True) as cursor:
            cursor.execute("SELECT generate_series(1, 10)")
            connection.commit()
            cursor.scroll(5)
            assert cursor.fetchone() == (6,)


def test_rows_that_are_streamed(forebay: Forebay) -> None:
    with psycopg.connect(forebay.dsn()) as connection, connection.cursor() as cursor:
        rows = cursor.stream("SELECT n, repeat('x', 100) FROM generate_series(1, 20000) n")
        assert sum(number for number, _ in rows) == 200_010_000
        rows = cursor.stream("SELECT generate_series(1, 1000000)")
        next(iter(rows))
        rows.close()  # psycopg cancels what is left
        connection.rollback()
        assert cursor.execute("SELECT 1").fetchone() == (1,)


def test_copy(forebay: Forebay) -> None:
    with psycopg.connect(forebay.dsn()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (n int, line text)")
        for form in ("", " (FORMAT binary)"):
            cursor.execute("TRUNCATE t")
            with cursor.copy(sql.SQL("COPY t FROM STDIN" + form)) as copy:
                if form:
                    copy.set_types(["int4", "text"])
                for number in range(5000):
                    copy.write_row((number, f"line {number}"))
            with cursor.copy(sql.SQL("COPY t TO STDOUT" + form)) as copy:
                copy.set_types(["int4", "text"])
                assert sum(number for number, _ in copy.rows()) == 12_497_500
        with pytest.raises(ZeroDivisionError), cursor.copy("COPY t FROM STDIN") as copy:
            copy.write_row((1, "not kept"))
            raise ZeroDivisionError
        connection.rollback()
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            with cursor.copy("COPY (SELECT 1) TO STDOUT") as copy:
                list(copy)
            cursor.execute("SELECT 'x'::int")
        connection.rollback()
        assert cursor.execute("SELECT 1").fetchone() == (1,)


def test_a_pool(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> None:
    forebay = start_forebay(postgres.port, database, pool=connections(3))
    make_book(forebay)
    with psycopg_pool.ConnectionPool(forebay.dsn(), min_size=3, max_size=3) as pool:

        def work(number: int) -> None:
            for _ in range(8):
                with pool.connection() as connection:
                    connection.execute("INSERT INTO history VALUES (1, 1, %s)", [number])
                    connection.execute("UPDATE account SET balance = balance + 1 WHERE id = 1")

        in_threads(10, work)
    assert_balanced(forebay, 80)


def test_cancelling(forebay: Forebay) -> None:
    with psycopg.connect(forebay.dsn()) as connection:
        for cancel in (connection.cancel, connection.cancel_safe):
            timer = threading.Timer(0.2, cancel)
            timer.start()
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute("SELECT pg_sleep(60)")
            timer.join()
            connection.rollback()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_notices_and_notifications(forebay: Forebay) -> None:
    with psycopg.connect(forebay.dsn(), autocommit=True) as connection:
        notices: list[str | None] = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        connection.execute("DO $$ BEGIN RAISE NOTICE 'hello'; END $$")
        assert notices == ["hello"]
        connection.execute("LISTEN news")
        with psycopg.connect(forebay.dsn(), autocommit=True) as speaker:
            speaker.execute("NOTIFY news, 'hot'")
        (heard,) = connection.notifies(timeout=30, stop_after=1)
        assert (heard.channel, heard.payload) == ("news", "hot")


def test_time_zone_is_known_to_the_client(forebay: Forebay) -> None:
    with psycopg.connect(forebay.dsn(), options="-c TimeZone=Asia/Tokyo") as connection:
        assert connection.info.timezone.key == "Asia/Tokyo"
        (at,) = connection.execute("SELECT '2026-01-02 03:04+09'::timestamptz").fetchone()
        assert at.isoformat() == "2026-01-02T03:04:00+09:00"
        connection.execute("SET TimeZone = 'America/Lima'")
        assert connection.info.timezone.key == "America/Lima"


async def test_asynchronous_clients(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, pool=connections(3))
    make_book(forebay)

    async def work(number: int) -> None:
        async with await psycopg.AsyncConnection.connect(forebay.dsn()) as connection:
            for turn in range(4):
                async with connection.transaction():
                    await connection.execute("INSERT INTO history VALUES (%s, 1, 0)", [turn])
                    await connection.execute(
                        "UPDATE account SET balance = balance + 1 WHERE id = %s", [1 + number]
                    )

    async with asyncio.timeout(60):
        await asyncio.gather(*(work(number) for number in range(10)))
    assert_balanced(forebay, 40)


async def test_an_asynchronous_pool_and_pipeline(forebay: Forebay) -> None:
    async with psycopg_pool.AsyncConnectionPool(
        forebay.dsn(), min_size=1, max_size=4, open=False
    ) as pool:

        async def work(number: int) -> int:
            async with pool.connection() as connection, connection.pipeline():
                cursors = [await connection.execute("SELECT %s::int", [number]) for _ in range(8)]
                return sum([(await cursor.fetchone())[0] for cursor in cursors])

        async with asyncio.timeout(60):
            assert await asyncio.gather(*map(work, range(12))) == [8 * n for n in range(12)]
