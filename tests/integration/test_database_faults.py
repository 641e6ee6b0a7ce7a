"""A database that is down, refuses, restarts under load or talks nonsense, as clients meet it."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import psycopg2
import pytest

from forebay.embedded.surroundings import free_port
from forebay.protocol import messages
from forebay.protocol.errors import PgError
from tests.harness import FaultProxy, Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.raw import HOST, RawClient, serves
from tests.harness.work import assert_balanced, in_threads, make_book

PLAIN = {"require_tls": False}


def test_down_at_start(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    """Clients wait; who waits too long is told why; when the database comes, they are served."""
    with FaultProxy(postgres.port) as network:
        network.refuse()
        pool = connections(2, connection_borrow_timeout=1)
        forebay = start_forebay(network.port, database, proxy=PLAIN, pool=pool)
        forebay.wait_for_log("A database connection could not be opened")
        with pytest.raises(PgError) as refused:
            RawClient(forebay.port, database)
        assert (refused.value.severity, refused.value.sqlstate) == ("FATAL", "08000")
        assert refused.value.detail
        forebay.reload(pool={"connection_borrow_timeout": 60})
        clients: list[RawClient] = []

        def wait(number: int) -> None:
            if number == 0:
                network.heal()
                return
            with RawClient(forebay.port, database) as client:
                clients.append(client)
                assert client.query("SELECT 7") == [["7"]]

        in_threads(6, wait)
        assert len(clients) == 5
        forebay.stop()


def test_the_database_has_no_room(start_forebay: type[Forebay], database: TestDatabase) -> None:
    """53300: those who have a connection go on, and the others get one when there is room."""
    with Postgres(max_connections=10) as server:
        server.create_user(database.user, database.password)
        server.create_database(database.name, owner=database.user)
        url = server.url(database.user, database.password, database.name)
        forebay = start_forebay(
            server.port, database, proxy=PLAIN, pool={"max_connections_percent": 100}
        )
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(RawClient(forebay.port, database)) for _ in range(3)]
            clients[0].query("BEGIN")
            strangers = []
            with contextlib.suppress(psycopg2.OperationalError):
                while True:
                    strangers.append(stack.enter_context(_connected(url)))
            assert strangers
            clients[1].send(messages.query("SELECT 7"))
            forebay.wait_for_log(
                "could not be opened: .*(remaining connection slots|too many clients)"
            )
            assert clients[0].query("SELECT 1") == [["1"]]
            assert not clients[1].has_more()
            clients[0].query("COMMIT")
            assert [each.row for each in clients[1].until("Z") if each.kind == "D"] == [["7"]]
            clients[0].query("BEGIN")
            clients[2].send(messages.query("SELECT 8"))
            strangers.pop().close()
            assert [each.row for each in clients[2].until("Z") if each.kind == "D"] == [["8"]]
            clients[0].query("COMMIT")
        forebay.stop()


def test_it_restarts_under_load(start_forebay: type[Forebay], database: TestDatabase) -> None:
    """Clients lose their connection and come back; nothing is lost or done twice."""
    with Postgres() as server:
        server.create_user(database.user, database.password)
        server.create_database(database.name, owner=database.user)
        forebay = start_forebay(server.port, database, pool=connections(4))
        make_book(forebay)
        clients, entries = 12, 40
        unsure: list[int] = []  # whether these were committed, their client was not told
        restarted = threading.Event()
        under_way = threading.Barrier(clients + 1)

        def work(number: int) -> None:
            if number == clients:
                under_way.wait(60)
                server.restart()
                restarted.set()
                return
            done = 0
            while done < entries or not restarted.is_set():
                try:
                    with _connected(forebay.dsn()) as connection:
                        while done < entries or not restarted.is_set():
                            _enter(connection, number, done)
                            done += 1
                            if done == 3:
                                under_way.wait(60)
                except (psycopg2.OperationalError, psycopg2.InterfaceError):
                    unsure.append(number)

        def _enter(connection: psycopg2.extensions.connection, number: int, turn: int) -> None:
            with connection, connection.cursor() as cursor:
                account = 1 + (number + turn) % 10
                cursor.execute("INSERT INTO history VALUES (%s, 1, %s)", (account, number))
                cursor.execute("UPDATE account SET balance = balance + 1 WHERE id = %s", (account,))
            counted[number] += 1

        counted = [0] * clients
        in_threads(clients + 1, work)
        found = forebay.psql("SELECT count(*) FROM history").ok()
        total = int(found.out)
        assert sum(counted) <= total <= sum(counted) + len(unsure)
        assert_balanced(forebay, total)
        with Observer(server, database) as seen:
            assert len(seen.backends()) <= 4
        forebay.stop()


@contextlib.contextmanager
def _connected(url: str) -> Iterator[psycopg2.extensions.connection]:
    with contextlib.closing(psycopg2.connect(url)) as connection:
        yield connection


OK = messages.authentication_ok()
READY = messages.ready_for_query(b"I")
KEY = messages.backend_key_data(4711, b"KEYS")
NONSENSE: dict[str, bytes] = {
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "zeros": bytes(64),
    "an endless message": b"R\x7f\xff\xff\xff" + bytes(64),
    "an unknown authentication": b"R\0\0\0\x08\0\0\0\x63",
    "rows out of turn": OK + KEY + READY + b"D\0\0\0\x0a\0\1\0\0\0\0",
    "a welcome without an end": OK + messages.parameter_status("a", "b"),
    "another end": OK + KEY + b"Z\0\0\0\5?",
}


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of something that answers in its own way whoever comes, and then closes."""
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    with sock, contextlib.suppress(OSError):
                        sock.settimeout(10)
                        answer(sock)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_it_answers_nonsense(
    start_forebay: type[Forebay], database: TestDatabase, nonsense: str
) -> None:
    def answer(sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(NONSENSE[nonsense])
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1000):
            pass

    with answering(answer) as port:
        forebay = start_forebay(
            port,
            database,
            proxy=PLAIN,
            target={"sslmode": "disable"},
            pool={"connection_borrow_timeout": 1},
        )
        for _ in range(2):
            with pytest.raises(PgError) as refused:
                RawClient(forebay.port, database)
            assert refused.value.severity == "FATAL"
            assert refused.value.sqlstate in ("08000", "08001", "08P01")
        assert forebay.logged("A database connection could not be opened")
        forebay.stop()


