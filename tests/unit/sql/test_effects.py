"""What each kind of statement does to the session."""

import pytest

from forebay.sql.effects import (
    Call,
    Command,
    Cursor,
    Detail,
    Effect,
    effects,
)
from forebay.sql.reasons import Reason
from forebay.sql.settings import SettingChange
from forebay.sql.temporary import Creation, TemporaryObject

NOTHING = """
SELECT 1
SELECT abalance FROM pgbench_accounts WHERE aid = 12345;
UPDATE t SET work_mem = 1 WHERE "set" = 'reset all'
INSERT INTO temp VALUES ('SELECT nextval(1)')
MERGE INTO temporary USING x ON true WHEN MATCHED THEN DELETE
SELECT nextval, set_config FROM lastval
SELECT nextval.a, 'x'::nextval FROM "nextval"
SELECT "NEXTVAL"('s')
SELECT my_nextval('s'), nextval2('s')
SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock_shared(1, 2)
SELECT 1 -- set_config('a', 'b', false)
SELECT 1 /* ; SET x = 1 */
/* nested /* */ */ SELECT $$; SET x = 1;$$
SELECT E'\\'; SET x = 1; --'
SELECT "a; SET x = 1"
SELECT 1 INTO t2
WITH s AS (SELECT * FROM pg_settings) SELECT * FROM s
EXPLAIN ANALYZE SELECT * FROM pg_settings
BEGIN; SELECT 1; COMMIT
START TRANSACTION; SAVEPOINT x; ROLLBACK TO x; RELEASE x; END
PREPARE TRANSACTION 'x'
COMMIT PREPARED 'x'; ROLLBACK PREPARED 'y'
ALTER ROLE bob SET work_mem = 1
ALTER DATABASE d SET search_path TO a
ALTER SYSTEM SET work_mem = 1
ALTER TABLE t SET (fillfactor = 70)
CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; NOTIFY x)
CREATE UNIQUE INDEX i ON t (lower(a))
CREATE OR REPLACE TRUSTED LANGUAGE l
CREATE FOREIGN DATA WRAPPER w
CREATE ROLE bob IN ROLE temp
CREATE CONSTRAINT TRIGGER t AFTER INSERT ON x FOR EACH ROW EXECUTE FUNCTION f()
CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW EXECUTE FUNCTION f()
SELECT 1 AS execute
INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING
COPY t FROM STDIN
NOTIFY c
CALL p(1)
FETCH 1 FROM c
CLOSE c
SHOW x
EXPLAIN SELECT 1
SELECT lo_open(1, 2)
""".strip().splitlines()


@pytest.mark.parametrize("text", NOTHING)
def test_no_effect(text: str) -> None:
    assert effects(text) == ()
    assert effects(text.encode(), ambiguous_encoding=True) == ()


