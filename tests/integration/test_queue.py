"""Waiting for a connection: in order, for so long, and what those are told who wait in vain."""

import threading
import time

import psycopg
import psycopg2
import pytest

from forebay.protocol.errors import PgError
from forebay.protocol.messages import query, sync
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.raw import RawClient, run
from tests.harness.work import in_threads

PLAIN = {"require_tls": False}
TIMED_OUT = "Timed-out waiting to acquire database connection."


def start_small(
    start: type[Forebay], postgres: Postgres, database: TestDatabase, **pool: object
) -> Forebay:
    """A Forebay with a single connection."""
    return start(
        postgres.port,
        database,
        proxy=PLAIN,
        target={"database": database.name},
        pool=connections(1, **pool),
    )


def test_the_borrow_timeout_in_a_session(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_small(start_forebay, postgres, database, connection_borrow_timeout=0.3)
    with (
        psycopg.connect(forebay.dsn(), autocommit=True) as waiting,
        psycopg.connect(forebay.dsn()) as holding,
    ):
        waiting.execute("SELECT 1")
        holding.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match=TIMED_OUT) as timed_out:
            waiting.execute("SELECT 2")
        assert timed_out.value.sqlstate == "08000"
        assert timed_out.value.diag.severity == "ERROR"
        holding.rollback()
        assert waiting.execute("SELECT 3").fetchone() == (3,)  # the session goes on


