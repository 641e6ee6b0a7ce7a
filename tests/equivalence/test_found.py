"""Small programs that once showed a difference."""

from collections.abc import Callable

import pytest

from tests.equivalence.lanes import Step, World, differs
from tests.equivalence.wire import Op
from tests.harness import Postgres, TestDatabase


def query(lane: int, sql: str) -> Step:
    return Step(lane, (("query", sql),))


def batch(lane: int, *ops: Op) -> Step:
    return Step(lane, ops)


def runs(sql: str) -> tuple[Op, ...]:
    """From Parse to Execute, without names."""
    return ("P", "", sql), ("B", "", ""), ("E", "", "0")


S: Op = ("S",)
FOUND = {
    "an unknown statement in an aborted transaction": [
        query(0, "BEGIN; SELECT 1/0"),
        query(0, "BEGIN"),
        query(0, "SELECT 1/0"),
        batch(0, ("B", "", "unknown"), S),
        batch(0, ("D", "S", "unknown"), S),
    ],
    "a taken name is found out after the syntax error": [
        batch(0, ("P", "a", "SELECT 1"), S),
        batch(0, ("P", "a", "SELEC"), S),
        batch(0, ("P", "a", "SELECT 2"), S),
    ],
    "a name is free when the batch that defined it has failed": [
        batch(0, ("P", "a", "SELECT * FROM nowhere"), S, ("P", "a", "SELECT 1"), S),
        batch(0, ("B", "", "a"), ("E", "", "0"), S),
    ],
    "a Close that was skipped closes nothing": [
        batch(0, ("P", "a", "SELECT 1"), S),
        batch(0, ("P", "", "SELEC"), ("C", "S", "a"), S, ("P", "a", "SELECT 2"), S),
        batch(0, ("P", "", "SELEC"), ("C", "S", "a"), S, ("B", "", "a"), ("E", "", "0"), S),
    ],
    "an unnamed statement that is not known yet behind a command of Forebay's": [
        batch(
            0,
            ("P", "", "BEGIN; SET DateStyle = 'SQL'; COMMIT; SET app.first = 'after'"),
            ("B", "", ""),
            ("E", "", "0"),
            S,
            ("B", "", "", "x"),
            S,
        ),
    ],
    "what was told of a statement holds for no other that gets its name": [
        batch(0, ("P", "a", "SELECT 1"), S),
        batch(
            0,
            ("B", "", "a"),
            ("D", "P", ""),
            ("C", "S", "a"),
            ("P", "a", "SELECT 'one', 2"),
            ("E", "unknown", "0"),
            ("C", "S", "a"),
            S,
            ("B", "", "a"),
            ("E", "", "0"),
            S,
        ),
    ],
    "errors name statements as the client does": [
        batch(0, ("P", "a", "SELECT 1"), ("P", "b", "SELECT 1"), S),
        batch(0, ("B", "", "a", "1"), S),
        batch(0, ("B", "", "b", "1"), S),
    ],
    "an unnamed statement that failed is not there": [
        batch(0, ("P", "", "SELECT 1"), S),
        batch(0, ("P", "", "SELECT * FROM nowhere"), S),
        batch(0, ("B", "", ""), S),
        batch(0, ("P", "", "SELECT 2"), S),
        batch(0, ("P", "a", "SELEC"), ("P", "", "SELECT 3"), S),
        batch(0, ("B", "", ""), ("E", "", "0"), S),
    ],
    "a reset that does not run is not followed by anything": [
        Step(0, (("connect", "search_path", "{me}, public"),)),
        batch(
            0,
            ("P", "", "SELECT set_config('search_path', $1, false)"),
            ("B", "", "", "public"),
            ("E", "", "0"),
            S,
        ),
        batch(0, ("P", "odd", "SELECT who FROM place WHERE $1 = 'x'"), S),
        batch(
            0,
            ("P", "reset", "RESET search_path"),
            ("B", "", "reset"),
            ("P", "odd", "SELECT 1"),
            S,
        ),
    ],
    "what a client was told of one name, and defines by another": [
        Step(0, (("connect", "search_path", "{me}, public"),)),
        batch(0, ("P", "a", "SELECT place FROM place"), ("D", "S", "a"), S),
        batch(0, ("P", "b", "SELECT place FROM place"), S),
        query(0, "SET search_path TO public, {me}"),
        batch(0, ("B", "", "a"), ("E", "", "0"), S),
        batch(0, ("P", "c", "SELECT place FROM place"), ("D", "S", "c"), S),
        batch(0, ("B", "", "c"), ("E", "", "0"), S),
        batch(0, ("B", "", "a"), ("E", "", "0"), S),
    ],
    "what was told of a name that means something else by now": [
        batch(
            0,
            *(("P", "a", "SELECT 1"), ("D", "S", "a"), ("C", "S", "a"), ("P", "a", "COMMIT"), S),
        ),
        batch(0, ("D", "S", "a"), S),
        batch(0, ("B", "", "a"), ("E", "", "0"), S),
    ],
    "a RESET that fails behind what it would take back": [
        Step(0, (("connect", "role", "visitor"),)),
        batch(0, ("P", "a", "RESET ROLE"), S),
        query(0, "SET SESSION ROLE NONE"),
        batch(0, ("B", "", "a", "no number"), ("E", "", "0"), S),
        query(0, "SELECT current_setting('role'), current_user = session_user"),
        batch(0, *runs("RESET ROLE"), ("P", "", "SELEC"), S),
        query(0, "SELECT current_setting('role'), current_user = session_user"),
        query(0, "RESET ROLE; SELECT 1/0"),
        query(0, "SELECT current_setting('role'), current_user = session_user"),
    ],
    "DISCARD ALL in a batch that fails behind it, and what is reported then": [
        Step(0, (("connect", "options", "-c search_path={me} -c work_mem=8MB"),)),
        batch(0, ("P", "b", "DISCARD ALL"), ("B", "", "b"), ("E", "", "0"), ("E", "none", "0"), S),
        query(0, "SHOW work_mem"),
    ],
    "what is bound and not executed changes nothing": [
        Step(0, (("connect", "options", "-c work_mem=8MB"),)),
        query(0, "SET work_mem = '9MB'"),
        batch(0, ("P", "a", "SELECT 1"), S),
        batch(0, ("P", "", "RESET work_mem"), ("B", "", ""), S),
        query(0, "SHOW work_mem"),
        batch(0, ("P", "", "DISCARD ALL"), ("B", "p", ""), *runs("SET bytea_output = 'escape'"), S),
        query(0, "SHOW work_mem"),
        batch(0, ("P", "a", "SELECT 2"), S),
        query(0, "BEGIN"),
        batch(0, ("P", "", "DEALLOCATE ALL"), ("B", "p", ""), ("P", "b", "SELECT 2"), S),
        batch(0, ("E", "p", "0"), ("P", "a", "SELECT 3"), ("P", "b", "SELECT 3"), S),
        query(0, "COMMIT"),
        batch(0, ("B", "", "a"), ("E", "", "0"), ("B", "", "b"), ("E", "", "0"), S),
    ],
    "what is set behind a reset in the same request": [
        Step(0, (("connect", "options", "-c work_mem=8MB", "TimeZone", "Asia/Tokyo"),)),
        query(0, "RESET work_mem; SET work_mem = '9MB'"),
        query(0, "SHOW work_mem"),
        batch(0, *runs("RESET TIME ZONE"), *runs("SET timezone = 'UTC'"), S),
        query(0, "SHOW TimeZone"),
        query(0, "BEGIN"),
        query(0, "RESET ALL; SET LOCAL TIME ZONE INTERVAL '2:30' HOUR TO MINUTE"),
        query(0, "SHOW TimeZone"),
        query(0, "SHOW work_mem"),
        query(0, "RESET work_mem; SET LOCAL work_mem TO DEFAULT; SELECT 1"),
        query(0, "SHOW work_mem"),
        query(0, "COMMIT"),
        query(0, "SHOW TimeZone"),
        query(0, "SHOW work_mem"),
        query(0, "BEGIN; SET LOCAL work_mem TO DEFAULT; SET LOCAL work_mem = '7MB'"),
        query(0, "SHOW work_mem"),
        query(0, "COMMIT"),
        query(0, "SHOW work_mem"),
    ],
    "DISCARD ALL in a batch that fails behind it": [
        Step(0, (("connect", "role", "visitor"),)),
        batch(0, ("P", "b", "DISCARD ALL"), ("B", "", "b"), ("E", "", "0"), ("E", "none", "0"), S),
        query(0, "SELECT current_user = 'visitor'"),
        query(0, "SET ROLE NONE"),
        query(0, "SELECT current_user = 'visitor'"),
    ],
    "a time zone that is taken back for a transaction": [
        Step(0, (("connect", "timezone", "Asia/Tokyo"),)),
        query(0, "BEGIN"),
        query(0, "SET LOCAL TIME ZONE LOCAL"),
        query(0, "SHOW timezone"),
        query(0, "COMMIT"),
    ],
    "the unnamed statement after DEALLOCATE, and one that was not repeated": [
        batch(0, ("P", "", "SELECT 1"), ("P", "a", "SELECT 2"), S),
        query(0, "DEALLOCATE a"),
        batch(0, ("B", "", ""), ("E", "", "0"), S),
        batch(0, ("P", "", "SELECT 1"), S),
        batch(1, ("P", "", "SELECT 2"), S),
        batch(0, ("B", "", "unknown"), ("B", "", ""), ("E", "", "0"), S),
        batch(0, ("B", "", ""), ("E", "", "0"), S),
    ],
    "an unnamed statement that is back changes settings as it did": [
        batch(0, ("P", "", "SET work_mem = '9MB'"), S),
        batch(0, ("B", "", "unknown"), ("P", "", "SELECT 1"), S),
        batch(0, ("B", "", ""), ("E", "", "0"), S),
        query(1, "SHOW work_mem"),
        query(0, "SHOW work_mem"),
    ],
    "what one transaction could prepare another client cannot": [
        query(0, "BEGIN"),
        query(0, "SET LOCAL search_path TO {me}"),
        batch(0, ("P", "a", "SELECT count(*) FROM entry"), S),
        query(0, "COMMIT"),
        batch(1, ("P", "b", "SELECT count(*) FROM entry"), S),
        query(0, "CREATE TEMP TABLE mine (n int)"),
        batch(0, ("P", "c", "SELECT count(*) FROM mine"), S),
        batch(1, ("P", "c", "SELECT count(*) FROM mine"), S),
    ],
    "Describe of a statement that is understood no longer, and of one that would change": [
        query(0, "SET search_path TO {me}"),
        batch(0, ("P", "a", "SELECT * FROM entry"), ("D", "S", "a"), S),
        query(0, "SET search_path TO nowhere"),
        batch(0, ("D", "S", "a"), S, ("D", "S", "a"), S),
        query(0, "CREATE TEMP TABLE entry (other text)"),
        batch(0, ("D", "S", "a"), S),
    ],
    "what SQL has prepared is used and closed by protocol": [
        query(0, 'PREPARE "w""x" AS SELECT 4'),
        batch(0, ("D", "S", 'w"x'), ("B", "", 'w"x'), ("E", "", "0"), S),
        query(1, "SELECT 1"),
        batch(0, ("C", "S", 'w"x'), S),
        query(0, 'EXECUTE "w""x"'),
        batch(0, ("B", "", 'w"x'), S),
        query(0, "BEGIN; PREPARE own AS SELECT set_config('work_mem', '3MB', false)"),
        batch(0, ("B", "", "own"), ("E", "", "0"), S),
        query(0, "COMMIT"),
        query(1, "SHOW work_mem"),
        batch(0, ("B", "", "own"), ("E", "", "0"), ("C", "S", "own"), S),
        query(1, "SHOW work_mem"),
        query(0, "SHOW work_mem"),
        batch(0, ("B", "", "own"), S),
    ],
    "a custom setting of a login is nobody else's": [
        Step(0, (("connect", "app.first", "mine"),)),
        query(0, "SET work_mem = '8MB'"),
        query(1, "SELECT coalesce(current_setting('app.first', true), '')"),
        query(0, "SELECT current_setting('app.first')"),
    ],
    "a connection that does not take a client's settings serves it under nobody else's": [
        Step(1, (("connect", "app.tenant", "B", "temp_buffers", "16MB"),)),
        query(2, "BEGIN; CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1 AS n; COMMIT"),
        query(2, "SELECT set_config('app.tenant', 'A', false)"),
        query(1, "SELECT current_setting('app.tenant')"),
        query(1, "SHOW temp_buffers"),
        query(0, "BEGIN; CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1 AS n; COMMIT"),
        Step(3, (("connect", "temp_buffers", "24MB"),)),
        query(3, "SHOW temp_buffers"),
        query(2, "SELECT current_setting('app.tenant')"),
    ],
    "the seed of random() is set by a setting, too": [
        query(0, "SET seed = 0.5"),
        query(1, "SELECT setseed(0.1)"),
        query(0, "SELECT random()"),
        query(0, "SET LOCAL seed = 0.25"),
        query(1, "SELECT setseed(0.2)"),
        query(0, "SELECT random()"),
    ],
    "the name of a custom setting is beyond ASCII": [
        query(0, "SET app.gr\u00f6\u00dfe = '{me}'"),
        query(1, "SELECT coalesce(current_setting('app.gr\u00f6\u00dfe', true), '')"),
        query(0, "SELECT current_setting('app.gr\u00f6\u00dfe')"),
    ],
    "the name of a custom setting is beyond ASCII in a call": [
        query(0, "SELECT set_config('app.GR\u00d6SSE', '{me}', false)"),
        query(1, "SELECT coalesce(current_setting('app.GR\u00d6SSE', true), '')"),
        query(0, "SELECT current_setting('app.GR\u00d6SSE')"),
    ],
    "the name of a custom setting is longer than an identifier": [
        query(0, f"SELECT set_config('app.{'x' * 70}', '{{me}}', false)"),
        query(1, f"SELECT coalesce(current_setting('app.{'x' * 70}', true), '')"),
        query(0, f"SELECT current_setting('app.{'x' * 70}')"),
    ],
    "EXPLAIN ANALYZE of an UPDATE that sets": [
        query(
            0,
            "EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off, BUFFERS off)"
            " UPDATE pg_settings SET setting = '9MB' WHERE name = 'work_mem'",
        ),
        query(1, "SHOW work_mem"),
        query(0, "SHOW work_mem"),
    ],
    "the body of a DO hides its words": [
        query(0, r"DO E'BEGIN PERFORM s\145t_config(''app.x'', ''{me}'', false); END'"),
        query(1, "SELECT coalesce(current_setting('app.x', true), '')"),
        query(2, "DO 'BEGIN PERFORM set_'\n'config(''app.x'', ''{me}'', false); END'"),
        query(1, "SELECT coalesce(current_setting('app.x', true), '')"),
        query(3, "DO $$BEGIN PERFORM U&\"s\\0065t_config\"('app.x', '{me}', false); END$$"),
        query(1, "SELECT coalesce(current_setting('app.x', true), '')"),
        query(0, "SELECT current_setting('app.x')"),
    ],
    "a DISCARD that fails ends no sequence's value": [
        query(0, "SELECT nextval('{me}.counter')"),
        query(0, "DISCARD ALL nonsense"),
        query(0, "BEGIN; DISCARD ALL"),
        query(0, "ROLLBACK"),
        query(1, "SELECT lastval()"),
        query(0, "SELECT lastval()"),
        query(0, "DISCARD SEQUENCES; SELECT nextval('{me}.counter'); DISCARD ALL"),
        query(1, "SELECT lastval()"),
        query(0, "SELECT lastval()"),
        query(0, "DISCARD SEQUENCES"),
        query(0, "SELECT lastval()"),
    ],
    "tables are temporary under a search_path that begins with pg_temp": [
        query(0, "SET search_path = PG_TEMP, public"),
        query(0, "CREATE TABLE own (n int)"),
        query(1, "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()"),
        query(0, "SELECT count(*) FROM own"),
        query(2, "BEGIN; SET LOCAL search_path = \"$user\", 'pg_temp'; SELECT 1 INTO own; COMMIT"),
        query(1, "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()"),
        query(2, "DROP TABLE pg_temp.own"),
    ],
    "what is prepared behind DROP and CREATE means what is there now": [
        query(0, "CREATE TYPE {me}.mood AS ENUM ('glad'); CREATE TABLE {me}.t (n int)"),
        batch(0, ("P", "a", "SELECT * FROM {me}.t"), ("D", "S", "a"), ("C", "S", "a"), S),
        batch(0, ("P", "b", "INSERT INTO {me}.t VALUES ($1)"), ("C", "S", "b"), S),
        batch(0, ("P", "c", "SELECT $1::{me}.mood"), ("C", "S", "c"), S),
        query(0, "DROP TYPE {me}.mood; CREATE TYPE {me}.mood AS ENUM ('glad', 'sad')"),
        query(0, "DROP TABLE {me}.t; SELECT 'x' AS n, 1 AS m INTO {me}.t"),
        batch(0, ("P", "a", "SELECT * FROM {me}.t"), ("D", "S", "a"), S),
        batch(0, ("P", "b", "INSERT INTO {me}.t VALUES ($1)"), S),
        batch(0, ("B", "", "b", "y"), ("E", "", "0"), S),
        batch(0, ("P", "c", "SELECT $1::{me}.mood"), S),
        batch(0, ("B", "", "c", "sad"), ("E", "", "0"), S),
    ],
    "a table that is created before another one in the search_path is found": [
        query(0, "CREATE SCHEMA {me}_first"),
        query(0, "SET search_path = {me}_first, {me}"),
        batch(0, ("P", "a", "SELECT who FROM place"), ("B", "", "a"), ("E", "", "0"), S),
        query(0, "CREATE TABLE {me}_first.place (who text)"),
        batch(0, ("P", "b", "SELECT who FROM place"), ("B", "", "b"), ("E", "", "0"), S),
        query(0, "DROP SCHEMA {me}_first CASCADE"),
    ],
    "what was prepared while a table was another one": [
        query(0, "BEGIN; CREATE TABLE {me}.t (n int)"),
        batch(0, ("P", "a", "SELECT * FROM {me}.t WHERE n = $1"), S),
        query(0, "ROLLBACK"),
        query(0, "CREATE TABLE {me}.t (n text)"),
        batch(0, ("P", "b", "SELECT * FROM {me}.t WHERE n = $1"), S),
        batch(0, ("B", "", "b", "x"), ("E", "", "0"), S),
        query(0, "BEGIN; SAVEPOINT s; ALTER TABLE {me}.t ALTER n TYPE int USING 1"),
        batch(0, ("P", "c", "SELECT count(*) FROM {me}.t WHERE n = $1"), S),
        query(0, "ROLLBACK TO s"),
        batch(0, ("P", "d", "SELECT count(*) FROM {me}.t WHERE n = $1"), S),
        batch(0, ("B", "", "d", "x"), ("E", "", "0"), S),
        query(0, "ROLLBACK"),
    ],
    "what is prepared again under a search_path of the transaction is nobody else's": [
        query(0, "CREATE TABLE {me}.t (n bigint); CREATE SCHEMA {me}_b"),
        query(0, "CREATE TABLE {me}_b.t (n int); SET search_path = {me}"),
        batch(0, ("P", "a", "SELECT count(*) FROM t WHERE n = $1"), S),
        query(1, "DEALLOCATE ALL"),
        query(0, "BEGIN; SET LOCAL search_path = {me}_b"),
        batch(0, ("B", "", "a", "1"), ("E", "", "0"), S, ("B", "", "a", "2"), ("E", "", "0"), S),
        query(0, "ROLLBACK"),
        batch(0, ("B", "", "a", "5000000000"), ("E", "", "0"), ("D", "S", "a"), S),
        query(0, "DROP SCHEMA {me}_b CASCADE"),
    ],
    "a pinned client prepares behind DROP and CREATE": [
        query(0, "SELECT pg_advisory_lock({key}1)"),
        query(0, "CREATE TABLE {me}.t (n int)"),
        batch(0, ("P", "a", "SELECT * FROM {me}.t"), ("C", "S", "a"), S),
        query(0, "DROP TABLE {me}.t"),
        query(0, "CREATE TABLE {me}.t (n text, m int)"),
        batch(0, ("P", "a", "SELECT * FROM {me}.t"), ("D", "S", "a"), S),
    ],
}

