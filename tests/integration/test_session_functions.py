"""Functions that the operator lists: what their bodies do to the session is pinned or carried."""

from typing import Any

import pytest

from forebay.protocol.messages import query, sync
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.raw import RawClient, bind, execute, parse

SCHEMA = """
    CREATE SCHEMA app;
    CREATE FUNCTION app.take_lock(n int) RETURNS void LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_lock(n); END';
    CREATE FUNCTION app.release_lock(n int) RETURNS void LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_unlock(n); END';
    CREATE FUNCTION app.set_tenant(name text) RETURNS void LANGUAGE plpgsql AS
        'BEGIN PERFORM set_config(''app.tenant'', name, false);
               PERFORM set_config(''work_mem'', ''5MB'', false); END';
    CREATE PROCEDURE app.enter(name text) LANGUAGE plpgsql AS
        'BEGIN PERFORM app.set_tenant(name); END';
    CREATE FUNCTION app.seed() RETURNS void LANGUAGE plpgsql AS
        'BEGIN PERFORM setseed(0.5); END';
    CREATE SEQUENCE numbers;
    CREATE TABLE t (n bigint);
"""
LISTED: dict[str, Any] = {
    "session_functions": {
        "app.take_lock": "ADVISORY_LOCK",
        "app.release_lock": "ADVISORY_LOCK",
        "app.set_tenant": "SETTING",
        "enter": "SETTING",
        "app.seed": "SESSION_FUNCTION",
        "nextval": "NONE",
    },
    "session_settings": ["app.tenant"],
}
PLAIN = {"require_tls": False}
LOCKED = "SELECT NOT pg_try_advisory_xact_lock(1)"
TENANT = "SELECT coalesce(current_setting('app.tenant', true), ''), current_setting('work_mem')"
NOBODY = [["", "4MB"]]
PID = "SELECT pg_backend_pid()"


def started(
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    count: int = 2,
    **proxy: Any,
) -> Forebay:
    """A Forebay with so many connections, in front of a database with the functions."""
    forebay = start_forebay(
        postgres.port,
        database,
        proxy={**PLAIN, **proxy},
        target={"database": database.name},
        pool=connections(count, connection_borrow_timeout=10),
    )
    with RawClient(postgres.port, database) as direct:
        direct.query(SCHEMA)
    return forebay


@pytest.mark.parametrize(
    "call",
    [
        "SELECT app.take_lock(1)",
        'select /* x */ APP . "take_lock" (1)',
        "SET LOCAL search_path = app; SELECT take_lock(1)",
        "DO $$ BEGIN PERFORM app.take_lock(1); END $$",
    ],
)
def test_a_lock_that_a_function_takes_pins_until_it_is_released(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, call: str
) -> None:
    forebay = started(start_forebay, postgres, database, **LISTED)
    with RawClient(forebay.port, database) as owner, RawClient(forebay.port, database) as other:
        owner.query(call)
        assert other.query(LOCKED) == [["t"]]
        assert "ADVISORY_LOCK" in forebay.wait_for_log("was pinned")
        owner.query("SELECT app.release_lock(1)")
        forebay.wait_for_log("no longer pinned: ADVISORY_LOCK")
        assert other.query(LOCKED) == [["f"]]


