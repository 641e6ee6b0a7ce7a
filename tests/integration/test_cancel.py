"""Cancelling: what runs, what waits, and never another client's statement."""

import socket
import threading
from typing import Any

import psycopg2
import psycopg2.errors
import pytest

from forebay.protocol.messages import cancel_request, query
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.inside import Inside
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.raw import RawClient
from tests.harness.work import in_threads


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    """A Forebay with a single connection."""
    return start_forebay(
        postgres.port,
        database,
        proxy={"require_tls": False},
        target={"database": database.name},
        pool=connections(1),
    )


def cancel(forebay: Forebay, key: tuple[int, bytes]) -> None:
    """Sends a cancel request and waits until it has been dealt with."""
    with socket.create_connection((forebay.host, forebay.port), timeout=30) as sock:
        sock.sendall(cancel_request(*key))
        assert sock.recv(1) == b""


def test_a_running_statement(forebay: Forebay, seen: Observer) -> None:
    connection = psycopg2.connect(forebay.dsn())

    def stop() -> None:
        seen.wait_until_running("pg_sleep")
        connection.cancel()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(psycopg2.errors.QueryCanceled):
        connection.cursor().execute("SELECT pg_sleep(60)")
    thread.join()
    connection.rollback()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    connection.close()


def test_the_first_statement_behind_a_change_over(forebay: Forebay, seen: Observer) -> None:
    """PostgreSQL keeps the answer to what guards the change-over until that of the statement."""
    for name in ("a", "b"):
        connection = psycopg2.connect(forebay.dsn(application_name=name))
        connection.autocommit = True
        connection.cursor().execute("SELECT 1")
        connection.close()
    connection = psycopg2.connect(forebay.dsn(application_name="c"))
    connection.autocommit = True

    def stop() -> None:
        seen.wait_until_running("pg_sleep")
        connection.cancel()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(psycopg2.errors.QueryCanceled):
        connection.cursor().execute("SELECT pg_sleep(60)")
    thread.join()
    connection.cursor().execute("SELECT 1")
    connection.close()


def test_a_statement_that_waits_for_a_connection(
    forebay: Forebay, database: TestDatabase, seen: Observer
) -> None:
    with RawClient(forebay.port, database) as holding, RawClient(forebay.port, database) as waiting:
        holding.query("BEGIN")
        waiting.send(query("SELECT 'waited'"))
        eventually(lambda: _is_answered(forebay, waiting), "the cancelled statement is answered")
        error, _ready = waiting.until("Z")
        assert (error.fields["C"], error.fields["S"]) == ("57014", "ERROR")
        assert error.fields["M"] == "canceling statement due to user request"
        assert holding.query("SELECT 'not cancelled'") == [["not cancelled"]]
        holding.query("COMMIT")
        assert waiting.query("SELECT 'goes on'") == [["goes on"]]


def test_nothing_under_way(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as idle, RawClient(forebay.port, database) as other:
        other.query("BEGIN")
        cancel(forebay, idle.key)  # it has no connection: the other's is not hit
        assert other.query("SELECT 1") == [["1"]]
        other.query("COMMIT")
        assert idle.query("SELECT 1") == [["1"]]


def test_a_wrong_key(forebay: Forebay, database: TestDatabase, seen: Observer) -> None:
    with RawClient(forebay.port, database) as client:
        client.send(query("SELECT pg_sleep(0.3)"))
        seen.wait_until_running("pg_sleep")
        number, key = client.key
        cancel(forebay, (number, bytes(byte ^ 1 for byte in key)))
        cancel(forebay, (number + 1, key))
        assert [each.kind for each in client.until("Z")] == list("TDCZ")


def test_every_client_has_a_key_of_its_own(forebay: Forebay, database: TestDatabase) -> None:
    keys = set()
    for _ in range(20):
        with RawClient(forebay.port, database) as client:
            keys.add(client.key)
    assert len({number for number, _ in keys}) == 20
    assert len({key for _, key in keys}) == 20


def test_a_late_cancel_hits_nobody_else(forebay: Forebay, database: TestDatabase) -> None:
    # One client cancels itself at every moment of its statements; the others share its connection.
    ended = threading.Event()

    def work(number: int) -> None:
        with RawClient(forebay.port, database) as client:
            if number:
                while not ended.is_set():
                    assert client.query("SELECT 1, pg_sleep(0.002)")[0][0] == "1"
                return
            try:
                for _ in range(60):
                    client.send(query("SELECT 2, pg_sleep(0.001)"))
                    cancel(forebay, client.key)
                    answer = client.until("Z")
                    assert [each.kind for each in answer] in (list("TDCZ"), list("EZ"), list("TEZ"))
            finally:
                ended.set()

    in_threads(5, work)


def test_the_statement_of_a_client_that_vanished_is_cancelled(
    forebay: Forebay, database: TestDatabase, seen: Observer
) -> None:
    client = RawClient(forebay.port, database)
    client.send(query("SELECT pg_sleep(60)"))
    seen.wait_until_running("pg_sleep")
    with RawClient(forebay.port, database) as other:
        client.vanish()
        assert other.query("SELECT 1") == [["1"]]
    assert not seen.running("pg_sleep")


def test_it_goes_where_the_connection_is(
    postgres: Postgres, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to what the name means by now: another server may have a process of that number."""
    means = ["127.0.0.1"]
    real = socket.getaddrinfo

    def resolve(host: str, *arguments: Any, **more: Any) -> Any:
        return real(means[0] if host == "db.test" else host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with (
        Observer(postgres, database) as seen,
        socket.create_server(("127.0.0.2", postgres.port)) as another,
        Inside(postgres.port, database, host="db.test") as inside,
        RawClient(inside.port, database) as client,
    ):
        client.query("SELECT 1")
        means[0] = "127.0.0.2"
        client.send(query("SELECT pg_sleep(60)"))
        seen.wait_until_running("pg_sleep")
        with socket.create_connection(("127.0.0.1", inside.port), timeout=30) as sock:
            sock.sendall(cancel_request(*client.key))
            assert sock.recv(1) == b""
        error = next(each for each in client.until("Z") if each.kind == "E")
        assert error.fields["C"] == "57014"
        another.setblocking(False)
        with pytest.raises(BlockingIOError):
            another.accept()


def _is_answered(forebay: Forebay, client: RawClient) -> bool:
    """Cancel, until it has come so far as to be cancelled."""
    cancel(forebay, client.key)
    return client.has_more()
