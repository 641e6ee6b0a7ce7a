"""Database connections that die at each point of a request, in each way in which they do: what
clients are told is what has happened, and they stay wherever the protocol allows it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import asyncpg
import psycopg
import psycopg2
import pytest

from forebay.embedded.errors import SetupError
from forebay.protocol import messages
from tests.harness import FaultProxy, Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.raw import Message, RawClient
from tests.harness.work import in_threads

PLAIN = {"require_tls": False}
RETRYABLE = {**PLAIN, "in_transaction_error": "retryable"}
INSERT = "INSERT INTO t VALUES (1)"
SLOW = "INSERT INTO t SELECT 1 FROM pg_sleep(60)"

Kill = Callable[[Postgres, Observer, int], None]


def terminate(server: Postgres, seen: Observer, pid: int) -> None:
    """The backend says FATAL 57P01, and nobody else notices."""
    seen.rows("SELECT pg_terminate_backend(%s)", pid)


def crash(server: Postgres, seen: Observer, pid: int) -> None:
    """The backend says nothing, the others a notice; the server starts again."""
    os.kill(pid, signal.SIGKILL)


def stop(server: Postgres, seen: Observer, pid: int) -> None:
    """All backends say a notice."""
    server.restart("immediate")


def wait_until_up(server: Postgres) -> None:
    """Wait until it has recovered from a crash, which it first has to notice."""

    def is_up() -> bool:
        try:
            return bool(server.sql("SELECT 1"))
        except SetupError:
            return False

    eventually(is_up, "the server is up")


@pytest.fixture(scope="module")
def fragile() -> Iterator[Postgres]:
    """A server that may be killed."""
    with Postgres() as server:
        yield server


@pytest.fixture
def book(fragile: Postgres, request: pytest.FixtureRequest) -> TestDatabase:
    """A database of the test's own there, with a table without a key."""
    wait_until_up(fragile)
    name = f"lost_{abs(hash(request.node.name)) % 10**9}"
    fragile.create_user(name, "hush")
    fragile.create_database(name, owner=name)
    fragile.sql("CREATE TABLE t (n int)", database=name)
    fragile.sql("GRANT ALL ON t TO PUBLIC", database=name)
    return TestDatabase(name, name, "hush")


def requested(sql: str, extended: bool) -> bytes:
    """One request, answered with one ReadyForQuery."""
    return batch(sql) + messages.sync() if extended else messages.query(sql)


def batch(sql: str) -> bytes:
    """A batch without its Sync."""
    return messages.parse_unnamed(sql) + messages.bind_unnamed([]) + messages.execute_unnamed()


def told(answer: list[Message]) -> tuple[str, str]:
    """The severity and the SQLSTATE of the one error in an answer."""
    (error,) = [each for each in answer if each.kind == "E"]
    return error.fields["S"], error.fields["C"]


KILLS = pytest.mark.parametrize("kill", [terminate, crash, stop])
PROTOCOLS = pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])


@pytest.fixture
def start(
    start_forebay: type[Forebay], fragile: Postgres, book: TestDatabase
) -> Callable[..., Forebay]:
    def starting(**proxy: object) -> Forebay:
        pool = connections(2)
        return start_forebay(fragile.port, book, proxy={**PLAIN, **proxy}, pool=pool)

    return starting


class Rig:
    """A client whose one connection can be killed."""

    def __init__(self, server: Postgres, book: TestDatabase, kill: Kill) -> None:
        self.server, self.book, self.kill = server, book, kill

    def killed(self, running: str = "") -> None:
        """Kill the connection that Forebay has, when it runs this."""
        with Observer(self.server, self.book) as seen:
            if running:
                seen.wait_until_running(running)
            (pid,) = seen.backends()
            self.kill(self.server, seen, pid)

    def rows(self) -> int:
        """How many rows there are, asked without Forebay."""
        wait_until_up(self.server)
        ((count,),) = self.server.sql("SELECT count(*) FROM t", database=self.book.name)
        return int(count or 0)


