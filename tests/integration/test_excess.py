"""Clients that ask for far too much: named limits hold, memory is bounded, and others go on."""

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from forebay.protocol.messages import startup_message, sync
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.memory import peak_bytes, resident_bytes
from tests.harness.pins import pin_reasons
from tests.harness.raw import RawClient, bind, close, describe, execute, parse

FULL = os.environ.get("FOREBAY_TEST_FULL") == "1"
PLAIN = {"require_tls": False}
MEGABYTE = 1 << 20
GROWTH_LIMIT_BYTES = 150 * MEGABYTE
STATEMENTS_LIMIT = 10_000  # of one client, by protocol
PREPARED_LIMIT = 500  # on one database connection

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    """A Forebay with two connections: one for who asks too much, one for everybody else."""
    return start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(2))


@contextlib.contextmanager
def bounded(forebay: Forebay) -> Iterator[RawClient]:
    """Another client, who is served all the while; in the end the worker has not grown much."""
    (worker,) = forebay.worker_pids
    before = resident_bytes(worker)
    with RawClient(forebay.port, forebay.database) as other:
        yield other
        assert other.query("SELECT 7") == [["7"]]
        other.leave()
    assert forebay.worker_pids == [worker]
    growth = peak_bytes(worker) - before
    print(f"FIGURES the worker grew by {growth / MEGABYTE:.1f} MB at most")
    assert growth < GROWTH_LIMIT_BYTES


def test_a_hundred_thousand_statements_by_protocol(
    forebay: Forebay, database: TestDatabase
) -> None:
    refused = 0
    with bounded(forebay) as other, RawClient(forebay.port, database) as client:
        for start in range(0, 100_000, 1000):
            numbers = range(start, start + 1000)
            answer = client.ask(
                b"".join(parse(f"SELECT {n}", f"s{n}") + sync() for n in numbers), 1000
            )
            errors = [each.fields for each in answer if each.kind == "E"]
            refused += len(errors)
            for fields in errors:
                assert (fields["S"], fields["C"]) == ("ERROR", "54000")
                assert fields["M"].startswith("too many prepared statements: at most 10000, of ")
            assert other.query(f"SELECT {start}") == [[str(start)]]
        assert refused == 100_000 - STATEMENTS_LIMIT
        # The client goes on: with what it has, and with as many new ones as it closes.
        for name in ("s0", f"s{STATEMENTS_LIMIT - 1}"):
            answer = client.ask(bind(name=name) + execute() + sync())
            assert [each.row for each in answer if each.kind == "D"] == [[name[1:]]]
        answer = client.ask(close("S", "s5") + parse("SELECT 'new'", "new") + sync())
        assert [each.kind for each in answer] == ["3", "1", "Z"]
        assert client.ask(bind(name="new") + execute() + sync())[1].row == ["new"]
        client.leave()


