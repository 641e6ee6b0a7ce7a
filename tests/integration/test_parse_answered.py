"""A Parse that a database has accepted before is answered without asking one, while that holds."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from forebay.protocol.messages import sync
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.raw import Message, RawClient, bind, describe, execute, parse

PLAIN = {"require_tls": False}
ALL = "SELECT * FROM thing"
MISSING = "42P01"


@pytest.fixture
def forebay(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> Forebay:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(1))
    forebay.psql("CREATE TABLE thing (a int)").ok()
    return forebay


def sqlstates(answer: list[Message]) -> list[str]:
    return [message.fields["C"] for message in answer if message.kind == "E"]


def test_it_is(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as one, RawClient(forebay.port, database) as other:
        assert sqlstates(one.ask(parse(ALL, "s") + sync())) == []
        one.query("BEGIN")  # has the only connection
        assert sqlstates(other.ask(parse(ALL, "s") + sync())) == []


def test_not_after_ddl(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as one, RawClient(forebay.port, database) as other:
        assert sqlstates(one.ask(parse(ALL, "s") + sync())) == []
        one.query("DROP TABLE thing")
        assert sqlstates(other.ask(parse(ALL, "s") + sync())) == [MISSING]
        one.query("CREATE TABLE thing (a text)")
        assert sqlstates(other.ask(parse(ALL, "s") + sync())) == []


def test_not_by_another_database(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN)
    forebay.psql("CREATE TABLE thing (a int)").ok()
    elsewhere = replace(database, name="postgres")
    with RawClient(forebay.port, database) as one, RawClient(forebay.port, elsewhere) as other:
        assert sqlstates(one.ask(parse(ALL, "s") + sync())) == []
        assert sqlstates(other.ask(parse(ALL, "s") + sync())) == [MISSING]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["known there", "not known there"])
def test_a_name_whose_parse_should_have_failed_is_free(
    forebay: Forebay, postgres: Postgres, database: TestDatabase, elsewhere: bool
) -> None:
    """The table is dropped where Forebay does not see it. Drivers that name a statement by its text
    try the same name again."""
    with RawClient(forebay.port, database) as one, RawClient(forebay.port, database) as other:
        assert sqlstates(one.ask(parse(ALL, "s") + sync())) == []
        postgres.sql("DROP TABLE thing", database=database.name)
        if elsewhere:
            one.query("DEALLOCATE ALL")
        prepare = parse(ALL, "s") + describe("S", "s") + sync()
        assert sqlstates(other.ask(prepare)) == [MISSING]
        assert sqlstates(other.ask(prepare)) == [MISSING]
        one.query("CREATE TABLE thing (a text)")
        assert sqlstates(other.ask(prepare)) == []
        assert sqlstates(other.ask(bind(name="s") + execute() + sync())) == []


def test_a_name_stays_if_something_else_fails(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as one, RawClient(forebay.port, database) as other:
        assert sqlstates(one.ask(parse(ALL, "s") + sync())) == []
        batch = parse(ALL, "s") + parse(ALL, "s") + describe("S", "s") + sync()
        assert sqlstates(other.ask(batch)) == ["42P05"]
        assert sqlstates(other.ask(bind(name="s") + execute() + sync())) == []


def test_a_name_whose_parse_was_over_stays(
    forebay: Forebay, postgres: Postgres, database: TestDatabase
) -> None:
    with RawClient(forebay.port, database) as one, RawClient(forebay.port, database) as other:
        assert sqlstates(one.ask(parse(ALL, "s") + sync())) == []
        assert sqlstates(other.ask(parse(ALL, "s") + sync())) == []
        postgres.sql("ALTER TABLE thing RENAME TO thing2", database=database.name)
        assert sqlstates(other.ask(describe("S", "s") + sync())) == [MISSING]
        postgres.sql("ALTER TABLE thing2 RENAME TO thing", database=database.name)
        assert sqlstates(other.ask(bind(name="s") + execute() + sync())) == []
