"""The command ``forebay explain``: what it reads, prints and ends with."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from forebay.cli import run

LONG = "SELECT '" + "x" * 17000 + "'"


def test_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "LISTEN a[1]"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "  does   listens for notifications on a"
    assert said[2] == "  pins   LISTEN, until UNLISTEN"
    assert said[4].startswith("  hint   ")
    assert said[5:] == ["1 statement: 1 pins, 0 call functions that cannot be seen"]


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "SET a = 1", "--mode", "rds", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["mode"], told["prepared"]) == ("rds", False)
    assert told["total"] == {"statements": 1, "pin": 1, "cannot_be_seen": 0}
    (found,) = told["statements"]
    assert (found["pins"], found["reason"]) == (True, "SETTING")
    assert found["until"] == "the client disconnects"
    assert (found["file"], found["line"], found["unseen"]) == (None, 1, [])


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
    (found,) = json.loads(capsys.readouterr().out)["statements"]
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
    assert capsys.readouterr().out.startswith("<stdin>:2: select $1\n")


@pytest.mark.parametrize("arguments", [[""], [" ; -- nothing"], ["SELECT 1", "--mode", "x"], []])
def test_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", *arguments]) == 2
    assert capsys.readouterr().err.startswith("forebay")


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("fine.sql").write_text("SELECT 1;\n\nINSERT INTO t (a) VALUES (now());\n")
    Path("pins.sql").write_text("SELECT 1;\nLISTEN a;\n")
    Path("unseen.sql").write_text("SELECT app.f()\n")
    Path("empty.sql").write_text("-- nothing yet\n")
    return tmp_path


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--file", "fine.sql", "pins.sql", "unseen.sql"], 0),
        (["--fail-on-pin", "--file", "fine.sql"], 0),
        (["--fail-on-pin", "--file", "fine.sql", "--file", "pins.sql"], 1),
        (["--fail-on-pin", "--file", "unseen.sql"], 0),
        (["--fail-on-unseen", "--file", "unseen.sql", "fine.sql"], 1),
        (["--fail-on-unseen", "--file", "pins.sql"], 0),
        (["--fail-on-unseen", "--fail-on-pin", "--file", "pins.sql"], 1),
        (["--fail-on-pin", "LISTEN a"], 1),
        (["--fail-on-pin", "SELECT 1", "LISTEN a"], 1),
        (["--fail-on-pin", "--mode", "rds", "SET a = 1"], 1),
        (["--fail-on-pin", "--mode", "minimal", "SET a = 1"], 0),
        (["--fail-on-pin", "--mode", "rds", "SELECT 1"], 0),
        (["--fail-on-pin", "--mode", "rds", "--prepared", "SELECT 1"], 1),
        (["--fail-on-pin", "--prepared", "SELECT 1"], 0),
        (["--fail-on-pin", "--json", "--file", "pins.sql"], 1),
        (["--fail-on-pin", "--file", "empty.sql", "fine.sql"], 0),
        (["--fail-on-pin", "--file", "empty.sql"], 2),
        (["--fail-on-pin", "--file", "missing.sql", "pins.sql"], 2),
    ],
)
def test_as_a_gate(arguments: list[str], code: int) -> None:
    assert run(["explain", *arguments]) == code


@pytest.mark.usefixtures("scripts")
def test_a_gate_shows_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    run(["explain", "--fail-on-pin", "--file", "empty.sql", "fine.sql", "unseen.sql", "pins.sql"])
    said = capsys.readouterr()
    shown = [line for line in said.out.splitlines() if not line.startswith(" ")]
    assert shown == [
        "unseen.sql:1: select app.f()",
        "pins.sql:2: listen a",
        "5 statements: 1 pins, 1 calls functions that cannot be seen",
    ]
    assert said.err == "forebay explain: note: there is no statement in empty.sql\n"


@pytest.mark.usefixtures("scripts")
def test_statements_of_files_have_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "--json", "--file", "fine.sql", "unseen.sql"]) == 0
    told = json.loads(capsys.readouterr().out)
    places = [(each["file"], each["line"]) for each in told["statements"]]
    assert places == [("fine.sql", 1), ("fine.sql", 3), ("unseen.sql", 1)]
    assert told["total"] == {"statements": 3, "pin": 0, "cannot_be_seen": 1}
    assert told["statements"][2]["unseen"] == ["app.f"]


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pins.sql"], "pins.sql: is the name of a file, not SQL: --file pins.sql reads it"),
        (["nowhere/x.sql"], "nowhere/x.sql: is the name of a file"),
        (["--file", "missing"], "missing: can't be read: No such file or directory"),
        (["--file", "."], ".: can't be read: Is a directory"),
        (["--file", "empty.sql"], "there is no statement in empty.sql"),
        (["--file", "-", "-"], "standard input can be read only once"),
        ([";"], "there is no statement in the text"),
        (["SELECT '\udcff'"], "the SQL:1: is not UTF-8 (byte 0xff)"),
        ([], "nothing to read: give SQL, or --file FILE"),
    ],
)
def test_what_cannot_be_read(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", "--fail-on-pin", *arguments]) == 2
    assert said in capsys.readouterr().err