T = TemporaryObject
F = "foreign table"


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        ("SELECT nextval('s')", Reason.SEQUENCE, Call("nextval")),
        ("SELECT NEXTVAL /* x */ ('s')", Reason.SEQUENCE, Call("nextval")),
        ("SELECT pg_catalog . nextval('s')", Reason.SEQUENCE, Call("nextval")),
        ("SELECT \"nextval\"('s')", Reason.SEQUENCE, Call("nextval")),
        ("SELECT U&\"\\006Eextval\"('s')", Reason.SEQUENCE, Call("nextval")),
        ("SELECT U&\"!006Eextval\" UESCAPE '!' ('s')", Reason.SEQUENCE, Call("nextval")),
        ("COPY (SELECT setval('s', 1)) TO STDOUT", Reason.SEQUENCE, Call("setval")),
        ("WITH x AS (SELECT currval('s')) SELECT 1", Reason.SEQUENCE, Call("currval")),
        ("CALL p(lastval())", Reason.SEQUENCE, Call("lastval")),
        ("SELECT pg_advisory_lock(1)", Reason.ADVISORY_LOCK, Call("pg_advisory_lock")),
        ("SELECT pg_advisory_unlock_all()", Reason.ADVISORY_LOCK, Call("pg_advisory_unlock_all")),
        ("SELECT setseed(0.5)", Reason.SESSION_FUNCTION, Call("setseed")),
        ("SELECT 1into temp t", Reason.TEMPORARY_OBJECT, T("table", "t")),
        ("SELECT 1 INTO LOCAL TEMPORARY TABLE t", Reason.TEMPORARY_OBJECT, T("table", "t")),
        ("SELECT 1 INTO pg_temp.t FROM x", Reason.TEMPORARY_OBJECT, T("table", "t")),
        ("CREATE TEMP TABLE a.T (a int)", Reason.TEMPORARY_OBJECT, T("table", "t")),
        (
            "CREATE LOCAL TEMPORARY TABLE IF NOT EXISTS t () ON COMMIT DROP",
            Reason.TEMPORARY_OBJECT,
            T("table", "t", on_commit_drop=True),
        ),
        ("CREATE TEMP TABLE t () ON COMMIT DELETE ROWS", Reason.TEMPORARY_OBJECT, T("table", "t")),
        ('CREATE OR REPLACE TEMP VIEW "V" AS x', Reason.TEMPORARY_OBJECT, T("view", "V")),
        ("CREATE TEMP RECURSIVE VIEW v (a) AS x", Reason.TEMPORARY_OBJECT, T("view", "v")),
        ("CREATE GLOBAL TEMP SEQUENCE s", Reason.TEMPORARY_OBJECT, T("sequence", "s")),
        ("CREATE FUNCTION pg_temp.f() RETURNS int", Reason.TEMPORARY_OBJECT, T("function", "f")),
        ("CREATE TABLE d.pg_temp_3.t ()", Reason.TEMPORARY_OBJECT, T("table", "t")),
        ("IMPORT FOREIGN SCHEMA s FROM SERVER x INTO pg_temp", Reason.TEMPORARY_OBJECT, T(F, "")),
        ('IMPORT FOREIGN SCHEMA s FROM SERVER x INTO "pg_temp"', Reason.TEMPORARY_OBJECT, T(F, "")),
        ("EXPLAIN ANALYZE CREATE TEMP TABLE t AS x", Reason.TEMPORARY_OBJECT, T("table", "t")),
        ("DECLARE c CURSOR FOR SELECT 1", Reason.CURSOR, Cursor("c", hold=False)),
        ("DECLARE cursor CURSOR WITH HOLD FOR x", Reason.CURSOR, Cursor("cursor", hold=True)),
        ("DECLARE c CURSOR WITHOUT HOLD FOR x", Reason.CURSOR, Cursor("c", hold=False)),
        ("LISTEN C", Reason.LISTEN, Command("LISTEN", "c")),
        ("UNLISTEN *", Reason.LISTEN, Command("UNLISTEN", "")),
        ("PREPARE p AS SELECT 1", Reason.PREPARE, Command("PREPARE", "p")),
        ("PREPARE transaction AS SELECT 1", Reason.PREPARE, Command("PREPARE", "transaction")),
        ("EXECUTE p(1)", Reason.PREPARE, Command("EXECUTE", "p")),
        ("EXPLAIN (ANALYZE) EXECUTE p", Reason.PREPARE, Command("EXECUTE", "p")),
        ('DEALLOCATE "P"', Reason.PREPARE, Command("DEALLOCATE", "P")),
        ("DEALLOCATE PREPARE p", Reason.PREPARE, Command("DEALLOCATE", "p")),
        ("DEALLOCATE prepare", Reason.PREPARE, Command("DEALLOCATE", "prepare")),
        ("DEALLOCATE ALL", Reason.PREPARE, Command("DEALLOCATE ALL", "")),
        ("DISCARD ALL", Reason.DISCARD, Command("DISCARD", "all")),
        ("LOAD 'auto_explain'", Reason.LOAD, Command("LOAD", "")),
        ("DO $$ begin end $$", Reason.DO_BLOCK, Command("DO", "")),
        ("DO LANGUAGE plpgsql ''", Reason.DO_BLOCK, Command("DO", "language")),
        ("/* c */ -- d\n LISTEN c", Reason.LISTEN, Command("LISTEN", "c")),
        ("; ;LISTEN c", Reason.LISTEN, Command("LISTEN", "c")),
        ("SELECT '", Reason.UNREADABLE, None),
        ("SELECT $a", Reason.UNREADABLE, None),
    ],
)
def test_effect(text: str, reason: Reason, detail: Detail | None) -> None:
    assert effects(text) == (Effect(reason, detail),)


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("CREATE TABLE temp (temporary int)", "table", "temp"),
        ("CREATE TABLE IF NOT EXISTS a.t ()", "table", "t"),
        ("CREATE UNLOGGED TABLE t (a int)", "unlogged table", "t"),
        ("CREATE TABLE t AS SELECT 1", "table", "t"),
        ("EXPLAIN (ANALYZE) CREATE TABLE t AS SELECT 1", "table", "t"),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", "view", "v"),
        ("CREATE RECURSIVE VIEW v (a) AS SELECT 1", "recursive view", "v"),
        ("CREATE MATERIALIZED VIEW IF NOT EXISTS v AS x", "materialized view", "v"),
        ("CREATE SEQUENCE s", "sequence", "s"),
        ("CREATE TYPE t AS (a int)", "type", "t"),
        ("CREATE DOMAIN d AS int", "domain", "d"),
        ("CREATE FUNCTION f() RETURNS int SET search_path = a AS 'x'", "function", "f"),
        ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", "function", "f"),
        ("CREATE OR REPLACE PROCEDURE p() AS 'x'", "procedure", "p"),
        ("CREATE AGGREGATE a (int) (SFUNC = f)", "aggregate", "a"),
        ("CREATE OPERATOR + (FUNCTION = f)", "operator", ""),
        ("CREATE COLLATION c FROM x", "collation", "c"),
        ("CREATE STATISTICS s ON a, b FROM t", "statistics", "s"),
        ("CREATE TEXT SEARCH PARSER p (START = f)", "text search parser", "p"),
        ("CREATE FOREIGN TABLE t () SERVER s", "foreign table", "t"),
        ("CREATE EXTENSION IF NOT EXISTS e", "extension", "e"),
        ("CREATE SCHEMA s CREATE TABLE t ()", "schema", "s"),
        ("CREATE anything NEW", "anything", "new"),
        ("IMPORT FOREIGN SCHEMA s FROM SERVER x INTO pg_catalog", "foreign table", ""),
        ("CREATE TABLE t (pg_temp int)", "table", "t"),
        ("SELECT 'x' AS pg_temp", "", ""),
        ("SELECT pg_tempo.x", "", ""),
        ("SELECT * FROM pg_temp.t", "", ""),
        ("DROP TABLE pg_temp.t", "", ""),
        ("INSERT INTO pg_temp.t VALUES (1)", "", ""),
        ("ALTER FUNCTION f SET search_path = a, pg_temp", "", ""),
    ],
)
def test_what_may_be_temporary(text: str, kind: str, name: str) -> None:
    found = {each.detail for each in effects(text)}
    assert Creation(kind, name) in found
    assert all(isinstance(each, Creation) for each in found)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("CREATE TABLE t ()", Creation("table", "t", likely=True)),
        ("SELECT 1 INTO t", Creation("table", "t", likely=True)),
        ("SELECT 1 INTO UNLOGGED TABLE a.t FROM x", Creation("table", "t", likely=True)),
        ("WITH x AS (SELECT 1) SELECT * INTO t FROM x", Creation("table", "t", likely=True)),
        ("(SELECT 1 INTO t)", Creation("table", "t", likely=True)),
        ("EXPLAIN ANALYZE SELECT 1 INTO t", Creation("table", "t", likely=True)),
        ("SELECT f()", Creation("", "")),
        ('SELECT a."f"(1) FROM t', Creation("", "")),
        ("SELECT insert.f(1)", Creation("", "")),
        ("UPDATE t SET a = f (b)", Creation("", "")),
        ("INSERT INTO t (a) VALUES (f())", Creation("", "")),
        ("CALL p()", Creation("", "")),
        ("COPY (SELECT f()) TO STDOUT", Creation("", "")),
        ("ALTER TABLE t ADD COLUMN a int DEFAULT f()", Creation("", "")),
        ("INSERT INTO t (a) SELECT b FROM u WHERE b IN (1) AND (c)", None),
        ("INSERT INTO s.t (a, b) VALUES (1, 2) ON CONFLICT (a) DO NOTHING", None),
        ("MERGE INTO t USING u ON (a) WHEN MATCHED THEN DELETE", None),
        ("SELECT a FROM t WHERE EXISTS (SELECT 1) ORDER BY a", None),
        ("SELECT count(*), pg_catalog.max(a), a::numeric(9, 2) FROM t WHERE at < now()", None),
        ("SELECT app.count(*) FROM t", Creation("", "")),
        ("BEGIN; SAVEPOINT s; COMMIT", None),
        ("FETCH 1 FROM c", None),
    ],
)
def test_what_may_be_temporary_under_pg_temp(text: str, detail: Creation | None) -> None:
    found = [each.detail for each in effects(text, under_pg_temp=True)]
    assert found == ([] if detail is None else [detail])
    if not text.startswith("CREATE"):
        assert not any(isinstance(each.detail, Creation) for each in effects(text))


