"""A prepared statement returns what its client was told, or fails as it does in PostgreSQL."""

from collections.abc import Callable

import asyncpg
import pytest

from forebay.protocol.messages import sync
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.raw import Message, RawClient, bind, close, describe, execute, parse

PLAIN = {"require_tls": False}
ALL = "SELECT * FROM thing"


@pytest.fixture
def forebay(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> Forebay:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(2))
    forebay.psql("CREATE TABLE thing (a int); INSERT INTO thing VALUES (1)").ok()
    return forebay


def prepared(client: RawClient, *, told: bool) -> None:
    """The client prepares `ALL`, and is told what it returns or not."""
    client.ask(parse(ALL, "s") + (describe("S", "s") if told else b"") + sync())


def run(client: RawClient) -> list[Message]:
    return client.ask(bind(name="s") + execute() + sync())


def sqlstates(answer: list[Message]) -> list[str]:
    return [message.fields["C"] for message in answer if message.kind == "E"]


def rows(answer: list[Message]) -> list[list[str | None]]:
    return [message.row for message in answer if message.kind == "D"]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["on its connection", "on another"])
def test_a_table_that_is_altered_beside_forebay(
    forebay: Forebay, postgres: Postgres, database: TestDatabase, elsewhere: bool
) -> None:
    with RawClient(forebay.port, database) as client, RawClient(forebay.port, database) as other:
        prepared(client, told=True)
        assert rows(run(client)) == [["1"]]
        postgres.sql("ALTER TABLE thing ADD b int DEFAULT 2", database=database.name)
        if elsewhere:
            other.query("BEGIN")  # has the connection that knows the statement
        assert sqlstates(run(client)) == ["0A000"]
        assert sqlstates(run(client)) == ["0A000"]
        client.ask(close("S", "s") + sync())
        prepared(client, told=True)
        assert rows(run(client)) == [["1", "2"]]


def test_who_prepares_after_an_alter_through_forebay_gets_the_new_shape(
    forebay: Forebay, database: TestDatabase
) -> None:
    with RawClient(forebay.port, database) as client, RawClient(forebay.port, database) as other:
        prepared(client, told=True)
        other.query("ALTER TABLE thing ADD b int DEFAULT 2")
        prepared(other, told=True)
        assert rows(run(other)) == [["1", "2"]]
        assert sqlstates(run(client)) == ["0A000"]
        assert rows(run(other)) == [["1", "2"]]


def test_an_alter_that_is_rolled_back_changes_nothing(
    forebay: Forebay, database: TestDatabase
) -> None:
    with RawClient(forebay.port, database) as client, RawClient(forebay.port, database) as other:
        prepared(client, told=True)
        other.query("BEGIN")
        other.query("ALTER TABLE thing ADD b int DEFAULT 2")
        other.query("ROLLBACK")
        assert rows(run(client)) == [["1"]]


def test_a_table_altered_by_its_own_client(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as client:
        prepared(client, told=True)
        client.query("ALTER TABLE thing ALTER a TYPE text")
        assert sqlstates(run(client)) == ["0A000"]


@pytest.mark.parametrize("at_once", [False, True], ids=["in turn", "at once"])
def test_in_an_aborted_transaction_that_is_what_is_wrong(
    forebay: Forebay, database: TestDatabase, at_once: bool
) -> None:
    forebay.psql("CREATE SCHEMA other; CREATE TABLE other.thing (a text)").ok()
    with RawClient(forebay.port, database) as client:
        prepared(client, told=True)
        client.query("SET search_path = other")
        assert sqlstates(run(client)) == ["0A000"]  # it is known now what it returns
        client.query("BEGIN")
        fails = execute("nonesuch") + sync()
        if at_once:
            answer = client.ask(fails + bind(name="s") + sync(), 2)
        else:
            answer = client.ask(fails) + client.ask(bind(name="s") + sync())
        assert sqlstates(answer) == ["34000", "25P02"]


def test_fetch_returns_what_its_cursor_does(forebay: Forebay, database: TestDatabase) -> None:
    """It is looked up whenever it runs, and never fails for that."""
    with RawClient(forebay.port, database) as client, RawClient(forebay.port, database) as other:
        client.query("BEGIN")
        client.query("DECLARE c CURSOR FOR SELECT 1 AS one")
        client.ask(parse("FETCH c", "s") + describe("S", "s") + sync())
        assert rows(run(client)) == [["1"]]
        client.query("COMMIT")
        other.query("BEGIN")  # has the connection that knows it
        client.query("BEGIN")
        client.query("DECLARE c CURSOR FOR SELECT 'a', 'b'")
        answer = client.ask(bind(name="s") + describe("P") + execute() + sync())
        assert rows(answer) == [["a", "b"]]
        assert [message.body[:2] for message in answer if message.kind == "T"] == [b"\0\2"]


async def test_asyncpg_prepares_anew(forebay: Forebay, postgres: Postgres) -> None:
    """It catches the error of its statement cache and tries again."""
    given = forebay.database
    connect = {"user": given.user, "password": given.password, "database": given.name}
    connection = await asyncpg.connect(host=forebay.host, port=forebay.port, ssl=False, **connect)
    try:
        assert tuple(await connection.fetchrow(ALL)) == (1,)
        postgres.sql("ALTER TABLE thing ADD b text DEFAULT 'x'", database=given.name)
        assert tuple(await connection.fetchrow(ALL)) == (1, "x")
        assert tuple(await connection.fetchrow(ALL)) == (1, "x")
    finally:
        await connection.close()
