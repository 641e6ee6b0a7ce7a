"""What is said of a statement, in both modes."""

import pytest

from forebay.cli.explanation import Reader, explain_text, lines_of
from forebay.session.causes import PinReason
from forebay.session.functions import functions_of
from forebay.worker.sessions.functions import SoughtFunctions

RDS = Reader("rds")
PREPARED = Reader("rds", prepared=True)
LONG = "SELECT '" + "x" * 17000 + "'"

# text, what it does (in part), reason in minimal mode, reason in rds mode
TEMP = "TEMPORARY_OBJECT"
STATEMENTS = [
    ("SELECT 1", "nothing that outlives", None, None),
    ("INSERT INTO t VALUES (1)", "nothing that outlives", None, None),
    ("BEGIN", "nothing that outlives", None, None),
    ("SET work_mem = '1MB'", "sets work_mem", None, "SETTING"),
    ("SET LOCAL work_mem = '1MB'", "until the transaction ends", None, "SETTING"),
    ("SET TRANSACTION READ ONLY", "changes a setting until the transaction", None, "SETTING"),
    ("SET SESSION TRANSACTION READ ONLY", "until the transaction ends", None, "SETTING"),
    ("SET CONSTRAINTS ALL DEFERRED", "changes a setting until the transaction", None, "SETTING"),
    ("SET TIME ZONE 'UTC'", "sets timezone", None, "SETTING"),
    ("RESET work_mem", "resets work_mem", None, "SETTING"),
    ("RESET ALL", "resets all settings", None, "SETTING"),
    ("SELECT set_config('a.b', 'c', false)", "sets a.b", None, "SETTING"),
    ("SELECT set_config('a.b', 'c', true)", "until the transaction", None, "SETTING"),
    ("SELECT set_config($1, $2, false)", "does not name", "SETTING", "SETTING"),
    ("PREPARE p AS SELECT 1", "prepares", "PREPARED_STATEMENT", "PREPARED_STATEMENT"),
    ("EXECUTE p", "runs the prepared statement p", None, "PREPARED_STATEMENT"),
    ("DEALLOCATE p", "drops the prepared statement p", None, "PREPARED_STATEMENT"),
    ("DEALLOCATE ALL", "drops all prepared", None, "PREPARED_STATEMENT"),
    ("DISCARD ALL", "discards session state (all)", None, "DISCARD"),
    ("CREATE TEMP TABLE t ()", "temporary table t", "TEMPORARY_OBJECT", "TEMPORARY_OBJECT"),
    ("CREATE TEMP TABLE t () ON COMMIT DROP", "at commit", None, "TEMPORARY_OBJECT"),
    ("SELECT 1 INTO TEMP t", "temporary table t", "TEMPORARY_OBJECT", "TEMPORARY_OBJECT"),
    ("IMPORT FOREIGN SCHEMA s FROM SERVER x INTO pg_temp", "temporary foreign table", *2 * (TEMP,)),
    ("CREATE TABLE t ()", "creates the table t (temporary where", None, None),
    ("IMPORT FOREIGN SCHEMA s FROM SERVER x INTO y", "creates the foreign table", None, None),
    ("CREATE INDEX ON t (a)", "nothing that outlives", None, None),
    ("SELECT * FROM pg_temp.t", "names pg_temp", None, None),
    ("SET search_path = tenant, pg_temp", "sets search_path", None, "SETTING"),
    ("DECLARE c CURSOR FOR SELECT 1", "for this transaction", None, "CURSOR"),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "outlives", "CURSOR", "CURSOR"),
    ("LISTEN a", "notifications on a", "LISTEN", "LISTEN"),
    ("UNLISTEN *", "stops listening", None, None),
    ("SELECT pg_advisory_lock(1)", "pg_advisory_lock()", "ADVISORY_LOCK", "ADVISORY_LOCK"),
    ("SELECT pg_advisory_unlock(1)", "pg_advisory_unlock()", None, None),
    ("SELECT pg_advisory_xact_lock(1)", "nothing that outlives", None, None),
    ("SELECT nextval('s')", "nextval()", None, "SEQUENCE"),
    ("ALTER TABLE t ALTER n SET DEFAULT nextval('s')", "nextval()", None, "SEQUENCE"),
    ("SELECT currval('s')", "currval()", "SEQUENCE", "SEQUENCE"),
    ("SELECT lastval()", "lastval()", "SEQUENCE", None),
    ("LOAD 'auto_explain'", "loads a library", "LOAD", "LOAD"),
    ("DO $$ BEGIN END $$", "code block", None, None),
    ("DO $$ BEGIN SET a.b = 1; END $$", "code block", "DO_BLOCK", None),
    ("SELECT setseed(0.1)", "setseed()", "SESSION_FUNCTION", None),
    ("SELECT 'no end", "cannot be read", "UNREADABLE", "UNREADABLE"),
    ("DO $$ BEGIN PERFORM pg_advisory_lock(1); END $$", "code block", "ADVISORY_LOCK", None),
    ("DO $$ BEGIN CREATE TEMP TABLE t (); END $$", "code block", "TEMPORARY_OBJECT", None),
    ("DO $$ BEGIN CREATE TEMP TABLE t () ON COMMIT DROP; END $$", "code block", None, None),
    ("SET search_path = pg_temp", "sets search_path", "SETTING", "SETTING"),
    ("SET LOCAL search_path = pg_temp", "sets search_path", None, "SETTING"),
    (LONG, "nothing that outlives", None, "STATEMENT_TOO_LONG"),
    ("SELECT 1".ljust(17000), "nothing that outlives", None, "STATEMENT_TOO_LONG"),
    (f"SET a.b = 1 /* {LONG} */", "sets a.b", "STATEMENT_TOO_LONG", "STATEMENT_TOO_LONG"),
    (f"/* {LONG} */ LISTEN a", "notifications", "STATEMENT_TOO_LONG", "STATEMENT_TOO_LONG"),
    (f"PREPARE p AS {LONG}", "prepares", "STATEMENT_TOO_LONG", "STATEMENT_TOO_LONG"),
]


