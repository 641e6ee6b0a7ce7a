"""Strategies that make statement text: garbage, near-SQL, and valid SQL in every spelling."""

import re

from hypothesis import strategies as st

from forebay.sql.lexer import Kind, lex


def _split(*lines: str) -> list[str]:
    return [word for line in lines for word in line.split()]


BLANKS = [" ", "\n", "\t ", "\r\n", " -- it's\n", "/**/", "/* a; 'b */", "/* /* ' */ \" */", "--\r"]

WORDS = _split(
    "select set SET local session transaction constraints reset all from to time zone default",
    "into temp TEMP temporary temporaryx tempo global create or replace table view sequence",
    "insert merge nextval NextVal setval currval lastval set_config setseed pg_advisory_lock",
    "pg_advisory_xact_lock pg_temp pg_temp_3 public declare cursor with hold for listen unlisten",
    "prepare execute deallocate discard load do begin commit end case atomic function as explain",
    "true false null uescape u e b n x values update delete a set_conf\u0130g nextva\u0142",
)

FRAGMENTS = [
    *BLANKS,
    *WORDS,
    *_split(
        r"; ; ; ( ) ( ) , . [ ] + - * / < > = ~ ! @ # % ^ & | ` ? : :: := .. $ $1 $$ $a$ \ { }",
        r"""' " '' "" 'a' 'it''s' 'a\' 'a\\' E'a\'' e'\\' E'\ B'01' x'1F' N'a' U&'\0061' '!'""",
        r"""  "a" "nextval" "set_config" "pg_temp" "temp" "A""b" U&"nextv\0061l" U&"d!0061" u&" """,
        "0 1 12.5 .5 1. 1e5 1e 1e+ 0x1F 0xg 1_000 1_ 1into 1e5into $1into 1..2 0b1e' 0o17",
        "/* */ -- $a$b$a$ $b$ \u00e9 \u0130 \u00e9| \u00e9\\ \u30bd $\u00e9$",
    ),
]

garbage_bytes = st.one_of(
    st.binary(max_size=80),
    st.lists(st.sampled_from(list("'\"$/*-;\\&uUeEa1 \n(\x00\u00e9")), max_size=60).map(
        lambda parts: "".join(parts).encode()
    ),
)
near_sql = st.lists(st.sampled_from(FRAGMENTS), max_size=25).map(
    lambda parts: "".join(parts).encode()
)
# As a client with one of the encodings in which half a character may look like ASCII would send it.
half_characters = st.lists(
    st.one_of(
        st.sampled_from(FRAGMENTS).map(str.encode),
        st.sampled_from([b"\x83\\", b"\x81@", b"\x81_", b"\x81\xb0"]),
    ),
    max_size=20,
).map(b"".join)
any_text = st.one_of(garbage_bytes, near_sql, half_characters)

