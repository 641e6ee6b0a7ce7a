"""A prepared statement matters to the session each time it runs, not when it is prepared."""

import pytest

from forebay.protocol.messages import sync
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.raw import RawClient, bind, execute, parse

PLAIN = {"require_tls": False}
LOCK = "SELECT pg_advisory_lock($1::text::int)"


@pytest.mark.parametrize("name", ["", "lock"])
def test_a_statement_is_looked_at_whenever_it_runs(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, name: str
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN)
    again = b"" if name else parse(LOCK)  # a simple Query ends the unnamed statement
    with RawClient(forebay.port, database) as owner, RawClient(forebay.port, database) as other:
        owner.ask(parse(LOCK, name) + bind("1", name=name) + execute() + sync())
        forebay.wait_for_log("was pinned")
        owner.query("SELECT pg_advisory_unlock(1)")
        forebay.wait_for_log("no longer pinned")
        owner.ask(again + bind("1", name=name) + execute() + sync())
        assert other.query("SELECT pg_try_advisory_lock(1)") == [["f"]]
        eventually(lambda: len(forebay.logged("was pinned")) == 2)


@pytest.mark.parametrize("name", ["", "lock"])
def test_a_statement_bound_in_a_later_transaction(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, name: str
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN)
    with RawClient(forebay.port, database) as owner, RawClient(forebay.port, database) as other:
        owner.ask(parse(LOCK, name) + sync())
        owner.ask(bind("1", name=name) + execute() + sync())
        assert other.query("SELECT pg_try_advisory_lock(1)") == [["f"]]
        forebay.wait_for_log("was pinned")


def test_a_setting_changed_by_a_prepared_statement(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN)
    with RawClient(forebay.port, database) as owner, RawClient(forebay.port, database) as other:
        owner.ask(parse("SELECT set_config('work_mem', $1, false)", "s") + sync())
        for value in ("1MB", "2MB"):
            owner.ask(bind(value, name="s") + execute() + sync())
            assert other.query("SHOW work_mem") == [["4MB"]]
            assert owner.query("SHOW work_mem") == [[value]]


def test_closing_the_cursor_ends_the_pin(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN)
    with RawClient(forebay.port, database) as owner:
        owner.query("DECLARE held CURSOR WITH HOLD FOR SELECT 1")
        forebay.wait_for_log("was pinned")
        assert owner.query("FETCH held") == [["1"]]
        owner.query("CLOSE held")
        forebay.wait_for_log("no longer pinned: CURSOR")


def test_statements_that_a_function_has_ended_are_prepared_again(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(1))
    with RawClient(forebay.port, database) as client, RawClient(forebay.port, database) as other:
        client.query(
            "CREATE FUNCTION forget() RETURNS void LANGUAGE plpgsql"
            " AS $$BEGIN EXECUTE 'DEALLOCATE ALL'; END$$"
        )
        used = bind(name="a") + execute() + sync()
        other.ask(parse("SELECT 1", "a") + used)
        client.query("SELECT forget()")  # no text shows it
        assert other.ask(used)[0].fields["C"] == "26000"
        for _ in range(2):
            assert [each.kind for each in other.ask(used)] == ["2", "D", "C", "Z"]


def test_statements_of_others_are_not_lost_by_deallocating_all_that_are_listed(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(1))
    with RawClient(forebay.port, database) as owner, RawClient(forebay.port, database) as other:
        owner.ask(parse("SELECT 17", "s") + bind(name="s") + execute() + sync())
        for (name,) in other.query("SELECT name FROM pg_prepared_statements"):
            other.query(f'DEALLOCATE "{name}"')
        answer = owner.ask(bind(name="s") + execute() + sync())
        assert [message.kind for message in answer] == ["2", "D", "C", "Z"]
