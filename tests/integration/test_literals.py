"""A literal in a prepared statement is read by its own client's settings.

PostgreSQL reads '1.2.2024'::date when it analyses the statement, so clients who share a prepared
statement must read its literals alike, and a text that comes again must be read as at its Parse.
"""

from collections.abc import Callable, Mapping

import pytest

from forebay.protocol.messages import sync
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.raw import Message, RawClient, bind, close, describe, execute, parse

PLAIN = {"require_tls": False}
EPOCH = "SELECT extract(epoch FROM timestamptz '2024-01-01 00:00')::int"
UTC, TOKYO = [["1704067200"]], [["1704034800"]]
TO_TOKYO = "SET LOCAL TimeZone = 'Asia/Tokyo'"
MONTH = "SELECT extract(month FROM $$1.2.2024$$::date)::int"


@pytest.fixture
def forebay(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> Forebay:
    return start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(1))


def rows(answer: list[Message]) -> list[list[str | None]]:
    assert not [message.fields for message in answer if message.kind == "E"]
    return [message.row for message in answer if message.kind == "D"]


def prepare(client: RawClient, sql: str) -> None:
    rows(client.ask(parse(sql, "s") + sync()))


def run(client: RawClient) -> list[list[str | None]]:
    return rows(client.ask(bind(name="s") + execute() + sync()))


def in_tokyo(client: RawClient, *statements: str) -> None:
    """Of a client with UTC: in a transaction, behind these statements, it is nine hours later."""
    client.query("SET TimeZone = 'UTC'")
    for sql in ("BEGIN", *statements):
        client.query(sql)
    prepare(client, EPOCH)
    assert run(client) == TOKYO


def in_utc(client: RawClient) -> None:
    client.query("SET TimeZone = 'UTC'")
    prepare(client, EPOCH)
    assert run(client) == UTC


READ_OTHERWISE = (
    pytest.param(EPOCH, {"TimeZone": "UTC"}, {"TimeZone": "Asia/Tokyo"}, id="TimeZone"),
    pytest.param(MONTH, {"DateStyle": "ISO, DMY"}, {"DateStyle": "ISO, MDY"}, id="DateStyle"),
    pytest.param(
        "SELECT extract(hour FROM interval '-1 2:00')::int",
        {"IntervalStyle": "postgres"},
        {"IntervalStyle": "sql_standard"},
        id="IntervalStyle",
    ),
    pytest.param(
        "SELECT ('{null}'::text[])[1] IS NULL",
        {"options": "-c array_nulls=on"},
        {"options": "-c array_nulls=off"},
        id="array_nulls",
    ),
    pytest.param(
        "SELECT (1 = NULL) IS NULL",
        {"options": "-c transform_null_equals=off"},
        {"options": "-c transform_null_equals=on"},
        id="transform_null_equals",
    ),
    pytest.param(
        r"SELECT length('a\nb')",
        {"standard_conforming_strings": "on"},
        {"standard_conforming_strings": "off"},
        id="standard_conforming_strings",
    ),
    pytest.param(
        "SELECT length('ü')",
        {"client_encoding": "UTF8"},
        {"client_encoding": "LATIN1"},
        id="client_encoding",
    ),
)


@pytest.mark.parametrize(("sql", "first", "second"), READ_OTHERWISE)
def test_clients_with_other_settings(
    forebay: Forebay,
    postgres: Postgres,
    database: TestDatabase,
    sql: str,
    first: Mapping[str, str],
    second: Mapping[str, str],
) -> None:
    expected = []
    for settings in (first, second):
        with RawClient(postgres.port, database, settings) as direct:
            prepare(direct, sql)
            expected.append(run(direct))
    assert expected[0] != expected[1]
    with (
        RawClient(forebay.port, database, first) as one,
        RawClient(forebay.port, database, second) as other,
    ):
        prepare(one, sql)
        prepare(other, sql)
        assert [run(one), run(other)] == expected
        assert [run(one), run(other)] == expected


def test_a_time_zone_of_one_transaction_is_nobody_elses(
    forebay: Forebay, database: TestDatabase
) -> None:
    with RawClient(forebay.port, database) as one, RawClient(forebay.port, database) as other:
        in_tokyo(one, TO_TOKYO)
        one.query("COMMIT")
        in_utc(other)


@pytest.mark.parametrize(
    ("before", "undo"),
    [("SAVEPOINT a", "ROLLBACK TO a"), ("", "ROLLBACK AND CHAIN"), ("", "COMMIT AND CHAIN")],
)
def test_what_is_prepared_when_that_has_ended(
    forebay: Forebay, database: TestDatabase, before: str, undo: str
) -> None:
    with RawClient(forebay.port, database) as one, RawClient(forebay.port, database) as other:
        in_tokyo(one, before, TO_TOKYO)
        one.query(undo)
        rows(one.ask(close("S", "s") + sync()))
        prepare(one, EPOCH)
        assert run(one) == UTC
        one.query("COMMIT")
        in_tokyo(other, TO_TOKYO)