def test_a_lock_is_gone_with_its_owner(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = started(start_forebay, postgres, database, 1, **LISTED)
    with RawClient(forebay.port, database) as other:
        with RawClient(forebay.port, database) as owner:
            owner.query("SELECT app.take_lock(1)")
        assert other.query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [["0"]]


@pytest.mark.parametrize(
    "call",
    [
        "SELECT app.set_tenant('mine')",
        "BEGIN; SELECT 1; SELECT app.set_tenant('mine'); COMMIT",
        "CALL app.enter('mine')",
        "DO $$ BEGIN PERFORM app.set_tenant('mine'); END $$",
    ],
)
def test_settings_that_a_function_changes_are_carried_and_never_leak(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, call: str
) -> None:
    forebay = started(start_forebay, postgres, database, **LISTED)
    with RawClient(forebay.port, database) as owner, RawClient(forebay.port, database) as other:
        owner.query(call)
        (before,) = owner.query(PID)  # what the call did has been asked for by then
        other.query("BEGIN")
        assert other.query(PID) == [before]  # the connection that was used last
        assert other.query(TENANT) == NOBODY
        assert owner.query(TENANT) == [["mine", "5MB"]]
        assert owner.query(PID) != [before]
        other.query("COMMIT")
        owner.query("BEGIN")
        assert owner.query(TENANT) == [["mine", "5MB"]]
        assert other.query(TENANT) == NOBODY
    assert not forebay.logged("was pinned")


def test_what_was_rolled_back_is_not_carried(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = started(start_forebay, postgres, database, 1, **LISTED)
    with RawClient(forebay.port, database) as owner, RawClient(forebay.port, database) as other:
        owner.query("BEGIN; SELECT app.set_tenant('mine'); ROLLBACK")
        assert other.query(TENANT) == NOBODY
        assert owner.query(TENANT) == NOBODY


@pytest.mark.parametrize("name", ["", "enter"])
def test_a_prepared_statement_that_calls_a_listed_function(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, name: str
) -> None:
    forebay = started(start_forebay, postgres, database, 1, **LISTED)
    with RawClient(forebay.port, database) as owner, RawClient(forebay.port, database) as other:
        owner.ask(parse("SELECT app.set_tenant($1)", name) + sync())
        for tenant in ("one", "two"):
            owner.ask(bind(tenant, name=name) + execute() + sync())
            assert other.query(TENANT) == NOBODY
            assert owner.query(TENANT) == [[tenant, "5MB"]]
            if not name:  # a simple Query ends the unnamed statement
                owner.ask(parse("SELECT app.set_tenant($1)") + sync())


@pytest.mark.parametrize("lock", ["app.take_lock", "pg_advisory_lock"])
def test_a_statement_that_sql_prepared_is_asked_about_when_it_runs(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, lock: str
) -> None:
    forebay = started(start_forebay, postgres, database, **LISTED)
    with RawClient(forebay.port, database) as owner, RawClient(forebay.port, database) as other:
        owner.query(f"PREPARE take AS SELECT {lock}(1)")
        owner.query("EXECUTE take")
        owner.query("DEALLOCATE take")
        forebay.wait_for_log("no longer pinned: PREPARED_STATEMENT")
        assert other.query(LOCKED) == [["t"]]


def test_a_function_whose_state_cannot_be_asked_for_pins_for_good(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = started(start_forebay, postgres, database, **LISTED)
    with RawClient(forebay.port, database) as owner:
        (before,) = owner.query(PID)
        owner.query("SELECT app.seed()")
        assert "SESSION_FUNCTION" in forebay.wait_for_log("was pinned")
        with RawClient(forebay.port, database) as other:
            other.query("BEGIN")
            assert other.query(PID) != [before]
        assert owner.query(PID) == [before]


@pytest.mark.parametrize("size", [17_000, 100_000])
@pytest.mark.parametrize("ending", ["app.set_tenant('mine')", "1 AS set_tenant", "1"])
def test_a_long_statement_that_names_a_function_pins(
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    size: int,
    ending: str,
) -> None:
    """It is not read; whether it only names the function is not known."""
    forebay = started(start_forebay, postgres, database, 1, **LISTED)
    with RawClient(forebay.port, database) as owner:
        owner.query(f"SELECT length('{'x' * size}'), {ending}")
        if ending == "1":
            owner.query("SELECT 1")
            assert not forebay.logged("was pinned")
        else:
            assert "STATEMENT_TOO_LONG" in forebay.wait_for_log("was pinned")


def test_a_long_statement_of_a_pinned_client_is_searched_too(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = started(start_forebay, postgres, database, 1, **LISTED)
    with RawClient(forebay.port, database) as owner:
        owner.query("SELECT app.take_lock(1)")
        owner.query(f"SELECT length('{'x' * 17_000}'), app.set_tenant('mine')")
        owner.query("SELECT app.release_lock(1)")
        forebay.wait_for_log("no longer pinned: ADVISORY_LOCK")
        assert forebay.logged("STATEMENT_TOO_LONG")
        assert owner.query(TENANT) == [["mine", "5MB"]]
    with RawClient(forebay.port, database) as other:
        assert other.query(TENANT) == NOBODY


def test_nextval_need_not_pin(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = started(start_forebay, postgres, database, 1, **LISTED)
    with RawClient(forebay.port, database) as one, RawClient(forebay.port, database) as other:
        for client in (one, other, one):
            client.query("SELECT nextval('numbers')")
            client.query("INSERT INTO t VALUES (nextval('numbers'))")
            client.ask(parse("SELECT nextval($1)", "next") + bind("numbers", name="next") + sync())
            client.ask(bind("numbers", name="next") + execute() + sync())
        assert one.query("SELECT count(*) FROM t") == [["3"]]
        assert not forebay.logged("was pinned")
        one.ask(query("SELECT currval('numbers')"))  # not listed: pins as ever
        assert "SEQUENCE" in forebay.wait_for_log("was pinned")


def test_the_list_is_reloaded(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = started(start_forebay, postgres, database)
    unnamed = bind("1") + execute() + sync()
    named = bind("1", name="take") + execute() + sync()
    with RawClient(forebay.port, database) as owner, RawClient(forebay.port, database) as other:
        owner.ask(parse("SELECT app.take_lock($1)", "take") + sync())
        other.ask(parse("SELECT app.take_lock($1)") + sync())
        forebay.reload(proxy=LISTED)
        assert forebay.logged("session_functions")
        owner.ask(named)
        assert "ADVISORY_LOCK" in forebay.wait_for_log("was pinned")
        owner.query("SELECT app.release_lock(1)")
        forebay.wait_for_log("no longer pinned")
        other.ask(unnamed)
        eventually(lambda: len(forebay.logged("was pinned")) == 2)
        other.query("SELECT app.release_lock(1)")
        eventually(lambda: len(forebay.logged("no longer pinned")) == 2)
        forebay.reload(proxy={"session_functions": {}, "session_settings": []})
        owner.ask(named)
        owner.query("SELECT app.release_lock(1)")
        owner.ask(query("SELECT currval('numbers')"))
        assert "SEQUENCE" in eventually(lambda: forebay.logged("was pinned")[2:])[0]


def test_rds_proxy_has_no_list(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = started(start_forebay, postgres, database, 1, pinning="rds", **LISTED)
    with RawClient(forebay.port, database) as one, RawClient(forebay.port, database) as other:
        one.query("SELECT app.set_tenant('mine')")
        assert other.query(TENANT) == [["mine", "5MB"]]  # as there
        one.query("SELECT nextval('numbers')")
        assert "SEQUENCE" in forebay.wait_for_log("was pinned")