def row(*columns: bytes) -> bytes:
    """The answer to a query: a row and a tag, not yet ReadyForQuery."""
    fields = b"".join(struct.pack("!I", len(column)) + column for column in columns)
    return (
        messages.message(b"T", struct.pack("!H", 0))
        + messages.message(b"D", struct.pack("!H", len(columns)) + fields)
        + messages.message(b"C", b"SELECT 1\0")
    )


# What a connection asks for when it is opened.
LIMITS = row(b"10", b"0", b"0", b"0")
BEGINNING = row(b"public", b"public", b"0")
FORGET = messages.query("DISCARD SEQUENCES")


@pytest.mark.parametrize("cut", [0, 1, 5, 12, None])
def test_it_says_more_than_it_was_asked(
    start_forebay: type[Forebay], database: TestDatabase, cut: int | None
) -> None:
    """A setting is changed in the very moment in which a connection has been opened: what came
    along with the last answer of the opening is heard, be it whole or not."""
    ready = messages.ready_for_query(b"I")
    told = messages.parameter_status("TimeZone", "Mars")

    def answer(sock: socket.socket) -> None:
        sock.recv(1000)
        login = messages.authentication_ok() + messages.parameter_status("TimeZone", "Venus")
        sock.sendall(login + messages.backend_key_data(1, b"1234") + ready)
        sock.recv(1000)
        sock.sendall(LIMITS + ready)
        sock.recv(1000)
        sock.sendall(BEGINNING + ready + told[:cut])
        if cut is not None:
            time.sleep(0.1)
            sock.sendall(told[cut:])
        while asked := sock.recv(1000):
            if FORGET in asked:  # before the second client begins
                sock.sendall(messages.message(b"C", b"DISCARD SEQUENCES\0") + ready)
            if asked != FORGET:
                sock.sendall(row(b"7") + ready)

    with answering(answer) as port:
        target = {"sslmode": "disable", "database": database.name}
        forebay = start_forebay(port, database, proxy=PLAIN, target=target)
        with RawClient(forebay.port, database) as client:
            assert client.query("SELECT 7") == [["7"]]
            client.leave()
        eventually(lambda: time_zone(forebay, database) == "Mars")
        forebay.stop()


def time_zone(forebay: Forebay, database: TestDatabase) -> str:
    with RawClient(forebay.port, database) as client:
        answer = client.ask(messages.query("SELECT 7"))
        client.leave()
        told = [messages.parse_parameter_status(each.body) for each in answer if each.kind == "S"]
        return {**client.parameters, **dict(told)}["TimeZone"]


