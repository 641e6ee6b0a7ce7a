"""Clients that begin a transaction and never end it: what log, DETAIL and HINT say of them."""

import json
import logging
import resource
import threading
from typing import Any

import psycopg2
import psycopg2.extensions
import pytest

from forebay.protocol.errors import PgError
from forebay.protocol.messages import query
from forebay.worker.pool import watch
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.inside import Inside
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.raw import RawClient
from tests.harness.work import in_threads

IN_TRANSACTION = psycopg2.extensions.TRANSACTION_STATUS_INTRANS
PLAIN = {"require_tls": False}
REFUSED = "for a database connection w(as|ere) refused after"


def logged(forebay: Forebay, pattern: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in forebay.logged(pattern)]


def test_a_hundred_functions_that_do_not_commit(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    """As of the handler with a cached connection of psycopg2, which begins a transaction with its
    SELECT: 40 get a connection and keep it."""
    forebay = start_forebay(
        postgres.port, database, proxy=PLAIN, pool=connections(40, connection_borrow_timeout=8)
    )
    kept: list[Any] = []
    errors: list[psycopg2.Error] = []
    together = threading.Barrier(60)

    def handle(number: int, others: bool = False) -> None:
        connection = psycopg2.connect(forebay.dsn(application_name=f"audit-{number}"))
        kept.append(connection)
        if others:
            together.wait(60)
        try:
            connection.cursor().execute("SELECT 1")
        except psycopg2.Error as error:
            errors.append(error)

    in_threads(40, handle)
    assert not errors
    in_threads(60, lambda number: handle(40 + number, others=True))
    assert len(errors) == 60
    for error in errors:
        assert error.pgcode == "08000"
        first, *named = error.diag.message_detail.splitlines()
        counted, _, waiting = first.partition("; ")
        assert counted == "All 40 database connections are held: 40 idle in transaction"
        assert 1 <= int(waiting.split()[0]) <= 60
        assert len(named) == 6
        for line in named[:5]:
            start = f'user "{database.user}", application "audit-'
            assert line.startswith(start)
            assert '": idle in transaction for ' in line
        assert named[5].startswith("... and 35 more (")
        assert named[5].count('of application "audit-') == 5  # each has a name of its own
        assert named[5].endswith(", ...).")
        assert error.diag.message_hint.startswith("Commit or roll back before a client goes idle")
    eventually(lambda: sum(each["count"] for each in logged(forebay, REFUSED)) == 60)
    refused = max(logged(forebay, REFUSED), key=lambda each: each["count"])
    assert (refused["level"], refused["sqlstate"]) == ("warning", "08000")
    assert refused["connections"]["states"] == {"idle in transaction": 40}
    assert len(refused["holders"]) == 5
    assert len(refused["refused"]) == min(5, refused["count"])
    (warning,) = logged(forebay, "clients wait for a database connection, the first for ")
    assert warning["level"] == "warning"
    assert "All 40 database connections are held: 40 idle in transaction" in warning["msg"]
    assert warning["waiting"]["clients"] == 60
    assert warning["waiting"]["first"]["user"] == database.user
    assert warning["hint"].startswith("Commit or roll back")
    (holder, *_) = warning["holders"]
    assert holder["client"].startswith("127.0.0.1:")
    assert holder["application_name"].startswith("audit-")
    assert holder["dbConnection"] in seen.backends()
    assert holder["state"] == "idle in transaction"
    # One lets go: who comes next is served.
    kept_first = next(each for each in kept if each.info.transaction_status == IN_TRANSACTION)
    kept_first.rollback()
    assert forebay.psql("SELECT 'served'").ok().rows == [("served",)]
    for connection in kept:
        connection.close()


def test_in_the_login(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(
        postgres.port, database, proxy=PLAIN, pool=connections(1, connection_borrow_timeout=0.3)
    )
    with RawClient(forebay.port, database) as holding:
        holding.query("BEGIN")
        with pytest.raises(PgError) as timed_out:
            # Nobody has had this setting yet: what the database reports for it must be asked.
            RawClient(forebay.port, database, {"DateStyle": "German"})
        assert timed_out.value.severity == "FATAL"
        assert "1 idle in transaction" in (timed_out.value.detail or "")
        eventually(lambda: [each["count"] for each in logged(forebay, REFUSED)] == [1])


def test_another_user_learns_only_how_many(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    other = TestDatabase(database.name, f"{database.user}_other", "secret")
    postgres.create_user(other.user, other.password)
    try:
        forebay = start_forebay(
            postgres.port,
            database,
            users={other.user: other.password},
            proxy=PLAIN,
            pool=connections(1, connection_borrow_timeout=0.5),
        )
        with (
            RawClient(forebay.port, database, {"application_name": "private"}) as holding,
            RawClient(forebay.port, other) as waiting,
        ):
            holding.query("BEGIN")
            with pytest.raises(PgError) as timed_out:
                waiting.query("SELECT 1")
            assert timed_out.value.detail == (
                "The only database connection is held, 1 of them by other users; 1 client is"
                " waiting."
            )
            (line,) = eventually(lambda: logged(forebay, REFUSED))
            assert line["holders"][0]["application_name"] == "private"
        forebay.stop()
    finally:
        postgres.sql(f"DROP ROLE {other.user}")


def test_the_way_out_that_the_hint_names(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(
        postgres.port,
        database,
        proxy=PLAIN,
        pool=connections(1, init_query="SET idle_in_transaction_session_timeout = '300ms'"),
    )
    with RawClient(forebay.port, database) as holding, RawClient(forebay.port, database) as waiting:
        holding.query("BEGIN")
        assert waiting.query("SELECT 1") == [["1"]]
        assert holding.until_end()[-1].fields["C"] == "25P03"


def test_who_comes_free_and_who_leaves_are_not_told_of(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(
        postgres.port, database, proxy=PLAIN, pool=connections(1, connection_borrow_timeout=30)
    )
    with RawClient(forebay.port, database) as holding, RawClient(forebay.port, database) as last:
        for _ in range(3):
            holding.query("BEGIN")
            leaving = RawClient(forebay.port, database)
            leaving.send(query("SELECT 1"))
            leaving.vanish()
            holding.query("COMMIT")
        assert last.query("SELECT 1") == [["1"]]
    assert not forebay.logged("refused after|clients? waits? for a database")


def test_idle_transactions_are_told(
    postgres: Postgres,
    database: TestDatabase,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watch, "IDLE_TRANSACTION_S", 0.5)
    with (
        caplog.at_level(logging.WARNING, "forebay.pool"),
        Inside(postgres.port, database) as inside,
        RawClient(inside.port, database, {"application_name": "forgetful"}) as client,
    ):
        client.query("BEGIN")
        client.query("SELECT 1")
        (line,) = eventually(
            lambda: [
                each.getMessage() for each in caplog.records if "been idle" in each.getMessage()
            ]
        )
        assert line.startswith("A transaction has been idle for 0.5 s or more: [dbConnection=")
        assert 'application "forgetful", client 127.0.0.1:' in line
        client.query("COMMIT")


def test_a_log_that_cannot_be_written(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    """A disk that is full, say: clients are told all the same, and served."""
    forebay = start_forebay(
        postgres.port, database, proxy=PLAIN, pool=connections(1, connection_borrow_timeout=1)
    )
    (worker,) = forebay.worker_pids
    unlimited = resource.prlimit(worker, resource.RLIMIT_FSIZE)
    with RawClient(forebay.port, database) as holding, RawClient(forebay.port, database) as waiting:
        holding.query("BEGIN")
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (0, unlimited[1]))
        for _ in range(2):
            with pytest.raises(PgError) as timed_out:
                waiting.query("SELECT 1")
            assert "1 idle in transaction" in (timed_out.value.detail or "")
        holding.query("COMMIT")
        assert waiting.query("SELECT 1") == [["1"]]
        resource.prlimit(worker, resource.RLIMIT_FSIZE, unlimited)
        holding.query("LISTEN news")
        forebay.wait_for_log("log lines were dropped")
        forebay.wait_for_log("was pinned")
    assert not forebay.logged("refused after")
