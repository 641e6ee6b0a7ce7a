"""Where RDS Proxy pins, as a table."""

import pytest

from forebay.session.causes import STATEMENT_LIMIT_BYTES, PinReason
from forebay.session.rds import rds_explanation, rds_pin
from forebay.sql.facts import facts_of, too_long
from forebay.sql.reading import Reading

PINS = {
    PinReason.SETTING: [
        "SET search_path = a, b",
        "set  session work_mem to '1MB'",
        "SET LOCAL work_mem = '1MB'",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET CONSTRAINTS ALL DEFERRED",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET NAMES 'UTF8'",
        "SET ROLE nobody",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SET TIME ZONE 'UTC'",
        "RESET ALL",
        "RESET work_mem",
        "SELECT set_config('a.b', '1', false)",
        "SELECT set_config('a.b', '1', true)",
        'SELECT pg_catalog."set_config"($1, $2, true)',
        "SELECT 1; SET x = 1",
        "/* psql */ SET x = 1",
        "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;",
    ],
    PinReason.PREPARED_STATEMENT: [
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "DEALLOCATE ALL",
        "CREATE TABLE t AS EXECUTE p",
    ],
    PinReason.DISCARD: ["DISCARD ALL", "DISCARD PLANS"],
    PinReason.TEMPORARY_OBJECT: [
        "CREATE TEMP TABLE t (n int)",
        "CREATE TEMPORARY VIEW v AS SELECT 1",
        "CREATE TEMP SEQUENCE s",
        "CREATE TEMP TABLE t (n int) ON COMMIT DROP",
        "SELECT 1 INTO TEMP t",
    ],
    PinReason.CURSOR: ["DECLARE c CURSOR FOR SELECT 1", "DECLARE c CURSOR WITH HOLD FOR SELECT 1"],
    PinReason.LISTEN: ["LISTEN here"],
    PinReason.LOAD: ["LOAD 'auto_explain'"],
    PinReason.SEQUENCE: ["SELECT nextval('s')", "SELECT setval('s', 1)", "SELECT currval('s')"],
    PinReason.ADVISORY_LOCK: [
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_lock(1)",
        "SELECT pg_advisory_lock_shared(1)",
    ],
    PinReason.UNREADABLE: ["SELECT 'no end"],
    PinReason.STATEMENT_TOO_LONG: ["SELECT '" + "x" * STATEMENT_LIMIT_BYTES + "'"],
}

SHARES = [
    "SELECT 1",
    "SELECT 'SET x = 1'",
    "UPDATE t SET x = 1",
    "INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET n = 2",
    "BEGIN",
    "START TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SAVEPOINT s",
    "COPY t FROM STDIN",
    "NOTIFY here",
    "UNLISTEN *",
    "CLOSE ALL",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT pg_try_advisory_xact_lock_shared(1)",
    "SELECT pg_advisory_unlock(1)",
    "SELECT lastval()",
    "SELECT setseed(0.5)",
    "DO $$ BEGIN PERFORM set_config('a.b', '1', false); END $$",
    "ALTER SYSTEM SET work_mem = '1MB'",
    "PREPARE TRANSACTION 'two'",
    "CREATE TABLE temp (n int)",
    "SELECT 1".ljust(STATEMENT_LIMIT_BYTES),
]


@pytest.mark.parametrize(
    ("text", "reason"), [(text, reason) for reason, texts in PINS.items() for text in texts]
)
def test_pins(text: str, reason: PinReason) -> None:
    raw = text.encode()
    facts = too_long(raw) if len(raw) > STATEMENT_LIMIT_BYTES else facts_of(raw)
    assert rds_pin(facts) is reason
    assert rds_pin(facts, named=True) is reason


@pytest.mark.parametrize("text", SHARES)
def test_does_not_pin(text: str) -> None:
    assert rds_pin(facts_of(text.encode())) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SET TRANSACTION READ ONLY; LISTEN here", PinReason.SETTING),
        ("LISTEN here; SET CONSTRAINTS ALL DEFERRED", PinReason.LISTEN),
        ("SELECT 1; SET CONSTRAINTS ALL DEFERRED; SELECT nextval('s')", PinReason.SETTING),
        ("SELECT 1; SELECT nextval('s'); SET x = 1", PinReason.SEQUENCE),
    ],
)
def test_the_first_statement_that_pins_is_the_reason(text: str, reason: PinReason) -> None:
    assert rds_pin(facts_of(text.encode())) is reason


def test_a_statement_with_a_name_pins() -> None:
    reason = rds_pin(facts_of(b"SELECT 1"), named=True)
    assert reason is PinReason.PREPARED_STATEMENT
    assert rds_explanation(reason, named=True) == "Running a prepared statement."


def test_strings_are_read_as_the_session_reads_them() -> None:
    text = rb"SELECT 'a\'; SET x = 1; --'"
    assert rds_pin(facts_of(text)) is PinReason.SETTING
    assert rds_pin(facts_of(text, Reading("UTF8", False))) is None


@pytest.mark.parametrize("reason", PinReason)
def test_every_reason_has_a_sentence(reason: PinReason) -> None:
    assert rds_explanation(reason).endswith(".")