FUNCTION_CALLS = [
    "{f}nextval('s')",
    "{f}setval('s', 1)",
    "{f}currval('s')",
    "{f}lastval()",
    "{f}set_config('a.b', 'c', true)",
    "{f}set_config('a.b', 'c', false)",
    "{f}set_config('a.b', $1, $2)",
    "{f}setseed(0.5)",
    "{f}pg_advisory_lock(1)",
    "{f}pg_try_advisory_lock_shared(1, 2)",
    "{f}pg_advisory_unlock_all()",
    "{f}pg_advisory_xact_lock(1)",
    "{f}count(nextval)",
    "{f}now()",
]
STATEMENTS = [
    "SELECT {call}",
    "SELECT a, {call} AS nextval FROM t WHERE b = 'nextval(1)' AND c = $x$ set_config( $x$",
    "INSERT INTO temp (a) VALUES ({call}, 1.5, E'it\\'s', \"nextval\")",
    "WITH x AS (UPDATE t SET work_mem = {call} RETURNING 1) SELECT * FROM x",
    "COPY (SELECT {call}) TO STDOUT",
    "EXPLAIN (ANALYZE, VERBOSE) SELECT {call}",
    "SET work_mem = '64MB'",
    "SET SESSION work_mem TO DEFAULT",
    "SET LOCAL work_mem = 1000",
    "SET local.x = 'y'",
    "SET session.x TO 'y', z",
    "SET transaction.x = 1",
    'SET "Work_Mem" = 5',
    "SET TIME ZONE 'UTC'",
    "SET LOCAL TIME ZONE LOCAL",
    "SET NAMES 'utf8'",
    "SET ROLE bob",
    "SET SCHEMA 'x'",
    "SET SESSION AUTHORIZATION bob",
    "SET LOCAL SESSION AUTHORIZATION bob",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET LOCAL TRANSACTION READ ONLY",
    "SET CONSTRAINTS ALL DEFERRED",
    "SET XML OPTION DOCUMENT",
    "RESET work_mem",
    "RESET ALL",
    "RESET TIME ZONE",
    "RESET SESSION AUTHORIZATION",
    "CREATE TEMP TABLE t (a int)",
    "CREATE LOCAL TEMPORARY TABLE IF NOT EXISTS t (a int) ON COMMIT DROP",
    "CREATE GLOBAL TEMP TABLE t AS SELECT 1",
    "CREATE OR REPLACE TEMP VIEW v AS SELECT 1",
    "CREATE TEMP RECURSIVE VIEW v (a) AS SELECT 1",
    "CREATE TEMPORARY SEQUENCE s",
    "CREATE UNLOGGED TABLE t (temp int)",
    "CREATE TABLE pg_temp.t (a int)",
    'CREATE TABLE "pg_temp".t AS SELECT {call}',
    "CREATE VIEW pg_temp.t AS SELECT 1",
    "CREATE TABLE t AS EXECUTE p",
    "CREATE TABLE temp (temporary int, execute text)",
    "SELECT 1 INTO TEMP t",
    "SELECT 1 INTO LOCAL TEMPORARY TABLE t FROM x",
    "SELECT 1 INTO pg_temp.t",
    "SELECT 1 INTO t",
    "SELECT * FROM pg_temp.t",
    "SELECT temp, temporary FROM set",
    "DECLARE c CURSOR FOR SELECT 1",
    "DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT {call}",
    "DECLARE cursor BINARY CURSOR WITHOUT HOLD FOR SELECT 1",
    "LISTEN c",
    "UNLISTEN *",
    "NOTIFY c, 'x'",
    "PREPARE p (int) AS SELECT $1",
    "PREPARE transaction AS SELECT 1",
    "PREPARE TRANSACTION 'x'",
    "COMMIT PREPARED 'x'",
    "EXECUTE p (1)",
    "EXPLAIN ANALYZE EXECUTE p (1)",
    "DEALLOCATE p",
    "DEALLOCATE PREPARE ALL",
    "DISCARD ALL",
    "DISCARD TEMP",
    "LOAD 'auto_explain'",
    "DO $body$ BEGIN PERFORM 1; END $body$",
    "CALL p({call})",
    "BEGIN ISOLATION LEVEL SERIALIZABLE",
    "START TRANSACTION READ ONLY",
    "SAVEPOINT set",
    "ROLLBACK TO SAVEPOINT set",
    "COMMIT",
    "ALTER ROLE bob SET work_mem = 1",
    "ALTER SYSTEM SET work_mem = 1",
    "ALTER DATABASE d RESET ALL",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = a AS 'select 1'",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 AS case, 2 AS end; END",
    "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; NOTIFY x; DELETE FROM u)",
    "FETCH 1 FROM c",
    "CLOSE ALL",
    "LOCK TABLE t",
    "TRUNCATE t",
    "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
    "SELECT U&\"d!0061t\" UESCAPE '!', 'a'\n  'b', N'x', B'01', 1.5e-3, x'1f', a->>'b', -1, 2+-+3",
]
NAMES = ["nextval", "setval", "set_config", "pg_advisory_lock", "setseed", "work_mem", "count"]


def _spelt(word: str, choice: int) -> str:
    """A word in another case."""
    return (word, word.upper(), word.lower(), word.swapcase())[choice]


@st.composite
def valid_statement(draw: st.DrawFn) -> str:
    """One statement that PostgreSQL parses, with blanks, comments and case at random."""
    schema = draw(st.sampled_from(["", "pg_catalog.", "public . ", '"x y".']))
    call = draw(st.sampled_from(FUNCTION_CALLS)).replace("{f}", schema)
    quoting = draw(st.integers(0, 3))
    if quoting == 1:
        call = re.sub(r"\b(\w+)\(", r'"\1"(', call)
    elif quoting == 2:
        call = re.sub(r"\b(\w)(\w*)\(", lambda m: f'U&"\\{ord(m[1]):04x}{m[2]}"(', call)
    text = draw(st.sampled_from(STATEMENTS)).replace("{call}", call).encode()
    pieces: list[bytes] = []
    before = 0
    for token in lex(text).tokens:
        gap = text[before : token.start]
        if gap or draw(st.integers(0, 4)) == 0:
            gap += draw(st.sampled_from(BLANKS)).encode()
        piece = text[token.start : token.end]
        if token.kind is Kind.WORD:
            piece = _spelt(piece.decode(), draw(st.integers(0, 3))).encode()
        touching = before == token.start and before > 0
        if touching and gap and token.kind in (Kind.OPERATOR, Kind.COLON, Kind.PUNCTUATION):
            gap = b" "
        pieces += (gap, piece)
        before = token.end
    return b"".join(pieces).decode()


@st.composite
def valid_text(draw: st.DrawFn) -> str:
    """Several statements, with semicolons and blanks between them."""
    found = draw(st.lists(valid_statement(), min_size=1, max_size=4))
    return ";".join(found) + draw(st.sampled_from(["", ";", " ; ;", ";\n-- end", "/* x */"]))
