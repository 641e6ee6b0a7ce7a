"""How many connections there are: what the server allows, the pool's percentages, idle ones."""

import contextlib
import socket
import threading

import psycopg2
import pytest

from tests.harness import FaultProxy, Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.raw import RawClient
from tests.harness.work import in_threads

PLAIN = {"require_tls": False}


def keep_busy(forebay: Forebay, count: int, seen: Observer, least: int) -> None:
    """Lets clients hold transactions open until so many connections are in use at once."""
    enough = threading.Event()

    def work(number: int) -> None:
        if number == count:
            busy = "state = 'idle in transaction'"
            try:
                eventually(lambda: len(seen.backends(busy)) >= least, f"{least} busy connections")
            finally:
                enough.set()
            return
        with RawClient(forebay.port, forebay.database) as client:
            client.query("BEGIN")
            enough.wait(60)
            client.query("COMMIT")
            client.leave()

    in_threads(count + 1, work)


@pytest.mark.parametrize(
    ("percent", "reserved", "expected"), [(90, 3, 24), (50, 10, 10), (1, 3, 1)]
)
def test_the_limit_is_a_share_of_what_the_server_allows(
    start_forebay: type[Forebay],
    database: TestDatabase,
    percent: int,
    reserved: int,
    expected: int,
) -> None:
    settings = {"superuser_reserved_connections": reserved}
    with Postgres(max_connections=30, settings=settings) as server:
        server.create_user(database.user, database.password)
        server.create_database(database.name, owner=database.user)
        forebay = start_forebay(
            server.port, database, proxy=PLAIN, pool={"max_connections_percent": percent}
        )
        assert f"At most {expected} database connections" in forebay.wait_for_log("At most")
        with Observer(server, database) as seen:
            keep_busy(forebay, expected + 5, seen, expected)
            assert len(seen.backends()) == expected
        forebay.stop()


def test_reserved_connections_count_too(
    start_forebay: type[Forebay], database: TestDatabase
) -> None:
    with Postgres(max_connections=20) as server:
        if not server.sql("SELECT 1 FROM pg_settings WHERE name = 'reserved_connections'"):
            pytest.skip("reserved_connections came with PostgreSQL 16")
        server.configure(reserved_connections=7)
        server.restart()
        server.create_user(database.user, database.password)
        server.create_database(database.name, owner=database.user)
        forebay = start_forebay(server.port, database)
        assert "At most 10 database connections" in forebay.wait_for_log("At most")
        forebay.stop()


def test_a_changed_limit_is_followed(start_forebay: type[Forebay], database: TestDatabase) -> None:
    with Postgres(max_connections=30) as server:
        server.create_user(database.user, database.password)
        server.create_database(database.name, owner=database.user)
        pool = {"max_connections_percent": 80}
        forebay = start_forebay(server.port, database, proxy=PLAIN, pool=pool)
        forebay.wait_for_log("At most 21 database connections")
        server.configure(max_connections=13)
        server.restart()
        with RawClient(forebay.port, database) as client:
            client.query("SELECT 1")
        forebay.wait_for_log("At most 8 database connections")
        with Observer(server, database) as seen:
            keep_busy(forebay, 12, seen, 8)
            assert len(seen.backends()) <= 8
        forebay.stop()


def test_many_clients_share_few_connections(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(3))
    keep_busy(forebay, 20, seen, 3)
    assert len(seen.backends()) == 3


def test_the_limits_follow_a_reload(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(6))
    keep_busy(forebay, 12, seen, 6)
    forebay.reload(pool=connections(2))
    eventually(lambda: len(seen.backends()) <= 2, "surplus connections are closed")
    keep_busy(forebay, 6, seen, 2)
    assert len(seen.backends()) == 2
    forebay.reload(pool=connections(4))
    keep_busy(forebay, 8, seen, 4)
    assert len(seen.backends()) == 4


def test_a_lower_limit_ends_no_transaction(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(4))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(forebay.port, database)) for _ in range(4)]
        for client in clients:
            client.query("BEGIN")
        forebay.reload(pool=connections(1))
        assert len(seen.backends("state = 'idle in transaction'")) == 4
        for client in clients:
            client.query("COMMIT")
        eventually(lambda: len(seen.backends()) == 1, "one connection is left")
        for client in clients:
            assert client.query("SELECT 7") == [["7"]]


def test_idle_connections_beyond_the_limit_are_closed(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    pool = connections(8, max_idle_connections_percent=3, max_idle_time=0.2)
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=pool)
    keep_busy(forebay, 8, seen, 8)
    eventually(lambda: len(seen.backends()) <= 2, "the surplus is closed")
    with RawClient(forebay.port, database) as client:
        assert client.query("SELECT 1") == [["1"]]


def test_old_connections_are_replaced(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    pool = connections(2, max_connection_age=1)
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=pool)
    with RawClient(forebay.port, database) as client:
        first = client.query("SELECT pg_backend_pid()")
        eventually(lambda: client.query("SELECT pg_backend_pid()") != first, "another connection")


def test_a_login_costs_no_connection_once_parameters_are_known(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    with FaultProxy(postgres.port) as network:
        forebay = start_forebay(
            network.port, database, proxy=PLAIN, target={"database": database.name}
        )
        with RawClient(forebay.port, database, {"application_name": "first"}) as client:
            client.query("SELECT 1")
        network.cut()
        network.refuse()
        before = network.accepted
        for number in range(30):
            settings = {"application_name": f"client {number}"}
            with RawClient(forebay.port, database, settings) as client:
                assert client.parameters["server_encoding"] == "UTF8"
                assert client.parameters["application_name"] == f"client {number}"
        assert network.accepted == before
        forebay.stop()


def test_the_number_of_clients_is_limited(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, proxy={**PLAIN, "max_client_connections": 3})
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(forebay.port, database)) for _ in range(3)]
        with pytest.raises(psycopg2.OperationalError) as refused:
            psycopg2.connect(forebay.dsn())
        expected = "The maximum number of client connections to the proxy exceeded 3."
        assert expected in str(refused.value)
        clients[0].leave()
        eventually(lambda: _can_log_in(forebay), "there is room again")
        assert clients[1].query("SELECT 1") == [["1"]]


def test_listeners_of_the_kernel_survive_a_burst(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(5))
    with contextlib.ExitStack() as stack:
        for _ in range(300):  # they connect and say nothing
            stack.enter_context(socket.create_connection((forebay.host, forebay.port)))
        with RawClient(forebay.port, database) as client:
            assert client.query("SELECT 1") == [["1"]]


def _can_log_in(forebay: Forebay) -> bool:
    try:
        psycopg2.connect(forebay.dsn()).close()
    except psycopg2.OperationalError:
        return False
    return True