def test_the_borrow_timeout_in_each_form_of_asking(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_small(start_forebay, postgres, database, connection_borrow_timeout=0.2)
    with RawClient(forebay.port, database) as holding, RawClient(forebay.port, database) as waiting:
        holding.query("BEGIN")
        assert _kinds(waiting, query("SELECT 1; SELECT 2")) == "EZ"
        assert _kinds(waiting, run("SELECT 1") + run("SELECT 2") + sync()) == "EZ"
        # Everything up to the Sync belongs to what failed; what follows has its own chance.
        assert _kinds(waiting, run("SELECT 1") + sync() + query("SELECT 1"), 2) == "EZEZ"
        holding.query("COMMIT")
        assert _kinds(waiting, run("SELECT 1") + sync()) == "12TDCZ"


def test_the_borrow_timeout_in_the_login(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(
        postgres.port, database, proxy=PLAIN, pool=connections(1, connection_borrow_timeout=0.3)
    )
    with RawClient(forebay.port, database) as holding:
        holding.query("BEGIN")
        with pytest.raises(psycopg2.OperationalError) as timed_out:
            # Nobody has had this setting yet: what the database reports for it must be asked.
            psycopg2.connect(forebay.dsn(), options="-c DateStyle=German")
        assert f"FATAL:  {TIMED_OUT}" in str(timed_out.value)


def test_no_patience_at_all(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_small(start_forebay, postgres, database, connection_borrow_timeout=0)
    with RawClient(forebay.port, database) as holding, RawClient(forebay.port, database) as waiting:
        for _ in range(3):
            holding.query("BEGIN")
            with pytest.raises(PgError, match=TIMED_OUT):
                waiting.query("SELECT 1")
            holding.query("COMMIT")
            assert waiting.query("SELECT 1") == [["1"]]


def test_without_patience_connections_are_opened_all_the_same(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    pool = connections(5, connection_borrow_timeout=0)
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=pool)
    with RawClient(forebay.port, database) as one, RawClient(forebay.port, database) as other:
        one.query("BEGIN")
        other.query("BEGIN")


def test_first_come_first_served(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_small(start_forebay, postgres, database)
    forebay.psql("CREATE TABLE served (place serial, client int)").ok()
    with RawClient(forebay.port, database) as holding:
        clients = [RawClient(forebay.port, database) for _ in range(12)]
        holding.query("BEGIN")
        for number, client in enumerate(clients):
            client.send(query(f"INSERT INTO served (client) VALUES ({number})"))
            _settle(forebay, database)
        holding.query("COMMIT")
        for client in clients:
            client.until("Z")
            client.leave()
        rows = holding.query("SELECT client FROM served ORDER BY place")
    assert [int(client or -1) for (client,) in rows] == list(range(12))


def test_a_burst_is_served_and_nobody_is_refused(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(3))
    together = threading.Barrier(60)

    def work(number: int) -> None:
        with RawClient(forebay.port, database) as client:
            together.wait(60)
            for _ in range(5):
                assert client.query(f"SELECT {number}") == [[str(number)]]

    in_threads(60, work)
    assert len(seen.backends()) <= 3


def test_those_who_leave_while_they_wait_are_forgotten(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_small(start_forebay, postgres, database)
    forebay.psql("CREATE TABLE t (n int)").ok()
    with RawClient(forebay.port, database) as holding, RawClient(forebay.port, database) as last:
        holding.query("BEGIN")
        for number in range(10):
            client = RawClient(forebay.port, database)
            client.send(query(f"INSERT INTO t VALUES ({number})"))
            client.vanish()
        last.send(query("SELECT 'mine'"))
        holding.query("COMMIT")
        assert [each.row for each in last.until("Z") if each.kind == "D"] == [["mine"]]


def test_the_queue_is_bounded(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_small(start_forebay, postgres, database, max_waiting_clients=2)
    with RawClient(forebay.port, database) as holding:
        holding.query("BEGIN")
        clients = [RawClient(forebay.port, database) for _ in range(3)]
        for client in clients:
            client.send(query("SELECT 1"))
            _settle(forebay, database)
        *_, error, _ready = clients[2].until("Z")
        assert error.fields["C"] == "53300"
        holding.query("COMMIT")
        for client in clients[:2]:
            assert [each.kind for each in client.until("Z")] == list("TDCZ")
        for client in clients:
            assert client.query("SELECT 2") == [["2"]]
            client.leave()


def test_users_and_databases_make_room_for_each_other(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    other = TestDatabase(f"{database.name}_other", f"{database.user}_other", "secret")
    postgres.create_user(other.user, other.password)
    postgres.create_database(other.name, owner=other.user)
    postgres.sql(f"GRANT ALL ON DATABASE {other.name} TO {database.user}")
    places = [
        database,
        other,
        TestDatabase(other.name, database.user, database.password),
        TestDatabase("postgres", other.user, other.password),
    ]
    try:
        forebay = start_forebay(
            postgres.port,
            database,
            users={other.user: other.password},
            proxy=PLAIN,
            pool=connections(2),
        )

        # Four micro-pools with six busy clients each want two connections; all must get on.
        def work(number: int) -> None:
            with RawClient(forebay.port, places[number % 4]) as client:
                for _ in range(6):
                    client.query("BEGIN")
                    (found,) = client.query("SELECT current_database(), current_user")
                    assert found == [places[number % 4].name, places[number % 4].user]
                    client.query("COMMIT")

        in_threads(24, work)
        mine = seen.value(
            "SELECT count(*) FROM pg_stat_activity WHERE usename IN (%s, %s)",
            database.user,
            other.user,
        )
        assert mine <= 2
        forebay.stop()
    finally:
        postgres.sql(
            f"DROP DATABASE {other.name} WITH (FORCE);"
            f"REASSIGN OWNED BY {other.user} TO postgres; DROP OWNED BY {other.user};"
            f"DROP ROLE {other.user}"
        )


def test_an_idle_client_is_ended(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    forebay = start_forebay(postgres.port, database, proxy={**PLAIN, "idle_client_timeout": 1})
    with RawClient(forebay.port, database) as idle, RawClient(forebay.port, database) as working:
        working.query("BEGIN")
        working.send(query("SELECT pg_sleep(3)"))  # a client that waits for an answer is not idle
        *_, last = idle.until_end()
        assert (last.kind, last.fields["S"], last.fields["C"]) == ("E", "FATAL", "57P05")
        assert [each.kind for each in working.until("Z")] == list("TDCZ")
        # In a transaction it is idle all the same, and its transaction is rolled back.
        assert working.until_end()[-1].fields["C"] == "57P05"
    seen.wait_until_quiet()


def test_an_old_client_is_ended_between_transactions(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, proxy={**PLAIN, "max_client_age": 1})
    with RawClient(forebay.port, database) as client:
        client.query("BEGIN")
        connected_at = time.monotonic()
        eventually(lambda: time.monotonic() - connected_at > 2.5)
        assert client.query("SELECT 1") == [["1"]]
        client.send(query("COMMIT"))
        assert "".join(each.kind for each in client.until_end()) == "CZE"


def _kinds(client: RawClient, data: bytes, count: int = 1) -> str:
    return "".join(message.kind for message in client.ask(data, count))


def _settle(forebay: Forebay, database: TestDatabase) -> None:
    """What was sent before has been seen: a whole login after it is through."""
    RawClient(forebay.port, database).leave()
