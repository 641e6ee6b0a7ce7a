"""A connection changes over from one client's settings to another's."""

from forebay.protocol.errors import PgError
from forebay.worker.session.replays import DECISIVE, SURE
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.raw import RawClient

PLAIN = {"require_tls": False}
TENANT = "SELECT coalesce(current_setting('app.tenant', true), '')"

# So many settings, of so many characters, take longer to put in place than the timeout.
SETTINGS = 300
CHARACTERS = 8000
TIMEOUT_MS = 4


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
        found = sorted(name for name in SURE - DECISIVE if name in known)
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
        for n in range(SETTINGS):
            slow.query(f"SELECT set_config('app.s{n}', repeat('x', {CHARACTERS}), false) IS NULL")
        hasty.query(f"SET app.tenant = 'hasty'; SET statement_timeout = {TIMEOUT_MS}")
        # It has its own settings, or hears that they were cancelled.
        assert _answer_or_sqlstate(slow) in ([["slow"]], "57014")
        assert hasty.query(TENANT) == [["hasty"]]


def _answer_or_sqlstate(client: RawClient) -> object:
    try:
        return client.query(TENANT)
    except PgError as error:
        return error.sqlstate