@KILLS
@PROTOCOLS
class TestEachPoint:
    @pytest.fixture
    def rig(self, fragile: Postgres, book: TestDatabase, kill: Kill) -> Rig:
        return Rig(fragile, book, kill)

    def test_idle(
        self, start: Callable[..., Forebay], rig: Rig, book: TestDatabase, extended: bool
    ) -> None:
        forebay = start()
        with RawClient(forebay.port, book) as client:
            client.query("SELECT 1")
            rig.killed()
            assert rig.rows() == 0
            eventually(lambda: forebay.logged("The database connection closed"), "it is noticed")
            assert "E" not in {each.kind for each in client.ask(requested(INSERT, extended))}
        assert rig.rows() == 1

    def test_a_statement_that_runs(
        self, start: Callable[..., Forebay], rig: Rig, book: TestDatabase, extended: bool
    ) -> None:
        forebay = start()
        with RawClient(forebay.port, book) as client:
            client.send(requested(SLOW, extended))
            rig.killed(SLOW)
            answer = client.until("Z")
            assert told(answer) == ("ERROR", "08007")
            assert answer[-1].body == b"I"
            assert rig.rows() == 0
            client.ask(requested(INSERT, extended))
        assert rig.rows() == 1

    def test_idle_in_a_transaction(
        self, start: Callable[..., Forebay], rig: Rig, book: TestDatabase, extended: bool
    ) -> None:
        forebay = start()
        with RawClient(forebay.port, book) as client:
            client.ask(requested("BEGIN", extended))
            client.ask(requested(INSERT, extended))
            rig.killed()
            severity, sqlstate = told(client.until_end())
            assert severity == "FATAL"
            assert sqlstate in ("08006", "57P01")
        assert rig.rows() == 0

    def test_a_statement_in_a_transaction(
        self, start: Callable[..., Forebay], rig: Rig, book: TestDatabase, extended: bool
    ) -> None:
        forebay = start()
        with RawClient(forebay.port, book) as client:
            client.ask(requested("BEGIN", extended))
            client.send(requested(SLOW, extended))
            rig.killed(SLOW)
            severity, sqlstate = told(client.until_end())
            assert severity == "FATAL"
            assert sqlstate in ("08006", "57P01")
        assert rig.rows() == 0

    def test_a_transaction_that_can_be_retried(
        self, start: Callable[..., Forebay], rig: Rig, book: TestDatabase, extended: bool
    ) -> None:
        forebay = start(in_transaction_error="retryable")
        with RawClient(forebay.port, book) as client:
            client.ask(requested("BEGIN", extended))
            client.ask(requested(INSERT, extended))
            rig.killed()
            eventually(lambda: forebay.logged("The database connection closed"), "it is noticed")
            for expected in ("40001", "25P02", "25P02"):
                answer = client.ask(requested(INSERT, extended))
                assert told(answer) == ("ERROR", expected)
                assert answer[-1].body == b"E"
            assert client.ask(requested("ROLLBACK", extended))[-1].body == b"I"
            client.ask(requested(INSERT, extended))
        assert rig.rows() == 1


@KILLS
class TestBatches:
    def test_all_of_it_is_answered_and_its_sync_not_sent(
        self, start: Callable[..., Forebay], fragile: Postgres, book: TestDatabase, kill: Kill
    ) -> None:
        """CommandComplete is no acknowledgement: the row is not there."""
        rig, forebay = Rig(fragile, book, kill), start()
        with RawClient(forebay.port, book) as client:
            client.send(batch(INSERT) + messages.message(b"H"))
            client.until("C")
            rig.killed()
            assert told(client.until("E")) == ("ERROR", "08007")
            client.send(batch(INSERT) + messages.sync())
            assert [each.kind for each in client.until("Z")] == ["Z"]
            assert rig.rows() == 0
            client.ask(requested(INSERT, True))
        assert rig.rows() == 1


