"""Who comes to Forebay's port without being a client of PostgreSQL, or stops being one: that
connection ends, with a word where one can be said, and every other goes on."""

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterator

import pytest

from forebay.protocol.errors import parse_fields
from forebay.protocol.messages import query, ssl_request, startup_message, sync
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.memory import peak_bytes, resident_bytes
from tests.harness.observer import Observer
from tests.harness.raw import RawClient, copy_data, run

PLAIN = {"require_tls": False}
LIMIT = 2
MEGABYTE = 1 << 20
SSL_HELLO_OF_HTTPS = bytes.fromhex("16030100050100000100")  # begins a handshake, and is none


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    return start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(LIMIT))


@pytest.fixture
def neighbour(forebay: Forebay, database: TestDatabase) -> Iterator[RawClient]:
    """Another client, who is served before and after."""
    with RawClient(forebay.port, database) as client:
        assert client.query("SELECT 1") == [["1"]]
        yield client
        assert client.query("SELECT 2") == [["2"]]
        client.leave()


@contextlib.contextmanager
def knock(forebay: Forebay) -> Iterator[socket.socket]:
    """A plain connection to the port."""
    with socket.create_connection((forebay.host, forebay.port), timeout=30) as sock:
        yield sock


def all_of(sock: socket.socket) -> bytes:
    """What is sent until the connection ends."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(65536):
            found += data
    return found


STARTUP = startup_message({"user": "nobody"})
GREETINGS: dict[str, tuple[bytes, str]] = {
    "another protocol": (b"\0\0\0\x08\0\2\0\0", "0A000"),
    "a query out of turn": (STARTUP + query("SELECT 1"), "08P01"),
    "no end of a name": (b"\0\0\0\x0c\0\3\0\0user", "08P01"),
}
BAD_LENGTHS: dict[str, bytes] = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a long HTTP request": b"POST / HTTP/1.1\r\n" + b"X-Header: value\r\n" * 1000,
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "Redis": b"*1\r\n$4\r\nPING\r\n",
    "zeros": bytes(64),
    "a packet too long": b"\x7f\xff\xff\xff\0\3\0\0",
    "a packet too short": b"\0\0\0\7\0\3\0",
    "a password out of turn": b"p\0\0\0\x09pass\0",
    "a goodbye": b"X\0\0\0\4",
    "a cancel request without a key": struct.pack("!III", 12, 80877102, 1),
}


def test_what_is_no_start_up_packet(forebay: Forebay, neighbour: RawClient) -> None:
    for name, (data, sqlstate) in GREETINGS.items():
        with knock(forebay) as sock:
            sock.sendall(data)
            answer = all_of(sock)
        fields = parse_fields(answer[answer.index(b"E") + 5 :])
        assert (fields["S"], fields["C"]) == ("FATAL", sqlstate), name


def test_a_packet_of_a_bad_length_gets_no_answer(
    forebay: Forebay, neighbour: RawClient, postgres: Postgres
) -> None:
    for name, data in BAD_LENGTHS.items():
        for port in (postgres.port, forebay.port):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
                sock.sendall(data)
                assert all_of(sock) == b"", (name, port)
    assert forebay.wait_for_log("A client could not log in: .*HTTP request")
    assert not forebay.logged(r"could not log in: .*\(88, 0, 0, 0\)")  # who just leaves


def test_truncated_at_every_byte(
    forebay: Forebay, neighbour: RawClient, database: TestDatabase
) -> None:
    names = {"user": database.user, "database": database.name}
    whole = startup_message(names)
    for end in range(len(whole)):
        with knock(forebay) as sock:
            sock.sendall(whole[:end])
            sock.shutdown(socket.SHUT_WR)
            assert b"R" not in all_of(sock)[:1]


@pytest.mark.parametrize("early", [STARTUP, b"\x16", query("SELECT 1")])
def test_plain_bytes_before_tls(forebay: Forebay, neighbour: RawClient, early: bytes) -> None:
    with knock(forebay) as sock:
        sock.sendall(ssl_request() + early)
        answer = all_of(sock)
    assert answer[:1] == b"E"
    assert parse_fields(answer[5:])["C"] == "08P01"


def test_no_tls_behind_the_request_for_it(forebay: Forebay, neighbour: RawClient) -> None:
    for data in (b"GET / HTTP/1.1\r\n\r\n", STARTUP, SSL_HELLO_OF_HTTPS, b"\x16"):
        with knock(forebay) as sock:
            sock.sendall(ssl_request())
            assert sock.recv(1) == b"S"
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            assert all_of(sock)[:1] in (b"", b"\x15")  # nothing, or an alert of TLS


def test_nonsense_inside_tls(
    forebay: Forebay, neighbour: RawClient, database: TestDatabase
) -> None:
    context = ssl.create_default_context(cafile=str(forebay.ca_file))
    for data, sqlstate in (
        (b"GET / HTTP/1.1\r\n\r\n", None),
        (b"X\0\0\0\4", None),
        (ssl_request(), "08P01"),
        (bytes(64), None),
    ):
        with knock(forebay) as plain:
            plain.sendall(ssl_request())
            assert plain.recv(1) == b"S"
            with context.wrap_socket(plain, server_hostname=forebay.host) as sock:
                sock.sendall(data)
                answer = sock.recv(65536)
                told = parse_fields(answer[5:])["C"] if answer else None
                assert told == sqlstate


def test_a_thousand_connections_that_say_nothing(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(
        postgres.port, database, proxy={**PLAIN, "login_timeout": 2}, pool=connections(LIMIT)
    )
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(knock(forebay)) for _ in range(1000)]
        for sock in silent[::2]:
            sock.sendall(ssl_request())  # says a little, and then nothing
        with RawClient(forebay.port, database) as client:
            assert client.query("SELECT 1") == [["1"]]
            client.leave()
        ends = [all_of(sock) for sock in silent]
    for end in ends[1::2]:
        assert parse_fields(end[5:])["C"] == "57014"
    assert set(ends[::2]) == {b"S"}  # no word of plain text where TLS was agreed
    with RawClient(forebay.port, database) as client:
        assert client.query("SELECT 1") == [["1"]]


AFTER_LOGIN: dict[str, bytes] = {
    "an unknown type": b"!\0\0\0\4",
    "a length below its own": b"Q\0\0\0\3",
    "a length beyond every limit": b"Q\x7f\xff\xff\xff",
    "a long Sync": b"S\0\1\0\0",
    "a password": b"p\0\0\0\x09pass\0",
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a start-up packet": STARTUP,
}


@pytest.mark.parametrize("before", ["", "BEGIN", "LISTEN here", "COPY t FROM STDIN"])
def test_nonsense_at_every_stage(
    forebay: Forebay, neighbour: RawClient, database: TestDatabase, seen: Observer, before: str
) -> None:
    neighbour.query("CREATE TABLE t (n int)")
    for name, data in AFTER_LOGIN.items():
        with RawClient(forebay.port, database) as client:
            if before:
                client.send(query(before))
                client.until("ZG")
            client.send(data)
            *_, last = client.until_end()
            assert (last.kind, last.fields["S"], last.fields["C"]) == ("E", "FATAL", "08P01"), name
    seen.wait_until_quiet()
    assert neighbour.query("SELECT count(*) FROM t") == [["0"]]
    assert len(seen.backends()) <= LIMIT


@pytest.mark.parametrize("leaves", ["reads on", "vanishes"])
def test_a_client_that_stops_reading_a_large_result(
    forebay: Forebay, neighbour: RawClient, database: TestDatabase, seen: Observer, leaves: str
) -> None:
    (worker,) = forebay.worker_pids
    before = resident_bytes(worker)
    with RawClient(forebay.port, database) as client:
        client.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 200000)"))
        # The database can send no more: all that lies between is full.
        eventually(lambda: seen.backends("wait_event = 'ClientWrite'"), "it waits for its client")
        for number in range(10):
            assert neighbour.query(f"SELECT {number}") == [[str(number)]]
        if leaves == "vanishes":
            client.vanish()
        else:
            kinds = [each.kind for each in client.until("Z")]
            assert kinds.count("D") == 200_000
            client.leave()
    seen.wait_until_quiet()
    assert peak_bytes(worker) - before < 20 * MEGABYTE
    with contextlib.ExitStack() as stack:  # both connections can be used
        for _ in range(LIMIT):
            stack.enter_context(RawClient(forebay.port, database)).query("BEGIN")


def _in_a_transaction(client: RawClient) -> None:
    client.query("BEGIN")
    client.query("INSERT INTO t VALUES (1)")


def _in_a_batch(client: RawClient) -> None:
    client.send(run("INSERT INTO t VALUES (1)"))


def _copying_in(client: RawClient) -> None:
    client.send(query("COPY t FROM STDIN"))
    client.until("G")
    client.send(copy_data(b"1\n" * 100_000))


def _copying_in_by_batch(client: RawClient) -> None:
    client.send(run("COPY t FROM STDIN") + sync())
    client.until("G")
    client.send(copy_data(b"1\n" * 100_000))


def _copying_out(client: RawClient) -> None:
    client.send(query("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 20000)) TO STDOUT"))
    client.until("d")


def _writing_a_query(client: RawClient) -> None:
    client.query("BEGIN")
    client.send(b"Q\0\1\0\0INSERT INTO t VALUES (1)")


def _writing_copy_data(client: RawClient) -> None:
    _copying_in(client)
    client.send(b"d\0\1\0\0" + b"1\n" * 100)


WHOLE = [_in_a_transaction, _in_a_batch, _copying_in, _copying_in_by_batch, _copying_out]
HALF = [_writing_a_query, _writing_copy_data]  # there is no goodbye in the middle of a message


@pytest.mark.parametrize(
    ("doing", "goodbye"),
    [
        *((doing, RawClient.leave) for doing in WHOLE),
        *((doing, RawClient.vanish) for doing in WHOLE + HALF),
    ],
)
def test_clients_that_go_in_the_middle(
    forebay: Forebay,
    neighbour: RawClient,
    database: TestDatabase,
    seen: Observer,
    doing: Callable[[RawClient], None],
    goodbye: Callable[[RawClient], None],
) -> None:
    neighbour.query("CREATE TABLE t (n int)")
    # One after the other on each connection: what one leaves behind, the next would meet.
    for _ in range(2 * LIMIT):
        with RawClient(forebay.port, database) as client:
            doing(client)
            goodbye(client)
    seen.wait_until_quiet()
    assert neighbour.query("SELECT count(*) FROM t") == [["0"]]
    with contextlib.ExitStack() as stack:
        for _ in range(LIMIT):
            client = stack.enter_context(RawClient(forebay.port, database))
            assert client.query("BEGIN; SELECT count(*) FROM t") == [["0"]]
    assert len(seen.backends()) <= LIMIT
