"""What ``forebay explain`` foretells is what happens, in both modes and by both protocols."""

import json

import pytest

from forebay.cli.explanation import Mode, Reader, explain_text
from forebay.protocol.messages import query, sync
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.raw import RawClient, bind, execute, parse

# Statements are explained each by itself, so no text here takes back what it did.
TEXTS = r"""
SELECT 1
SET work_mem = '1MB'
SET LOCAL work_mem = '1MB'
SET search_path = pg_temp
SET search_path TO "$user", pg_temp
SET SCHEMA 'pg_temp'
SET LOCAL search_path = pg_temp
SELECT set_config('search_path', 'pg_temp', false)
SELECT set_config('search_path', 'pg_temp', true)
SET seed = 0.5
SELECT set_config('seed', '0.5', true)
SET LOCAL standard_conforming_strings = off
SET standard_conforming_strings = off
SET client_encoding TO 'SJIS'
SET TRANSACTION READ ONLY
SET SESSION TRANSACTION READ ONLY
SET CONSTRAINTS ALL DEFERRED
RESET TRANSACTION ISOLATION LEVEL
RESET ALL
SET ROLE NONE
SET SESSION AUTHORIZATION DEFAULT
SET a.b.c = 1
SET XML OPTION DOCUMENT
SET TIME ZONE INTERVAL '+1' HOUR TO MINUTE
SELECT set_config(lower('WORK_MEM'), '1MB', false)
SELECT set_config(lower('WORK_MEM'), '1MB', true)
SELECT set_config('a.b', now()::text, false)
UPDATE pg_settings SET setting = '1MB' WHERE name = 'work_mem'
PREPARE p AS SELECT 1
PREPARE p AS SELECT 1; EXECUTE p
DEALLOCATE ALL
DISCARD ALL
DISCARD SEQUENCES
CREATE TEMP TABLE t (n int)
CREATE TEMP TABLE t (n int) ON COMMIT DROP
CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql RETURN 1
SELECT 1 AS n INTO LOCAL TEMPORARY TABLE t
SELECT 1 AS n INTO TABLE pg_temp.t
EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1
EXPLAIN ANALYZE DECLARE c CURSOR WITH HOLD FOR SELECT 1
WITH a AS (SELECT 1 AS n) SELECT * INTO TEMP t FROM a
CREATE TEMP VIEW v AS SELECT 1
DECLARE c BINARY INSENSITIVE SCROLL CURSOR WITH HOLD FOR SELECT 1
LISTEN a
UNLISTEN *
SELECT pg_advisory_lock(1)
SELECT pg_try_advisory_lock_shared(1, 2)
SELECT pg_advisory_xact_lock(1)
SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;
SELECT pg_catalog . nextval ('numbers')
SELECT U&"\006Eextval"('numbers')
LOAD 'plpgsql'
DO $$ BEGIN PERFORM pg_advisory_lock(1); END $$
DO $$ BEGIN PERFORM nextval('numbers'); END $$
DO $$ BEGIN CREATE TEMP TABLE t (n int); END $$
DO $$ BEGIN CREATE TEMP TABLE t (n int) ON COMMIT DROP; END $$
DO $$ BEGIN END $$; UPDATE rows SET n = 1
DO $$ BEGIN END $$; SET work_mem = '1MB'
DO 'BEGIN PERFORM set_config(''work_mem'', ''1MB'', false); END'
DO E'BEGIN END'
SELECT setseed(0.5)
SELECT 'no end
SELECT E'\'; SET work_mem = 1; --'
SELECT $x$; LISTEN a; $x$
SELECT 1 /* /* ; LISTEN a; */ */
SET TRANSACTION READ ONLY; LISTEN a
SET CONSTRAINTS ALL DEFERRED; SELECT nextval('numbers')
SELECT 1; SET LOCAL work_mem = '1MB'; DECLARE c CURSOR FOR SELECT 1
INSERT INTO rows DEFAULT VALUES
COPY (SELECT nextval('numbers')) TO STDOUT
""".strip().splitlines()
LONG = "x" * 17000
LONG_TEXTS = [
    "SELECT 1".ljust(17000),
    f"SELECT '{LONG}'",
    f"/* {LONG} */ SET work_mem = '1MB'",
    f"SELECT 1 -- {LONG}",
    f"SELECT pg_sleep(0), '{LONG}'",
]


@pytest.mark.parametrize("protocol", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("mode", ["minimal", "rds"])
def test_what_is_foretold_happens(
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    mode: Mode,
    protocol: str,
) -> None:
    proxy = {"require_tls": False, "pinning": mode}
    forebay = start_forebay(postgres.port, database, proxy=proxy, pool=connections(5))
    forebay.psql("CREATE TABLE rows (n int)", "CREATE SEQUENCE numbers").ok()
    foretold: dict[int, tuple[str, set[str]]] = {}
    for text in TEXTS + LONG_TEXTS:
        explained = explain_text(text.encode(), Reader(mode, prepared=protocol == "prepared"))
        if protocol != "simple" and len(explained) > 1:
            continue  # Parse takes one statement
        reasons = [each.reason for each in explained if each.reason]
        with RawClient(forebay.port, database) as client:
            # In rds mode the first pin is the only one.
            foretold[client.key[0]] = text, set(reasons[:1] if mode == "rds" else reasons)
            name = "named" if protocol == "prepared" else ""
            extended = parse(text, name) + bind(name=name) + execute() + sync()
            client.ask(query(text) if protocol == "simple" else extended)
            client.ask(query("SELECT 1"))
            client.leave()
    with RawClient(forebay.port, database) as last:
        last.query("LISTEN the_end")
        eventually(lambda: forebay.logged("listen the_end"))
    met = {client: (text, _pins(forebay, client)) for client, (text, _) in foretold.items()}
    assert met == foretold


def test_the_log_names_the_statement_that_pins(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, proxy={"require_tls": False})
    with RawClient(forebay.port, database) as client:
        for text in (
            "BEGIN",
            "CREATE TEMP TABLE mine (n int)",
            "SELECT pg_advisory_lock(42)",
            "SET work_mem = '1MB'",
            "COMMIT",
            "DROP TABLE mine",
            "BEGIN",
            "DO $$ BEGIN CREATE TEMP TABLE other (n int); END $$",
            "SELECT pg_advisory_unlock(42)",
            "LISTEN here",
            "COMMIT",
        ):
            client.query(text)
        client.query("SELECT 1")
        eventually(lambda: len(forebay.logged("was pinned")) == 4)
    told = [json.loads(line) for line in forebay.logged("was pinned")]
    assert {(line["reason"], line["msg"].partition(' Digest: "')[2]) for line in told} == {
        ("TEMPORARY_OBJECT", 'create temp table mine (n int)".'),
        ("ADVISORY_LOCK", 'select pg_advisory_lock($1)".'),
        ("TEMPORARY_OBJECT", 'do $1".'),
        ("LISTEN", 'listen here".'),
    }


def _pins(forebay: Forebay, client: int) -> set[str]:
    """Why a client that has left was pinned."""
    lines = [json.loads(line) for line in forebay.logged("was pinned")]
    return {line["reason"] for line in lines if line["clientConnection"] == client}