# Of users who may do everything.
SUPERUSERS = {
    "what only a superuser may set is put in place and taken back before another role": [
        query(0, "SET log_min_duration_statement = 10000; SET ROLE visitor"),
        query(1, "SHOW log_min_duration_statement"),
        query(0, "SHOW log_min_duration_statement"),
        query(1, "SET app.tenant = 'B'; SET ROLE visitor"),
        query(0, "SHOW log_min_duration_statement"),
        query(1, "SELECT current_setting('app.tenant'), current_user"),
        query(0, "SELECT current_setting('log_min_duration_statement'), current_user"),
    ],
    "a role is put in place behind the user of the session, who would take it off": [
        query(0, "SET ROLE visitor"),
        query(1, "SET SESSION AUTHORIZATION visitor; SET ROLE visitor"),
        query(0, "SELECT current_user, current_setting('role')"),
        query(1, "SELECT session_user, current_user, current_setting('role')"),
        query(2, "SELECT session_user = current_user, current_setting('role')"),
        query(1, "SELECT session_user, current_user, current_setting('role')"),
    ],
    "what DISCARD ALL does not end does not reach the next client": [
        query(0, "SELECT pg_replication_origin_create('{me}') > 0"),
        query(0, "SELECT pg_replication_origin_session_setup('{me}')"),
        Step(0, (("leave",),)),
        query(1, "SELECT pg_replication_origin_session_is_setup()"),
        query(1, "SELECT count(*) FROM pg_create_physical_replication_slot('{me}', false, true)"),
        Step(1, (("leave",),)),
        query(2, "SELECT count(*) FROM pg_replication_slots WHERE active_pid = pg_backend_pid()"),
        Step(0, (("connect",),)),
        query(0, "SELECT pg_replication_origin_drop('{me}')"),
    ],
    "a block that calls what changes the session": [
        query(0, "SELECT pg_replication_origin_create('{me}') > 0"),
        query(0, "DO $$BEGIN PERFORM pg_replication_origin_session_setup('{me}'); END$$"),
        query(1, "SELECT pg_replication_origin_session_is_setup()"),
        query(0, "SELECT pg_replication_origin_session_reset()"),
        query(0, "SELECT pg_replication_origin_drop('{me}')"),
    ],
    "a backup ends where it began": [
        query(0, "SELECT count(*) FROM pg_backup_start('{me}', true)"),
        Step(0, (("leave",),)),
        query(1, "SELECT count(*) FROM pg_backup_start('{me}', true)"),
        query(1, "SELECT count(*) FROM pg_backup_stop(false)"),
    ],
    "a setting that not every role may see": [
        query(0, "SET dynamic_library_path = '/tmp'; SET ROLE visitor"),
        query(1, "SHOW dynamic_library_path"),
        query(0, "RESET ROLE"),
        query(0, "SHOW dynamic_library_path"),
    ],
}


@pytest.mark.parametrize("name", FOUND)
def test_no_difference(make_world: Callable[[int], World], name: str) -> None:
    found = differs(make_world(1), FOUND[name], together=1)
    assert found is None, str(found)


@pytest.mark.parametrize("name", SUPERUSERS)
def test_no_difference_to_superusers(
    make_world: Callable[[int], World], postgres: Postgres, database: TestDatabase, name: str
) -> None:
    postgres.sql(f'ALTER ROLE "{database.user}" SUPERUSER')
    found = differs(make_world(1), SUPERUSERS[name], together=1)
    assert found is None, str(found)