def test_what_is_made_of_a_prepared_statement() -> None:
    assert effects("CREATE TABLE t AS EXECUTE p") == (
        Effect(Reason.PREPARE, Command("EXECUTE", "p")),
        Effect(Reason.CREATION, Creation("table", "t")),
    )


def test_several_statements_are_numbered() -> None:
    found = effects(
        "SELECT 1; LISTEN a; CREATE RULE r AS ON INSERT TO t DO (SELECT nextval('s'); NOTIFY x);"
        "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; END; RESET ALL"
    )
    assert [(effect.reason, effect.statement) for effect in found] == [
        (Reason.LISTEN, 1),
        (Reason.SEQUENCE, 2),
        (Reason.CREATION, 3),
        (Reason.SETTING, 4),
    ]


def test_a_parenthesis_that_does_not_close_hides_nothing() -> None:
    assert [effect.reason for effect in effects("SELECT (1; LISTEN a")] == [Reason.LISTEN]
    assert [effect.reason for effect in effects("CREATE FUNCTION f() BEGIN ATOMIC; LISTEN a")] == [
        Reason.CREATION,
        Reason.LISTEN,
    ]


def test_the_same_effect_within_a_statement_is_reported_once() -> None:
    assert len(effects("SELECT nextval('a'), nextval('b')")) == 1
    assert len(effects("SELECT nextval('a'); SELECT nextval('b')")) == 2


