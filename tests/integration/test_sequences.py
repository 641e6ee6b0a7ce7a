"""What is drawn from sequences starves nobody, and nobody hears what others have drawn."""

import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from forebay.protocol.errors import PgError
from forebay.protocol.messages import message, query, sync
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.pins import pin_reasons
from tests.harness.raw import RawClient, bind, execute, parse, run

LASTVAL = 2559  # the number of the function
KEPT_S = 0.2  # so long nobody else gets a connection that somebody keeps
NOT_DEFINED = "55000"


@pytest.fixture
def started(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> Callable[..., Forebay]:
    def start(limit: int = 1, **proxy: Any) -> Forebay:
        forebay = start_forebay(
            postgres.port, database, proxy={"require_tls": False, **proxy}, pool=connections(limit)
        )
        forebay.psql(
            "CREATE SEQUENCE numbers",
            "CREATE TABLE rows (n bigserial, text text)",
            "CREATE TABLE plain (n int)",
        ).ok()
        return forebay

    return start


@contextmanager
def session(forebay: Forebay, application: str = "app") -> Iterator[RawClient]:
    with RawClient(forebay.port, forebay.database, {"application_name": application}) as client:
        yield client


def mix(*clients: RawClient) -> None:
    """Let these have used the connections by turns, so that they know what several have drawn."""
    for _ in range(2):
        for client in clients:
            client.query("INSERT INTO rows DEFAULT VALUES")


def learn(forebay: Forebay, application: str = "app") -> None:
    """Let Forebay know that clients of this application ask."""
    with session(forebay, application) as client, pytest.raises(PgError):
        client.query("SELECT lastval()")


def refused(client: RawClient, sql: str) -> PgError:
    with pytest.raises(PgError) as caught:
        client.query(sql)
    assert caught.value.sqlstate == NOT_DEFINED
    return caught.value


def assert_pinned(forebay: Forebay, client: RawClient) -> None:
    assert eventually(lambda: pin_reasons(forebay, client)) == ["SEQUENCE"]


def drawn(client: RawClient) -> str | None:
    ((value,),) = client.query("INSERT INTO rows DEFAULT VALUES RETURNING n")
    return value


DRAWS = {
    "simple": lambda client: client.query("SELECT nextval('numbers')"),
    "setval": lambda client: client.query("SELECT setval('numbers', 7)"),
    "default": lambda client: client.query("INSERT INTO rows DEFAULT VALUES"),
    "update": lambda client: client.query("UPDATE rows SET text = 'x', n = DEFAULT"),
    "extended": lambda client: client.ask(run("SELECT nextval($1)", "numbers") + sync()),
    "a block": lambda client: client.query("DO $$ BEGIN PERFORM nextval('numbers'); END $$"),
}


@pytest.mark.parametrize("way", DRAWS)
def test_fifty_that_draw_share_four_connections(started: Callable[..., Forebay], way: str) -> None:
    forebay = started(4)
    with ExitStack() as stack:
        clients = [stack.enter_context(session(forebay)) for _ in range(50)]
        for client in clients:
            DRAWS[way](client)
        for client in clients:  # all are still there
            assert client.query("SELECT 1") == [["1"]]
    assert not forebay.logged("was pinned")


def test_who_draws_keeps_the_connection_while_nobody_else_needs_it(
    started: Callable[..., Forebay],
) -> None:
    forebay = started(2)
    pid = "SELECT pg_backend_pid()"
    with session(forebay) as one, session(forebay, "other") as other:
        one.query("BEGIN")
        other.query("BEGIN")
        ((value,),) = one.query("SELECT nextval('numbers')")
        mine = one.query(pid)
        one.query("COMMIT")
        other.query("COMMIT")  # the connection that came free last
        assert one.query("SELECT currval('numbers')") == [[value]]
        assert one.query(pid) == mine


class TestWhoAsksForTheFirstTime:
    def test_as_the_first_thing_is_told_the_truth(self, started: Callable[..., Forebay]) -> None:
        forebay = started()
        with session(forebay, "before") as before:
            before.query("SELECT nextval('numbers')")
            drawn(before)
        with session(forebay) as client:
            for asked in ("lastval()", "currval('numbers')", "currval('rows_n_seq')"):
                assert refused(client, f"SELECT {asked}").hint is None  # it has drawn nothing

    @pytest.mark.parametrize("begin", ["", "BEGIN"])
    def test_in_its_first_transaction_is_exact(
        self, started: Callable[..., Forebay], begin: str
    ) -> None:
        forebay = started()
        with session(forebay, "before") as before:
            drawn(before)
        with session(forebay) as client:
            if begin:
                client.query(begin)
            value = drawn(client)
            assert client.query("SELECT lastval()") == [[value]]

    def test_where_others_have_been_is_refused_once(self, started: Callable[..., Forebay]) -> None:
        forebay = started()
        with session(forebay) as one, session(forebay, "other") as other:
            mix(one, other)
            drawn(one)
            drawn(other)
            error = refused(one, "SELECT lastval()")
            assert "try again, or use INSERT ... RETURNING" in (error.hint or "")
            one.query("DISCARD SEQUENCES")  # ends the pin
            value = drawn(one)
            assert one.query("SELECT lastval()") == [[value]]
            assert eventually(lambda: pin_reasons(forebay, one)[1:]) == ["SEQUENCE"]

    def test_in_a_transaction_where_others_have_been(self, started: Callable[..., Forebay]) -> None:
        forebay = started()
        with session(forebay) as one, session(forebay, "other") as other:
            mix(one, other)
            one.query("BEGIN")
            drawn(one)
            assert refused(one, "SELECT lastval()").hint
            with pytest.raises(PgError, match="current transaction is aborted"):
                one.query("SELECT 1")
            one.query("ROLLBACK")
            one.query("BEGIN")
            value = drawn(one)
            assert one.query("SELECT lastval()") == [[value]]

    def test_in_one_text_is_exact(self, started: Callable[..., Forebay]) -> None:
        forebay = started()
        with session(forebay) as one, session(forebay, "other") as other:
            mix(one, other)
            rows = one.query("INSERT INTO rows DEFAULT VALUES RETURNING n; SELECT lastval()")
            assert rows[0] == rows[1]

    @pytest.mark.parametrize("name", ["", "asks"])
    def test_by_the_extended_protocol(self, started: Callable[..., Forebay], name: str) -> None:
        forebay = started()
        insert = parse("INSERT INTO rows DEFAULT VALUES RETURNING n") + bind() + execute()
        ask = parse("SELECT lastval()", name) + bind(name=name) + execute()
        with session(forebay) as one, session(forebay, "other") as other:
            mix(one, other)
            answer = one.ask(insert + ask + sync())
            (error,) = [each for each in answer if each.kind == "E"]
            assert error.fields["C"] == NOT_DEFINED
            assert "INSERT ... RETURNING" in error.fields["H"]
            again = bind(name=name) if name else parse("SELECT lastval()") + bind()
            answer = one.ask(insert + again + execute() + sync())
            rows = [each.row for each in answer if each.kind == "D"]
            assert rows[0] == rows[1]

    def test_by_a_function_call(self, started: Callable[..., Forebay]) -> None:
        forebay = started()
        call = message(b"F", struct.pack("!Ihhh", LASTVAL, 0, 0, 0))
        with session(forebay) as one, session(forebay, "other") as other:
            mix(one, other)
            assert [each.kind for each in one.ask(call)] == ["E", "Z"]
            value = drawn(one)
            assert (
                one.ask(call)[0].body
                == struct.pack("!i", len(value or "")) + (value or "").encode()
            )

    @pytest.mark.parametrize("size", [17_000, 100_000, 2_000_000])
    def test_in_a_text_that_is_not_read(self, started: Callable[..., Forebay], size: int) -> None:
        forebay = started()
        with session(forebay) as one, session(forebay, "other") as other:
            mix(one, other)
            assert refused(one, f"SELECT lastval(), '{'x' * size}'").hint
            value = drawn(one)
            assert one.query(f"SELECT lastval(), length('{'x' * size}')")[0][0] == value

    def test_in_a_block(self, started: Callable[..., Forebay]) -> None:
        forebay = started()
        ask = "DO $$ BEGIN INSERT INTO plain VALUES (lastval()); END $$"
        with session(forebay) as one, session(forebay, "other") as other:
            mix(one, other)
            refused(one, ask)
            value = drawn(one)
            one.query(ask)
            assert one.query("SELECT n FROM plain") == [[value]]


class TestOnceSeen:
    def test_lastval_behind_an_insert_is_exact(self, started: Callable[..., Forebay]) -> None:
        """As PDO's lastInsertId."""
        forebay = started(4)
        learn(forebay)
        wrong: list[object] = []
        stop = threading.Event()

        def others(number: int) -> None:
            with session(forebay, f"others {number}") as client:
                while not stop.is_set():
                    drawn(client)

        def ask(_: int) -> None:
            for _ in range(10):
                with session(forebay) as client:
                    for _ in range(5):
                        value = drawn(client)
                        if client.query("SELECT lastval()") != [[value]]:
                            wrong.append(value)

        with ThreadPoolExecutor(12) as threads:
            running = [threads.submit(others, number) for number in range(4)]
            try:
                list(threads.map(ask, range(8)))
            finally:
                stop.set()
            for each in running:
                each.result()
        assert wrong == []

    @pytest.mark.parametrize("way", DRAWS)
    def test_who_draws_is_pinned(self, started: Callable[..., Forebay], way: str) -> None:
        forebay = started()
        learn(forebay)
        with session(forebay) as client, session(forebay, "other") as other:
            client.query("SELECT 1")
            client.query("UPDATE plain SET n = 1")
            assert other.query("SELECT 1") == [["1"]]
            DRAWS[way](client)
            other.send(query("SELECT 1"))
            assert not other.has_more(KEPT_S)
            assert_pinned(forebay, client)
            client.query("DISCARD SEQUENCES")
            assert other.rows() == [["1"]]
            refused(client, "SELECT lastval()")

    def test_who_draws_in_a_long_statement_is_pinned(self, started: Callable[..., Forebay]) -> None:
        forebay = started()
        learn(forebay)
        for size in (17_000, 100_000):
            with session(forebay) as client:
                client.query(f"INSERT INTO rows (text) VALUES ('{'x' * size}')")
                ((value,),) = client.query("SELECT max(n) FROM rows")
                assert_pinned(forebay, client)
                assert client.query("SELECT lastval()") == [[value]]

    def test_definitions_leave_nothing(self, started: Callable[..., Forebay]) -> None:
        forebay = started()
        learn(forebay)
        with session(forebay) as client, session(forebay, "other") as other:
            for sql in (
                "CREATE TABLE new (n int DEFAULT nextval('numbers'))",
                "ALTER TABLE new ALTER n SET DEFAULT (1 + nextval('numbers'::regclass))",
                "CREATE VIEW v WITH (check_option=local) AS SELECT n FROM plain",
            ):
                client.query(sql)
                assert other.query("SELECT 1") == [["1"]]

    def test_the_kind_is_database_user_and_application(
        self, started: Callable[..., Forebay]
    ) -> None:
        forebay = started()
        learn(forebay)
        with session(forebay, "another") as client, session(forebay, "other") as other:
            drawn(client)
            assert other.query("SELECT 1") == [["1"]]
            client.query("SET application_name = 'app'")
            drawn(client)
            assert_pinned(forebay, client)


def test_nobody_is_told_what_others_have_drawn(started: Callable[..., Forebay]) -> None:
    """Whatever they do, and whether or not their application is known to ask: what a client hears
    is the last that it has drawn itself, or 55000."""
    forebay = started(3)
    wrong: list[object] = []

    def client(number: int) -> None:
        values: list[str | None] = [None]
        for round_ in range(6):
            with session(forebay, f"kind {(number + round_) % 5}") as one:
                last = None
                for step in range(8):
                    match (number + 3 * round_ + step * step) % 4:
                        case 0:
                            last = drawn(one)
                        case 1:
                            ((last,),) = one.query("SELECT nextval('numbers')")
                        case 2:
                            one.query("SELECT 1")
                        case 3:
                            try:
                                ((told,),) = one.query("SELECT lastval()")
                            except PgError as error:
                                assert error.sqlstate == NOT_DEFINED  # noqa: PT017
                            else:
                                if told != last:
                                    wrong.append((told, last))
                values.append(last)

    with ThreadPoolExecutor(9) as threads:
        list(threads.map(client, range(9)))
    assert wrong == []


class TestWhatIsListed:
    def test_nextval_as_sequence_pins_as_it_did(self, started: Callable[..., Forebay]) -> None:
        forebay = started(session_functions={"nextval": "SEQUENCE"})
        with session(forebay) as one, session(forebay, "other") as other:
            mix(one, other)
            one.query("SELECT nextval('numbers')")
            assert_pinned(forebay, one)
            other.send(query("SELECT 1"))
            assert not other.has_more(KEPT_S)
            one.query("DISCARD SEQUENCES")
            assert other.rows() == [["1"]]

    def test_lastval_as_none_is_not_looked_at(self, started: Callable[..., Forebay]) -> None:
        forebay = started(session_functions={"lastval": "NONE"})
        with session(forebay) as one, session(forebay, "other") as other:
            mix(one, other)
            value = drawn(other)
            assert one.query("SELECT lastval()") == [[value]]  # as asked for
            assert other.query("SELECT 1") == [["1"]]


def test_rds_proxy_pins_where_it_does_and_tells_nobody_what_others_have_drawn(
    started: Callable[..., Forebay],
) -> None:
    forebay = started(pinning="rds")
    with session(forebay) as one, session(forebay, "other") as other:
        mix(one, other)
        error = refused(one, "SELECT lastval()")
        assert "in the transaction" in (error.hint or "")
        one.query("BEGIN")
        value = drawn(one)
        assert one.query("SELECT lastval()") == [[value]]
        one.query("COMMIT")
        assert other.query("SELECT 1") == [["1"]]
        one.query("SELECT nextval('numbers')")
        assert_pinned(forebay, one)