def test_it_hangs_up_at_a_clients_settings(
    start_forebay: type[Forebay], database: TestDatabase
) -> None:
    """A client whose settings end every connection is told so, and does not try for good."""
    ready = messages.ready_for_query(b"I")
    logins: list[bytes] = []

    def answer(sock: socket.socket) -> None:
        logins.append(sock.recv(1000))
        sock.sendall(messages.authentication_ok() + messages.backend_key_data(1, b"1234") + ready)
        while asked := sock.recv(1000):
            if b"max_connections" not in asked and b"search_path" not in asked:
                break
            sock.sendall((LIMITS if b"max_connections" in asked else BEGINNING) + ready)

    with answering(answer) as port:
        target = {"sslmode": "disable", "database": database.name}
        forebay = start_forebay(port, database, proxy=PLAIN, target=target)
        for _ in range(2):
            with pytest.raises(PgError) as refused:
                RawClient(forebay.port, database, {"work_mem": "1MB"})
            assert (refused.value.severity, refused.value.sqlstate) == ("FATAL", "08006")
        assert len(logins) < 250
        forebay.stop()


def test_nobody_is_there(start_forebay: type[Forebay], database: TestDatabase) -> None:
    forebay = start_forebay(
        free_port(), database, proxy=PLAIN, pool={"connection_borrow_timeout": 0.2}
    )
    for _ in range(3):
        with pytest.raises(PgError) as refused:
            RawClient(forebay.port, database)
        assert (refused.value.severity, refused.value.sqlstate) == ("FATAL", "08000")
    forebay.stop()


@pytest.mark.parametrize("fault", [FaultProxy.cut, FaultProxy.reset])
def test_the_network_fails_with_settings_in_place(
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    fault: Callable[[FaultProxy], None],
) -> None:
    """An idle client's settings are put in place again; who was in a transaction is told."""
    with FaultProxy(postgres.port) as network:
        forebay = start_forebay(network.port, database, proxy=PLAIN, pool=connections(3))
        with (
            RawClient(forebay.port, database, {"application_name": "mine"}) as idle,
            RawClient(forebay.port, database) as busy,
        ):
            idle.query("SET work_mem = '7MB'")
            idle.query("SELECT 1")
            busy.query("BEGIN")
            fault(network)
            *_, last = busy.until_end()
            assert (last.fields["S"], last.fields["C"]) == ("FATAL", "08006")
            for _ in range(3):
                eventually(lambda: _all_gone(forebay, network), "the connections are gone")
                assert idle.query("SHOW work_mem") == [["7MB"]]
                assert idle.query("SHOW application_name") == [["mine"]]
                fault(network)
        assert serves(forebay.port, database)
        forebay.stop()


def _all_gone(forebay: Forebay, network: FaultProxy) -> bool:
    """Whether Forebay has noticed the end of all connections that it ever had."""
    return len(forebay.logged("The database connection closed")) == network.accepted


def test_it_ends_a_connection_that_nobody_has(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    """Its last word is believed: the end of the stream may never come. The log repeats it."""
    with FaultProxy(postgres.port) as network:
        target = {"database": database.name}
        forebay = start_forebay(
            network.port, database, proxy=PLAIN, target=target, pool=connections(1)
        )
        with RawClient(forebay.port, database) as client:
            client.query("SELECT 1")
            network.hide_ends()
            (pid,) = seen.backends()
            seen.rows("SELECT pg_terminate_backend(%s)", pid)
            closed = forebay.wait_for_log("The database connection closed")
            assert "terminating connection due to administrator command" in closed
            assert "57P01" in closed
            assert client.query("SELECT 7") == [["7"]]
        network.heal()
        forebay.stop()


def test_it_ends_a_connection_in_a_transaction(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    """The client hears it, and the next one does not wait for the end of the stream."""
    with FaultProxy(postgres.port) as network:
        target = {"database": database.name}
        forebay = start_forebay(
            network.port, database, proxy=PLAIN, target=target, pool=connections(1)
        )
        with RawClient(forebay.port, database) as busy, RawClient(forebay.port, database) as next_:
            busy.query("BEGIN")
            network.hide_ends()
            seen.rows("SELECT pg_terminate_backend(%s)", seen.backends()[0])
            (told,) = busy.until_end()
            assert (told.fields["S"], told.fields["C"]) == ("FATAL", "57P01")
            assert next_.query("SELECT 7") == [["7"]]
        network.heal()
        forebay.stop()
