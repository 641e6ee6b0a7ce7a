"""query_timeout and idle_transaction_timeout, with a real PostgreSQL and drivers."""

import time

import asyncpg
import psycopg
import pytest

from forebay.protocol.messages import message, query
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.raw import RawClient

PLAIN = {"require_tls": False}
CANCELED = "canceling statement due to user request"
# What does not end when it is cancelled.
STUBBORN = """DO $$ BEGIN
    PERFORM pg_sleep(60);
EXCEPTION WHEN query_canceled THEN
    PERFORM pg_sleep(60);
END $$"""


def after(duration_s: float) -> None:
    """Returns when so much time has passed."""
    began_at = time.monotonic()
    eventually(lambda: time.monotonic() - began_at > duration_s)


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    """One connection; requests may take half a second."""
    pool = connections(1, query_timeout=0.5)
    target = {"database": database.name}
    return start_forebay(postgres.port, database, proxy=PLAIN, target=target, pool=pool)


def test_a_request_is_cancelled_and_the_session_goes_on(forebay: Forebay) -> None:
    with psycopg.connect(forebay.dsn()) as connection:
        with pytest.raises(psycopg.errors.QueryCanceled, match=CANCELED):
            connection.execute("SELECT pg_sleep(60)")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()
        pid = connection.execute("SELECT pg_backend_pid()").fetchone()
        connection.rollback()
        assert connection.execute("SELECT pg_backend_pid()").fetchone() == pid
    forebay.wait_for_log("Requests are cancelled, as query_timeout is over: ")


async def test_with_asyncpg_and_prepared_statements(
    forebay: Forebay, database: TestDatabase
) -> None:
    connection = await asyncpg.connect(
        host=forebay.host,
        port=forebay.port,
        user=database.user,
        password=database.password,
        database=database.name,
        ssl=False,
    )
    try:
        with pytest.raises(asyncpg.QueryCanceledError, match=CANCELED):
            await connection.fetchval("SELECT pg_sleep($1)", 60)
        assert await connection.fetchval("SELECT $1::int", 7) == 7
    finally:
        await connection.close()


def test_waiting_for_a_connection_does_not_count(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as holding, RawClient(forebay.port, database) as waiting:
        holding.query("BEGIN")
        waiting.send(query("SELECT pg_sleep(0.1)"))
        after(1.5)
        holding.query("COMMIT")
        assert [each.kind for each in waiting.until("Z")] == list("TDCZ")


def test_nor_does_a_transaction_that_is_idle(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as client:
        client.query("BEGIN")
        after(1.5)
        assert client.query("SELECT 1") == [["1"]]
        client.query("COMMIT")


def test_each_request_of_a_pipeline_has_its_own_time(
    forebay: Forebay, database: TestDatabase
) -> None:
    with RawClient(forebay.port, database) as client:
        client.send(query("SELECT pg_sleep(0.2)") * 5 + query("SELECT pg_sleep(60)"))
        found = [each.kind for each in client.until("Z", 6)]
        assert found == list("TDCZ" * 5 + "TEZ")
        assert client.query("SELECT 1") == [["1"]]


def test_the_data_of_a_copy_count(forebay: Forebay, database: TestDatabase) -> None:
    """The database hears of the cancelling with the next data."""
    forebay.psql("CREATE TABLE t (n int)").ok()
    with RawClient(forebay.port, database) as client:
        client.send(query("COPY t FROM STDIN"))
        client.until("G")
        forebay.wait_for_log("Requests are cancelled")
        after(6)  # longer than a request may go on that does not wait for its client
        client.send(message(b"d", b"1\n") + message(b"c", b""))
        *_, error, _ = client.until("Z")
        assert error.fields["C"] == "57014"
        assert client.query("SELECT count(*) FROM t") == [["0"]]


def test_a_result_that_is_read_slowly_counts(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as client:
        client.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 300000)"))
        forebay.wait_for_log("Requests are cancelled")
        after(6)
        *rows, error, _ = client.until("Z")
        assert len(rows) < 300_000
        assert error.fields["C"] == "57014"
        assert client.query("SELECT 1") == [["1"]]


def test_a_request_that_does_not_end_costs_the_connection(
    forebay: Forebay, database: TestDatabase, seen: Observer
) -> None:
    with RawClient(forebay.port, database) as client, RawClient(forebay.port, database) as other:
        client.send(query(STUBBORN))
        (error,) = client.until_end()
        assert (error.fields["S"], error.fields["C"]) == ("FATAL", "57014")
        assert error.fields["M"] == "query timeout"
        assert other.query("SELECT 1") == [["1"]]
    forebay.wait_for_log("Requests did not end when they were cancelled")


def test_an_idle_transaction_ends_with_its_client(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    pool = connections(1, idle_transaction_timeout=0.5)
    target = {"database": database.name}
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, target=target, pool=pool)
    forebay.psql("CREATE TABLE t (n int)").ok()
    with RawClient(forebay.port, database) as other:
        pid = other.query("SELECT pg_backend_pid()")
        connection = psycopg.connect(forebay.dsn())
        connection.execute("INSERT INTO t VALUES (1)")
        eventually(lambda: not seen.backends("state = 'idle in transaction'"), "rolled back")
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout) as ended:
            connection.execute("SELECT 1")
        assert ended.value.diag.message_primary == "idle transaction timeout"
        connection.close()
        assert other.query("SELECT count(*) FROM t") == [["0"]]
        assert other.query("SELECT pg_backend_pid()") == pid, "the connection goes on"
    forebay.wait_for_log("Clients are ended, as idle_transaction_timeout is over: ")


def test_who_is_busy_or_pinned_outside_a_transaction_is_not_idle_in_one(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    pool = {"idle_transaction_timeout": 0.5}
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=pool)
    with RawClient(forebay.port, database) as pinned, RawClient(forebay.port, database) as busy:
        pinned.query("LISTEN news")
        busy.query("BEGIN")
        busy.query("SELECT pg_sleep(1.5)")
        busy.query("COMMIT")
        pinned.query("NOTIFY news")
        assert pinned.query("SELECT 1") == [["1"]]


def test_the_user_s_own_timeout_holds_and_changes(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    own = {"users": {database.user: {"query_timeout": 0}}}
    forebay = start_forebay(
        postgres.port, database, proxy={**PLAIN, **own}, pool={"query_timeout": 0.3}
    )
    with psycopg.connect(forebay.dsn(), autocommit=True) as connection:
        connection.execute("SELECT pg_sleep(1)")
        forebay.reload(proxy={"users": {}})
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(60)")
        forebay.reload(proxy={"databases": {database.name: {"query_timeout": 30}}})
        connection.execute("SELECT pg_sleep(1)")