def test_a_connection_keeps_few_statements(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as client:
        client.query("BEGIN")
        for n in range(2 * PREPARED_LIMIT):
            client.ask(parse(f"SELECT {n}", f"s{n}") + sync())
        ((found,),) = client.query("SELECT count(*) FROM pg_prepared_statements")
        assert int(found or 0) <= PREPARED_LIMIT
        for n in (0, PREPARED_LIMIT, 2 * PREPARED_LIMIT - 1):
            answer = client.ask(bind(name=f"s{n}") + execute() + sync())
            assert [each.row for each in answer if each.kind == "D"] == [[str(n)]]


def test_a_hundred_thousand_statements_by_sql(forebay: Forebay, database: TestDatabase) -> None:
    count = 100_000 if FULL else 20_000  # PostgreSQL takes some kilobytes for each
    with bounded(forebay) as other, RawClient(forebay.port, database) as client:
        client.query("BEGIN")
        for start in range(0, count, 500):
            numbers = range(start, start + 500)
            client.query(";".join(f"PREPARE s{n} AS SELECT {n}" for n in numbers))
            assert other.query(f"SELECT {start}") == [[str(start)]]
        client.query("COMMIT")
        eventually(lambda: pin_reasons(forebay, client) == ["PREPARED_STATEMENT"])
        assert client.query(f"EXECUTE s{count - 1}") == [[str(count - 1)]]
        client.query("DEALLOCATE ALL")
        forebay.wait_for_log("no longer pinned")
        client.leave()


def test_ten_thousand_start_up_parameters(forebay: Forebay, database: TestDatabase) -> None:
    names = {"user": database.user, "database": database.name}
    with bounded(forebay):
        many = {f"a.b{n}": str(n) for n in range(10_000)}
        with socket.create_connection((forebay.host, forebay.port), timeout=30) as sock:
            with contextlib.suppress(ConnectionError):
                sock.sendall(startup_message({**names, **many}))
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while data := sock.recv(4096):
                    answer += data
            assert answer == b""  # too long: PostgreSQL does not answer either
        assert forebay.wait_for_log("invalid length of startup packet")
        # As many as PostgreSQL takes, too, are carried, and leave nothing behind.
        fitting = {f"a.b{n}": str(n) for n in range(700)}
        with RawClient(forebay.port, database, fitting) as client:
            for _ in range(2):
                assert client.query("SELECT current_setting('a.b699')") == [["699"]]
            client.leave()
        with RawClient(forebay.port, database) as other:
            assert other.query("SELECT current_setting('a.b699', true)") in ([[None]], [[""]])


def test_ten_thousand_parameters_at_once(forebay: Forebay, database: TestDatabase) -> None:
    with bounded(forebay) as other, RawClient(forebay.port, database) as client:
        set_all = (
            "SELECT count(set_config('a.b' || n, n::text, false)) FROM generate_series(1, 10000) n"
        )
        assert client.query(set_all) == [["10000"]]
        assert other.query("SELECT 1") == [["1"]]
        assert client.query("SHOW a.b9999") == [["9999"]]
        eventually(lambda: pin_reasons(forebay, client) == ["SETTING"])
        client.leave()
        with RawClient(forebay.port, database) as later:
            assert later.query("SELECT current_setting('a.b9999', true)") in ([[None]], [[""]])


LONG = 200 * MEGABYTE


def send_long(
    client: RawClient, kind: bytes, before: bytes, behind: bytes, count: int = LONG
) -> None:
    """A message with so many x between `before` and `behind`, without holding it."""
    length = 4 + len(before) + count + len(behind)
    client.send(kind + length.to_bytes(4, "big") + before)
    for _ in range(count // MEGABYTE):
        client.send(b"x" * MEGABYTE)
    client.send(behind)


@pytest.mark.parametrize("form", ["query", "parse"])
@pytest.mark.parametrize("effect", ["", ", set_config('work_mem', '7MB', false)"])
def test_a_statement_of_200_megabytes(
    forebay: Forebay, database: TestDatabase, form: str, effect: str
) -> None:
    before = b"" if form == "query" else b"\0"
    before += b"SELECT length('"
    behind = f"'){effect}\0".encode()
    expected = [str(LONG), *(["7MB"] if effect else [])]
    with bounded(forebay) as other, RawClient(forebay.port, database) as client:
        if form == "query":
            send_long(client, b"Q", before, behind)
        else:
            send_long(client, b"P", before, behind + bytes(2))
            client.send(bind() + execute() + sync())
        assert other.query("SELECT 1") == [["1"]]
        assert [each.row for each in client.until("Z") if each.kind == "D"] == [expected]
        if effect:
            eventually(lambda: pin_reasons(forebay, client) == ["STATEMENT_TOO_LONG"])
        assert client.query("SHOW work_mem") == [["7MB" if effect else "4MB"]]
        client.leave()
    assert effect or not pin_reasons(forebay)
    with RawClient(forebay.port, database) as later:
        assert later.query("SHOW work_mem") == [["4MB"]]


def test_a_named_statement_of_200_megabytes(forebay: Forebay, database: TestDatabase) -> None:
    with bounded(forebay) as other, RawClient(forebay.port, database) as client:
        send_long(client, b"P", b"name\0SELECT length('", b"')\0\0\0")
        client.send(bind(name="name") + describe() + execute() + sync())
        assert other.query("SELECT 1") == [["1"]]
        error, ready = client.until("Z")
        assert error.fields["C"] == "54000"
        assert "at most 8388608" in error.fields["M"]
        assert ready.body == b"I"
        assert client.query("SELECT 2") == [["2"]]


def test_a_statement_beyond_postgresqls_own_limit(forebay: Forebay, database: TestDatabase) -> None:
    with bounded(forebay), RawClient(forebay.port, database) as client:
        client.send(b"Q" + (1 << 30).to_bytes(4, "big") + b"SELECT 1")
        *_, error = client.until_end()
        assert (error.fields["S"], error.fields["C"]) == ("FATAL", "08P01")


def test_an_error_as_long_as_its_statement(forebay: Forebay, database: TestDatabase) -> None:
    """PostgreSQL quotes the whole of a string that does not end."""
    with bounded(forebay) as other, RawClient(forebay.port, database) as client:
        send_long(client, b"Q", b"SELECT '", b"\0", LONG // 4)
        assert other.query("SELECT 1") == [["1"]]
        error, ready = client.until("Z")
        assert (error.fields["C"], ready.body) == ("42601", b"I")
        assert len(error.body) > LONG // 4
        client.leave()
