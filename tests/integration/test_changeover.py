"""A connection changes over from one client's settings to another's."""

import pytest

from forebay.protocol import messages
from forebay.protocol.errors import PgError
from forebay.session.special import SURE
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.inside import Inside
from tests.harness.limits import connections
from tests.harness.raw import RawClient, run

SYNC = messages.message(b"S")
PLAIN = {"require_tls": False}
TENANT = "SELECT coalesce(current_setting('app.tenant', true), '')"

# So many settings, of so many characters, take longer to put in place than the timeout.
SETTINGS = 250
CHARACTERS = 8000
TIMEOUT_MS = 4
ROLE_TIMEOUT_MS = 10  # and three times as many


def test_what_a_module_has_taken_off_hinders_nobody(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    postgres.sql(
        "CREATE FUNCTION idle() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
        database=database.name,
    )
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(1))
    with RawClient(forebay.port, database) as owner, RawClient(forebay.port, database) as other:
        owner.query("SET plpgsql.mine = 'x'; SELECT set_config('app.tenant', 'owner', false)")
        assert owner.query("SELECT idle()") == [["1"]]  # loads PL/pgSQL, which knows no such name
        assert other.query(TENANT) == [[""]]
        other.query("SELECT set_config('app.tenant', 'other', false), idle()")
        assert owner.query(TENANT) == [["owner"]]
        assert other.query(TENANT) == [["other"]]


@pytest.mark.parametrize(
    ("of_role", "init_query", "is_hasty"),
    [
        ("0", "", False),
        ("700", "", True),
        ("0", "SET statement_timeout = '700ms'", True),
        ("0", "SET statement_timeout = '30s'", False),
        ("700", "SET statement_timeout = '30s'", True),  # RESET goes back to that of the role
    ],
)
def test_a_short_timeout_that_connections_begin_with_is_known(
    postgres: Postgres, database: TestDatabase, of_role: str, init_query: str, is_hasty: bool
) -> None:
    postgres.sql(f"ALTER ROLE {database.user} SET statement_timeout = {of_role}")
    pool = {"init_query": init_query}
    with (
        Inside(postgres.port, database, pool=pool) as inside,
        RawClient(inside.port, database) as client,
    ):
        client.query("SELECT 1")
        found = inside.call(lambda manager: {each.begins_hasty for each in manager.servers})
    assert found == {is_hasty}


def test_what_is_sure_may_be_set_by_anybody_at_any_time(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    with RawClient(postgres.port, database) as direct:
        known = {
            str(name).lower(): (context, [value for value in values if value is not None])
            for name, context, *values in direct.query(
                "SELECT name, context, reset_val, min_val, max_val, enumvals[1],"
                " enumvals[array_upper(enumvals, 1)] FROM pg_settings"
            )
        }
        found = sorted(name for name in SURE - {"search_path", "row_security"} if name in known)
        assert len(found) > len(SURE) - 10  # others are of earlier or later versions
        direct.query("BEGIN; CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1 AS n; COMMIT")
        for name in found:
            context, values = known[name]
            assert context == "user", name
            for value in values:
                literal = "'" + value.replace("'", "''") + "'"
                direct.query(f"BEGIN READ ONLY; SELECT 1; SET {name} = {literal}; ROLLBACK")


def test_what_is_cut_short_leaves_no_client_under_anothers_settings(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(1))
    with RawClient(forebay.port, database) as hasty, RawClient(forebay.port, database) as slow:
        slow.query("SET app.tenant = 'slow'")
        _set_much(slow)
        hasty.query(f"SET app.tenant = 'hasty'; SET statement_timeout = {TIMEOUT_MS}")
        # It has its own settings, or hears that they were cancelled.
        assert _answer_or_sqlstate(slow) in ([["slow"]], "57014")
        assert hasty.query(TENANT) == [["hasty"]]


@pytest.mark.parametrize("message", ["Query", "Batch"])
def test_a_timeout_of_the_role_that_hits_a_change_over_lets_nothing_run(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, message: str
) -> None:
    """Forebay does not know of this timeout, so it has sent the statement along."""
    postgres.sql(
        "CREATE TABLE notes (tenant text DEFAULT current_setting('app.tenant'), note text);"
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY own ON notes USING (tenant = current_setting('app.tenant'));"
        f'GRANT ALL ON notes TO "{database.user}";'
        f"ALTER ROLE \"{database.user}\" SET statement_timeout = '{ROLE_TIMEOUT_MS}ms'",
        database=database.name,
    )
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(1))
    with RawClient(forebay.port, database) as slow, RawClient(forebay.port, database) as other:
        slow.query("SET statement_timeout = 0")
        slow.query("SET app.tenant = 'slow'")
        _set_much(slow, 3)
        slow.query("RESET statement_timeout")
        other.query("SET app.tenant = 'other'")
        other.query("INSERT INTO notes (note) VALUES ('of other')")
        insert = "INSERT INTO notes (note) VALUES ('of slow') RETURNING tenant"
        sent = messages.query(insert) if message == "Query" else run(insert) + SYNC
        answer = slow.ask(sent)
        assert [each.fields["C"] for each in answer if each.kind == "E"] == ["57014"]
        assert not [each for each in answer if each.kind == "D"]
        assert other.query("SELECT tenant, note FROM notes") == [["other", "of other"]]
    found = postgres.sql("SELECT tenant, note FROM notes", database=database.name)
    assert found == [("other", "of other")]


def test_settings_of_more_than_a_client_may_send_at_once_are_carried(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(1))
    with RawClient(forebay.port, database) as rich, RawClient(forebay.port, database) as other:
        _set_much(rich)
        for _ in range(2):
            assert other.query(TENANT) == [[""]]
            assert rich.query("SELECT length(current_setting('app.s7'))") == [[f"{CHARACTERS}"]]
            assert rich.ask(run("SELECT 1") + SYNC)[-2].kind == "C"


def test_what_runs_first_behind_a_change_over_runs_as_ever(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    """What may not run in a transaction block or in a pipeline, and what must be the first."""
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(1))
    with RawClient(forebay.port, database) as client, RawClient(forebay.port, database) as other:
        client.query("SET app.tenant = 'client'")
        client.query("CREATE TABLE t (n int)")
        for sql in (
            "VACUUM t",
            "CREATE INDEX CONCURRENTLY ON t (n)",
            "BEGIN ISOLATION LEVEL SERIALIZABLE",
            "DO 'BEGIN COMMIT; END'",
            "SELECT 1; SELECT 2",
            "COPY t TO STDOUT",
            "DISCARD ALL",
        ):
            for sent in (messages.query(sql), run(sql) + SYNC):
                if ";" in sql and sent.startswith(b"P"):
                    continue
                other.query("SET app.tenant = 'other'")
                answer = client.ask(sent)
                assert not [each.fields for each in answer if each.kind == "E"], sql
                client.query("ROLLBACK; SET app.tenant = 'client'")


def _set_much(client: RawClient, times: int = 1) -> None:
    for begin in range(0, times * SETTINGS, SETTINGS):
        calls = (
            f"set_config('app.s{n}',repeat('x',{CHARACTERS}),false)"
            for n in range(begin, begin + SETTINGS)
        )
        client.query(f"SELECT num_nulls({'),num_nulls('.join(calls)})")


def _answer_or_sqlstate(client: RawClient) -> object:
    try:
        return client.query(TENANT)
    except PgError as error:
        return error.sqlstate