@PROTOCOLS
@pytest.mark.parametrize("fault", [FaultProxy.cut, FaultProxy.reset])
@pytest.mark.parametrize("begins", [False, True], ids=["autocommit", "COMMIT"])
def test_the_answer_is_lost_and_it_is_done(
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    extended: bool,
    fault: Callable[[FaultProxy], None],
    begins: bool,
) -> None:
    """Whatever the client is told, it is not that nothing has happened; and it happens once."""
    count = "SELECT count(*) FROM t"
    postgres.sql("CREATE TABLE t (n int); GRANT ALL ON t TO PUBLIC", database=database.name)
    with FaultProxy(postgres.port) as network:
        forebay = start_forebay(network.port, database, proxy=PLAIN, pool=connections(2))
        with RawClient(forebay.port, database) as client:
            client.query("SELECT 1")
            if begins:
                client.ask(requested("BEGIN", extended))
                client.ask(requested(INSERT, extended))
            network.freeze("to_client")
            client.send(requested("COMMIT" if begins else INSERT, extended))
            eventually(
                lambda: postgres.sql(count, database=database.name) == [("1",)], "it is done"
            )
            assert not client.has_more()
            fault(network)
            answer = client.until("Z")
            assert told(answer) == ("ERROR", "08007")
            assert answer[-1].body == b"I"
            network.heal()
            assert client.query(count) == [["1"]]
        forebay.stop()


@pytest.mark.parametrize("end", [crash, terminate])
def test_a_pinned_client_hears_what_it_has_lost(
    start: Callable[..., Forebay],
    fragile: Postgres,
    book: TestDatabase,
    end: Callable[[Postgres, int], None],
) -> None:
    """Also if the database says something of its own."""
    rig, forebay = Rig(fragile, book, end), start()
    with RawClient(forebay.port, book) as client:
        client.query("CREATE TEMPORARY TABLE mine (n int)")
        rig.killed()
        *_, last = client.until_end()
        assert (last.fields["S"], last.fields["C"]) == ("FATAL", "08006")
        assert "TEMPORARY_OBJECT" in last.fields["D"]


class TestDrivers:
    """At their defaults, but for autocommit, they keep their connection."""

    def test_psycopg2(
        self, start: Callable[..., Forebay], fragile: Postgres, book: TestDatabase
    ) -> None:
        rig, forebay = Rig(fragile, book, terminate), start()
        connection = psycopg2.connect(forebay.dsn())
        connection.autocommit = True

        def work(number: int) -> None:
            if number:
                rig.killed(SLOW)
                return
            with connection.cursor() as cursor:
                with pytest.raises(psycopg2.OperationalError) as lost:
                    cursor.execute(SLOW)
                assert lost.value.pgcode == "08007"
                cursor.execute("SELECT 7")
                assert cursor.fetchone() == (7,)

        in_threads(2, work)
        connection.close()

    def test_psycopg(
        self, start: Callable[..., Forebay], fragile: Postgres, book: TestDatabase
    ) -> None:
        rig, forebay = Rig(fragile, book, terminate), start()
        with psycopg.connect(forebay.dsn(), autocommit=True) as connection:

            def work(number: int) -> None:
                if number:
                    rig.killed(SLOW)
                    return
                with pytest.raises(psycopg.OperationalError) as lost:
                    connection.execute(SLOW)
                assert lost.value.sqlstate == "08007"
                assert connection.execute("SELECT 7").fetchone() == (7,)

            in_threads(2, work)

    def test_psycopg_tries_a_transaction_again(
        self, start: Callable[..., Forebay], fragile: Postgres, book: TestDatabase
    ) -> None:
        """As its documentation says of serialization failures."""
        rig, forebay = Rig(fragile, book, terminate), start(in_transaction_error="retryable")
        with psycopg.connect(forebay.dsn()) as connection:
            connection.execute(INSERT)
            rig.killed()
            eventually(lambda: forebay.logged("The database connection closed"), "it is noticed")
            with pytest.raises(psycopg.errors.SerializationFailure):
                connection.commit()
            connection.execute(INSERT)
            connection.commit()
        assert rig.rows() == 1

    async def test_asyncpg(
        self, start: Callable[..., Forebay], fragile: Postgres, book: TestDatabase
    ) -> None:
        rig, forebay = Rig(fragile, book, terminate), start()
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=forebay.port,
            user=book.user,
            password=book.password,
            database=book.name,
            ssl=False,
        )
        try:
            killer = threading.Thread(target=rig.killed, args=(SLOW,))
            killer.start()
            with pytest.raises(asyncpg.PostgresConnectionError) as lost:
                await connection.execute(SLOW)
            killer.join()
            assert lost.value.sqlstate == "08007"
            assert await connection.fetchval("SELECT 7") == 7
        finally:
            await connection.close(timeout=10)