@pytest.mark.parametrize(("text", "does", "minimal", "rds"), STATEMENTS)
def test_statements(text: str, does: str, minimal: str | None, rds: str | None) -> None:
    for mode, reason in (("minimal", minimal), ("rds", rds)):
        (found,) = explain_text(text.encode(), Reader(mode))  # type: ignore[arg-type]
        assert found.reason == reason
        assert found.pins == (reason is not None)
        assert does in "; ".join(found.does)
        assert (found.hint is None) == (found.until is None) == (found.why is None) != found.pins


def test_each_statement_by_itself() -> None:
    found = explain_text(b"SELECT 1; ; SET a = 'secret'; LISTEN b;")
    assert [each.statement for each in found] == ["select $1", "set a = $1", "listen b"]


def test_statements_of_one_message_count_together_in_rds_mode() -> None:
    found = explain_text(b";".join([b"SELECT 1".ljust(9000), b"SELECT 2".ljust(9000)]), RDS)
    assert {each.reason for each in found} == {"STATEMENT_TOO_LONG"}


def test_hints_fit_what_the_text_shows() -> None:
    for text, said in (
        (b"SELECT set_config($1, $2, false)", "Name the setting in the text"),
        (b"SET search_path = pg_temp", "another schema before pg_temp"),
        (b"SELECT 'no end", "Send values as parameters"),
        (b"SET LOCAL standard_conforming_strings = off", "without LOCAL"),
    ):
        (found,) = explain_text(text)
        assert said in str(found.hint)


@pytest.mark.parametrize("reason", PinReason)
def test_every_reason_has_a_hint(reason: PinReason) -> None:
    assert reason.cause.hint.endswith((".", ")"))


@pytest.mark.parametrize("text", [b"\xff\xfe", b"\x00", b"SET \xff = \x00", b'U&"\\00"', b"$a$"])
def test_nonsense(text: bytes) -> None:
    for mode in ("minimal", "rds"):
        assert explain_text(text, Reader(mode))  # type: ignore[arg-type]


def test_calls_of_functions_that_nobody_knows() -> None:
    text = b"SELECT app.f(), now(), set_tenant(1); SELECT g(); SELECT h(1) FROM t"
    listed = SoughtFunctions(functions_of({"app.set_tenant": "SETTING", "g": "NONE"}))
    found = explain_text(text, Reader("minimal", listed))
    assert [each.unseen for each in found] == [["app.f"], [], ["h"]]
    assert [each.unseen for each in explain_text(b"LISTEN a")] == [[]]
    assert not any(each.pins for each in found)


def test_each_has_its_line() -> None:
    found = explain_text(b"-- one\n\nSELECT 1;\nSELECT\n2; SELECT 3")
    assert [each.line for each in found] == [3, 4, 5]
    assert list(lines_of(b"a\nb\n\nc", ((0, 1), (2, 3), (5, 6)))) == [1, 2, 4]


def test_prepared_statements_that_have_a_name() -> None:
    (plain,) = explain_text(b"SELECT 1", RDS)
    (prepared,) = explain_text(b"SELECT 1", PREPARED)
    assert (plain.reason, prepared.reason) == (None, "PREPARED_STATEMENT")
    assert prepared.why == "Running a prepared statement."
    (setting,) = explain_text(b"SET a = 1", PREPARED)
    assert setting.reason == "SETTING"
    (minimal,) = explain_text(b"SELECT 1", Reader(prepared=True))
    assert not minimal.pins


def test_prepared_statements_are_sent_one_by_one() -> None:
    text = b";".join([b"SELECT 1".ljust(9000), b"SELECT 2".ljust(9000)])
    assert {each.reason for each in explain_text(text, PREPARED)} == {"PREPARED_STATEMENT"}
    (alone,) = explain_text(b"SELECT 1".ljust(17000), PREPARED)
    assert alone.reason == "STATEMENT_TOO_LONG"