def test_parameters_behind_a_search_path_that_is_undone(
    forebay: Forebay, database: TestDatabase
) -> None:
    forebay.psql(
        "CREATE SCHEMA other; CREATE TABLE place (who int); CREATE TABLE other.place (who text)"
    ).ok()
    sql = "SELECT count(*) FROM place WHERE who = $1"
    with RawClient(forebay.port, database) as client:
        for change in ("BEGIN", "SAVEPOINT a", "SET LOCAL search_path = other"):
            client.query(change)
        prepare(client, sql)
        client.query("ROLLBACK TO a")
        answer = client.ask(parse(sql, "t") + describe("S", "t") + sync())
        (types,) = (message.body[-4:] for message in answer if message.kind == "t")
        assert int.from_bytes(types, "big") == 23  # int4


def test_a_time_zone_that_a_function_sets_is_nobody_elses(
    forebay: Forebay, database: TestDatabase
) -> None:
    """No text shows it, but PostgreSQL reports it."""
    forebay.psql(
        "CREATE FUNCTION travel() RETURNS text LANGUAGE sql"
        " AS $$SELECT set_config('TimeZone', 'Asia/Tokyo', true)$$"
    ).ok()
    with RawClient(forebay.port, database) as one, RawClient(forebay.port, database) as other:
        in_tokyo(one, "SELECT travel()")
        one.query("COMMIT")
        in_utc(other)


def test_texts_are_read_by_their_own_clients_settings(
    forebay: Forebay, postgres: Postgres, database: TestDatabase
) -> None:
    """Also while these are still on their way to the connection."""
    hidden = r"SELECT '\'', pg_advisory_lock(1) --'"
    escapes = {"standard_conforming_strings": "off"}
    with (
        RawClient(forebay.port, database) as other,
        RawClient(forebay.port, database, escapes) as client,
    ):
        other.query("SELECT 1")
        client.query(hidden)
        client.leave()
        assert other.query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [["0"]]


def test_now_is_when_the_client_prepared_it(forebay: Forebay, database: TestDatabase) -> None:
    """'now' is a time from when it is read on, and not from when somebody else had it read."""
    sql = "SELECT timestamptz 'now' = transaction_timestamp()"
    with RawClient(forebay.port, database) as one, RawClient(forebay.port, database) as other:
        for client in (one, other, one):
            answer = client.ask(parse(sql, "s") + bind(name="s") + execute() + sync())
            assert rows(answer) == [["t"]]
            client.ask(close("S", "s") + sync())


class TestAfterAChange:
    """What is prepared anew, on a connection that lacks it, says what it said at its Parse."""

    @pytest.mark.parametrize("name", ["s", ""])
    @pytest.mark.parametrize(
        ("sql", "change", "expected"),
        [
            ("SELECT length('ü')", "SET client_encoding = LATIN1", "1"),
            ("SELECT length('aü')", "SET client_encoding = 'WIN1252'", "2"),
            (r"SELECT length('a\nb')", "SET standard_conforming_strings = off", "4"),
            (r"SELECT length('\\''')", "SET standard_conforming_strings = off", "3"),
        ],
    )
    @pytest.mark.parametrize("within", [False, True], ids=["session", "transaction"])
    def test_how_text_is_read(
        self,
        forebay: Forebay,
        database: TestDatabase,
        sql: str,
        change: str,
        expected: str,
        name: str,
        within: bool,
    ) -> None:
        with (
            RawClient(forebay.port, database) as client,
            RawClient(forebay.port, database) as other,
        ):
            rows(client.ask(parse(sql, name) + describe("S", name) + sync()))
            other.query("DISCARD ALL")
            if within:
                client.ask(parse("BEGIN", "b") + bind(name="b") + execute() + sync())
            rows(client.ask(parse(change, "c") + bind(name="c") + execute() + sync()))
            assert rows(client.ask(bind(name=name) + execute() + sync())) == [[expected]]

    @pytest.mark.parametrize("name", ["s", ""])
    def test_what_cannot_be_said_any_more_is_gone(
        self, forebay: Forebay, database: TestDatabase, name: str
    ) -> None:
        with (
            RawClient(forebay.port, database) as client,
            RawClient(forebay.port, database) as other,
        ):
            rows(client.ask(parse("SELECT '€'", name) + sync()))
            other.query("DISCARD ALL")
            rows(client.ask(parse("SET client_encoding = LATIN1", "c") + sync()))
            rows(client.ask(bind(name="c") + execute() + sync()))
            (error,) = (m for m in client.ask(bind(name=name) + sync()) if m.kind == "E")
            assert error.fields["C"] == "26000"
            rows(client.ask(parse("SELECT 'x'", name) + bind(name=name) + execute() + sync()))

    def test_strings_that_conform_again(self, forebay: Forebay, database: TestDatabase) -> None:
        with (
            RawClient(forebay.port, database, {"standard_conforming_strings": "off"}) as client,
            RawClient(forebay.port, database) as other,
        ):
            prepare(client, r"SELECT 'a\\b''\101', $$\$$")
            other.query("DISCARD ALL")
            client.query("SET standard_conforming_strings = on")
            assert run(client) == [[r"a\b'A", "\\"]]
