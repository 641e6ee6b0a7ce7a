"""psycopg2 with its defaults, and the Lambda handler that keeps its connection."""

import contextlib
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import psycopg2.extras
import pytest

from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.work import assert_balanced, in_threads, make_book

HANDLERS = 12
HANDLER = """
import json, os, sys
from functools import lru_cache
import psycopg2

@lru_cache(maxsize=1)
def get_connection():
    return psycopg2.connect(
        host=os.environ["RDS_PROXY_HOST"],
        port=os.environ["RDS_PROXY_PORT"],
        database=os.environ["DATABASE_NAME"],
        user=os.environ["DATABASE_USER"],
        password=os.environ["DATABASE_PASSWORD"],
        sslmode="require",
    )

def handler(event, context):
    connection = get_connection()
    with connection:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO history (account, delta, client) VALUES (%s, 1, %s)",
                (event["account"], event["client"]),
            )
            cursor.execute(
                "UPDATE account SET balance = balance + 1 WHERE id = %s RETURNING balance",
                (event["account"],),
            )
            return {"balance": cursor.fetchone()[0]}

for line in sys.stdin:  # the next invocation, some time after the last
    print(json.dumps(handler(json.loads(line), None)), flush=True)
"""


@contextlib.contextmanager
def connect(forebay: Forebay, **options: str) -> Iterator[psycopg2.extensions.connection]:
    with contextlib.closing(psycopg2.connect(forebay.dsn(), **options)) as connection:
        yield connection


def test_a_transaction(forebay: Forebay) -> None:
    with connect(forebay) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE t (n int, s text, at timestamptz DEFAULT now())")
            cursor.executemany("INSERT INTO t VALUES (%s, %s)", [(1, "a"), (2, "ä'\\"), (3, None)])
        with connection, connection.cursor(cursor_factory=psycopg2.extras.DictCursor) as cursor:
            cursor.execute("SELECT n, s FROM t ORDER BY n")
            assert [tuple(row) for row in cursor] == [(1, "a"), (2, "ä'\\"), (3, None)]


def test_an_error_and_a_rollback(forebay: Forebay) -> None:
    with connect(forebay) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE t (n int PRIMARY KEY)")
        connection.commit()
        cursor.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(psycopg2.errors.UniqueViolation):
            cursor.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
            cursor.execute("SELECT 1")
        connection.rollback()
        cursor.execute("SELECT count(*) FROM t")
        assert cursor.fetchone() == (0,)


def test_more_clients_than_connections(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    forebay = start_forebay(postgres.port, database, pool=connections(3))
    make_book(forebay)
    clients, turns = 16, 15
    together = threading.Barrier(clients)

    def work(number: int) -> None:
        with connect(forebay) as connection:
            together.wait(60)
            for turn in range(turns):
                with connection, connection.cursor() as cursor:
                    account = 1 + (number + turn) % 10
                    cursor.execute("SELECT balance FROM account WHERE id = %s", (account,))
                    cursor.execute("INSERT INTO history VALUES (%s, 1, %s)", (account, number))
                    cursor.execute(
                        "UPDATE account SET balance = balance + 1 WHERE id = %s", (account,)
                    )
            if number == 0:
                assert len(seen.backends()) <= 3

    in_threads(clients, work)
    assert_balanced(forebay, clients * turns)


def test_a_server_side_cursor(forebay: Forebay) -> None:
    with connect(forebay) as connection, connection, connection.cursor("many") as cursor:
        cursor.itersize = 100
        cursor.execute("SELECT generate_series(1, 1000)")
        assert sum(number for (number,) in cursor) == 500_500


def test_a_cursor_that_outlives_its_transaction(forebay: Forebay) -> None:
    with connect(forebay) as connection:
        cursor = connection.cursor("held", withhold=True)
        cursor.execute("SELECT generate_series(1, 10)")
        assert cursor.fetchmany(2) == [(1,), (2,)]
        connection.commit()
        assert cursor.fetchmany(2) == [(3,), (4,)]
        cursor.close()


def test_copy(forebay: Forebay) -> None:
    lines = "".join(f"{number}\tline {number}\n" for number in range(50_000))
    with connect(forebay) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (n int, line text)")
        cursor.copy_expert("COPY t FROM STDIN", io.StringIO(lines))
        taken = io.StringIO()
        cursor.copy_expert("COPY (SELECT * FROM t ORDER BY n) TO STDOUT", taken)
        assert taken.getvalue() == lines


def test_a_large_value(forebay: Forebay) -> None:
    large = "x" * 20_000_000
    with connect(forebay) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT %s, length(%s)", (large, large))
        assert cursor.fetchone() == (large, len(large))


def test_notifications(forebay: Forebay) -> None:
    with connect(forebay) as listener, connect(forebay) as speaker:
        listener.autocommit = speaker.autocommit = True
        listener.cursor().execute("LISTEN news")
        speaker.cursor().execute("NOTIFY news, 'hot'")
        while not listener.notifies:
            listener.cursor().execute("SELECT 1")
        assert [(each.channel, each.payload) for each in listener.notifies] == [("news", "hot")]


def test_options_and_settings(forebay: Forebay) -> None:
    with connect(
        forebay, options="-c statement_timeout=12345 -c search_path=pg_catalog"
    ) as connection:
        cursor = connection.cursor()
        for name, value in {"statement_timeout": "12345ms", "search_path": "pg_catalog"}.items():
            cursor.execute(f"SHOW {name}")
            assert cursor.fetchone() == (value,)
        connection.rollback()
        connection.set_session(isolation_level="SERIALIZABLE", readonly=True)
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("serializable",)
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            cursor.execute("CREATE TABLE t ()")
        connection.rollback()
        connection.set_client_encoding("LATIN1")
        cursor.execute("SELECT 'ä'")
        assert cursor.fetchone() == ("ä",)


def test_two_phase_commit(start_forebay: type[Forebay], database: TestDatabase) -> None:
    with Postgres(settings={"max_prepared_transactions": 5}) as server:
        server.create_user(database.user, database.password)
        server.create_database(database.name, owner=database.user)
        forebay = start_forebay(server.port, database)
        with connect(forebay) as connection:
            connection.tpc_begin(connection.xid(1, "global", "branch"))
            connection.cursor().execute("CREATE TABLE t ()")
            connection.tpc_prepare()
            connection.tpc_commit()
            connection.cursor().execute("SELECT FROM t")


def test_lambda_handlers_that_keep_their_connection(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    forebay = start_forebay(postgres.port, database, pool=connections(4))
    make_book(forebay)
    handlers = [_start_handler(forebay) for _ in range(HANDLERS)]
    try:
        for turn in range(5):
            for number, handler in enumerate(handlers):  # all run at once, then all are idle
                assert handler.stdin is not None
                event = {"account": 1 + (turn + number) % 3, "client": number}
                handler.stdin.write(json.dumps(event) + "\n")
                handler.stdin.flush()
            for handler in handlers:
                assert handler.stdout is not None
                assert json.loads(handler.stdout.readline())["balance"] > 0
            seen.wait_until_quiet()
            assert len(seen.backends()) <= 4
    finally:
        for handler in handlers:
            _, err = handler.communicate(timeout=30)
            assert not err
    assert_balanced(forebay, 5 * HANDLERS)


def _start_handler(forebay: Forebay) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HANDLER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=forebay.environment(),
    )