def test_the_turkish_dotted_capital_i_may_be_an_i() -> None:
    text = "SELECT SET_CONF\u0130G('a', 'b', false)"
    for encoding in ("utf-8", "iso-8859-9"):
        (effect,) = effects(text.encode(encoding))
        assert effect.reason is Reason.SETTING
    assert effects("SELECT \"set_conf\u0130g\"('a', 'b', false)") == ()


def test_backslashes_are_read_as_the_setting_says() -> None:
    text = "SELECT '\\'; LISTEN a; --'"
    assert [effect.reason for effect in effects(text)] == [Reason.LISTEN]
    assert effects(text, standard_conforming_strings=False) == ()


def test_lone_surrogates_do_no_harm() -> None:
    assert effects("SELECT '\ud800'") == ()


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("DECLARE c CURSOR FOR SELECT 1", True),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", False),
        ("CREATE TEMP TABLE t (a int) ON COMMIT DROP", True),
        ("CREATE TABLE pg_temp.t (a int) ON COMMIT DROP", True),
        ("CREATE TEMP TABLE t (a int)", False),
        ("LISTEN a", False),
    ],
)
def test_what_ends_with_the_transaction(text: str, ends: bool) -> None:
    assert [effect.ends_with_transaction for effect in effects(text)] == [ends]


def test_names_are_cut_as_postgresql_does() -> None:
    long = "x" * 70
    (effect,) = effects(f"SET app.{long} = 1")
    assert effect.detail == SettingChange("SET", f"app.{long[:63]}", "1")
    (effect,) = effects(f'DEALLOCATE "{long}"')
    assert effect.detail == Command("DEALLOCATE", long[:63])
    (effect,) = effects(f"SELECT set_config('app.{long}', '1', false)")
    assert effect.detail == SettingChange("set_config", f"app.{long}", "1")  # a string is not
