"""What ``forebay explain`` says."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from forebay.cli import run
from forebay.cli.explain import explain_text
from forebay.session.causes import PinReason

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
        (found,) = explain_text(text.encode(), mode)  # type: ignore[arg-type]
        assert found.reason == reason
        assert found.pins == (reason is not None)
        assert does in "; ".join(found.does)
        assert (found.hint is None) == (found.until is None) == (found.why is None) != found.pins


def test_each_statement_by_itself() -> None:
    found = explain_text(b"SELECT 1; ; SET a = 'secret'; LISTEN b;", "minimal")
    assert [each.statement for each in found] == ["select $1", "set a = $1", "listen b"]


def test_statements_of_one_message_count_together_in_rds_mode() -> None:
    found = explain_text(b";".join([b"SELECT 1".ljust(9000), b"SELECT 2".ljust(9000)]), "rds")
    assert {each.reason for each in found} == {"STATEMENT_TOO_LONG"}


def test_hints_fit_what_the_text_shows() -> None:
    for text, said in (
        (b"SELECT set_config($1, $2, false)", "Name the setting in the text"),
        (b"SET search_path = pg_temp", "another schema before pg_temp"),
        (b"SELECT 'no end", "Send values as parameters"),
        (b"SET LOCAL standard_conforming_strings = off", "without LOCAL"),
    ):
        (found,) = explain_text(text, "minimal")
        assert said in str(found.hint)


@pytest.mark.parametrize("reason", PinReason)
def test_every_reason_has_a_hint(reason: PinReason) -> None:
    assert reason.cause.hint.endswith((".", ")"))


def test_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "LISTEN a[1]"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "  does   listens for notifications on a"
    assert said[2] == "  pins   LISTEN, until UNLISTEN"
    assert said[4].startswith("  hint   ")


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "SET a = 1", "--mode", "rds", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["pins"], found["reason"]) == (True, "SETTING")
    assert found["until"] == "the client disconnects"


CONFIG = """
[proxies.app]
session_settings = ["app.tenant"]
[proxies.app.session_functions]
"app.take_lock" = "ADVISORY_LOCK"
"app.set_tenant" = "SETTING"
setval = "NONE"
nextval = "SEQUENCE"
[[proxies.app.auth]]
secret = "env:APP"
[proxies.app.target]
hosts = ["db"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "forebay.toml"
    path.write_text(CONFIG)
    return path


def explained(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert run(["explain", *map(str, arguments), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    return dict(found)


def test_with_the_functions_of_a_configuration(
    capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    found = explained(capsys, "SELECT app.take_lock(1)", "--config", config)
    assert (found["reason"], found["until"]) == (
        "ADVISORY_LOCK",
        "no session-level advisory lock is held (pg_advisory_unlock)",
    )
    assert found["does"] == [
        "calls take_lock(), listed as taking or releasing an advisory lock",
    ]
    found = explained(capsys, "SELECT set_tenant('a')", "--config", config)
    assert not found["pins"]
    assert found["does"] == ["calls set_tenant(), listed as changing settings"]
    for arguments, pins in (
        (("SELECT nextval('s')", "--config", config), True),
        (("SELECT nextval('s')",), False),
        (("SELECT setval('s', 1)", "--config", config), False),
        (("SELECT setval('s', 1)", "--config", config, "--mode", "rds"), True),
        ((f"SELECT take_lock(), '{LONG[8:-1]}'", "--config", config), True),
    ):
        assert explained(capsys, *arguments)["pins"] == pins


def test_the_mode_of_a_configuration(capsys: pytest.CaptureFixture[str], config: Path) -> None:
    config.write_text(CONFIG.replace("[proxies.app]", '[proxies.app]\npinning = "rds"', 1))
    assert explained(capsys, "SET work_mem = 1", "--config", config)["pins"]
    assert not explained(capsys, "SELECT take_lock()", "--config", config)["pins"]
    assert explained(capsys, "SELECT take_lock()", "--config", config, "--mode", "minimal")["pins"]


def test_a_configuration_that_does_not_say_which(
    capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    config.write_text(
        CONFIG
        + CONFIG.replace("proxies.app", "proxies.other").replace(
            "[proxies.other]", "[proxies.other]\nlisten = ':1'"
        )
    )
    assert run(["explain", "SELECT 1", "--config", str(config)]) == 2
    assert "Name one with --proxy: app, other" in capsys.readouterr().err
    assert explained(capsys, "SELECT 1", "--config", config, "--proxy", "other")
    config.write_text("[proxies.app]\nlisten = 1")
    assert run(["explain", "SELECT 1", "--config", str(config)]) == 2
    assert "proxies.app.target.hosts: is missing" in capsys.readouterr().err


def test_as_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run(["explain", "SELECT a[1]; LISTEN b"]) == 0
    said = capsys.readouterr().out
    assert "[$1]" in said
    assert "LISTEN" in said
    assert "hint" in said


def test_a_table_shows_names_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run(["explain", r'LISTEN "x\[/b]"; LISTEN "\[red]y"; SELECT 1::date::text']) == 0
    said = capsys.readouterr().out
    for shown in (r"x\[/b]", r"\[red]y", "$1::date::text"):
        assert shown in said


def test_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"-- a comment\nSELECT 1")))
    assert run(["explain", "-"]) == 0
    assert capsys.readouterr().out.startswith("select $1\n")


@pytest.mark.parametrize("arguments", [[""], [" ; -- nothing"], ["SELECT 1", "--mode", "x"], []])
def test_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", *arguments]) == 2
    assert capsys.readouterr().err.startswith("forebay")


@pytest.mark.parametrize("text", [b"\xff\xfe", b"\x00", b"SET \xff = \x00", b'U&"\\00"', b"$a$"])
def test_nonsense(text: bytes) -> None:
    for mode in ("minimal", "rds"):
        assert explain_text(text, mode)  # type: ignore[arg-type]
