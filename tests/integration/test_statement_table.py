"""The table of statements in docs/sessions.md, row by row, against a real server in both modes."""

import functools
import itertools
import json
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from forebay.protocol.messages import message, query, sync
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.raw import RawClient, bind, execute, parse

PAGE = Path(__file__).parents[2] / "docs" / "sessions.md"
BACKEND_PID = 2026  # the number of the function pg_backend_pid
SERIAL = iter(itertools.count())


@dataclass(frozen=True)
class Scenario:
    """What a client does, and what it must find afterwards, on whatever connection it is.

    ``left``: whether that is what it did (else the defaults). ``ends``: the pin, in minimal mode.
    """

    run: tuple[bytes | str, ...]
    check: str = "SHOW work_mem"
    finds: str = "4MB"
    ends: str | None = None
    startup: tuple[tuple[str, str], ...] = ()
    lost_in_rds: bool = False  # unlisted there: what it leaves stays with the connection


def extended(sql: str, name: str = "") -> bytes:
    return parse(sql, name) + bind(name=name) + execute() + sync()


CALL = message(b"F", struct.pack("!Ihhh", BACKEND_PID, 0, 0, 0))
LONG = "x" * 17000
HERE = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"

SCENARIOS = {
    "plain": Scenario(("INSERT INTO rows DEFAULT VALUES", "NOTIFY a")),
    "ddl": Scenario(("CREATE TABLE new ()", "ALTER TABLE new ADD n int", "DROP TABLE new")),
    "transaction": Scenario(("BEGIN", "SELECT 1", "SAVEPOINT s", "RELEASE s", "COMMIT")),
    "copy": Scenario(("COPY rows TO STDOUT",)),
    "startup": Scenario((), "SHOW TimeZone", "Asia/Tokyo", startup=(("TimeZone", "Asia/Tokyo"),)),
    "set": Scenario(("SET work_mem = '1MB'",), finds="1MB"),
    "set_time_zone": Scenario(("SET TIME ZONE 'Asia/Tokyo'",), "SHOW TimeZone", "Asia/Tokyo"),
    "set_names": Scenario(("SET NAMES 'LATIN1'",), "SHOW client_encoding", "LATIN1"),
    "set_role": Scenario(("SET ROLE pg_monitor",), "SELECT current_user", "pg_monitor"),
    "set_characteristics": Scenario(
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",),
        "SHOW default_transaction_read_only",
        "on",
    ),
    "set_custom": Scenario(("SET my.own = 'x'",), "SHOW my.own", "x"),
    "set_rolled_back": Scenario(("BEGIN", "SET work_mem = '1MB'", "ROLLBACK")),
    "set_local": Scenario(("BEGIN", "SET LOCAL work_mem = '1MB'", "COMMIT")),
    "set_transaction": Scenario(("BEGIN", "SET TRANSACTION READ ONLY", "COMMIT")),
    "reset": Scenario(("RESET work_mem",)),
    "reset_all": Scenario(("RESET ALL",)),
    "set_config": Scenario(("SELECT set_config('work_mem', '1MB', false)",), finds="1MB"),
    "set_config_local": Scenario(("BEGIN", "SELECT set_config('work_mem', '1MB', true)", "COMMIT")),
    "set_config_unnamed": Scenario(
        ("SELECT set_config(lower('WORK_MEM'), '1MB', false)",), finds="1MB"
    ),
    "parse_unnamed": Scenario((extended("SELECT 1"),)),
    "parse_named": Scenario((extended("SELECT 1", "s"), bind(name="s") + execute() + sync())),
    "prepare": Scenario(("PREPARE p AS SELECT 7",), "EXECUTE p", "7", "DEALLOCATE p"),
    "deallocate_all": Scenario(("DEALLOCATE ALL",)),
    "discard_all": Scenario(("DISCARD ALL",)),
    "asyncpg_reset": Scenario(
        ("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;",)
    ),
    "temp_table": Scenario(
        ("CREATE TEMP TABLE mine (n int)",), "SELECT count(*) FROM mine", "0", "DROP TABLE mine"
    ),
    "temp_view": Scenario(
        ("CREATE TEMP VIEW mine AS SELECT 3 AS n",), "SELECT n FROM mine", "3", "DROP VIEW mine"
    ),
    "select_into_temp": Scenario(
        ("SELECT 3 AS n INTO TEMP mine",), "SELECT n FROM mine", "3", "DROP TABLE mine"
    ),
    "temp_by_path": Scenario(
        ("SET search_path = missing, pg_temp", "CREATE TABLE mine (n int)"),
        "SELECT count(*) FROM mine",
        "0",
        "DROP TABLE mine",
    ),
    "temp_on_commit_drop": Scenario(
        ("BEGIN", "CREATE TEMP TABLE mine (n int) ON COMMIT DROP", "COMMIT"),
        "SELECT to_regclass('mine') IS NULL",
        "t",
    ),
    "cursor": Scenario(("BEGIN", "DECLARE c CURSOR FOR SELECT 1", "FETCH c", "COMMIT")),
    "cursor_with_hold": Scenario(
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 5",), "FETCH c", "5", "CLOSE c"
    ),
    "listen": Scenario(("LISTEN here",), "SELECT pg_listening_channels()", "here", "UNLISTEN *"),
    "unlisten": Scenario(("UNLISTEN *", "CLOSE ALL")),
    "advisory_lock": Scenario(
        ("SELECT pg_advisory_lock(1)",), HERE, "1", "SELECT pg_advisory_unlock(1)"
    ),
    "advisory_xact_lock": Scenario(("SELECT pg_advisory_xact_lock(1)",), HERE, "0"),
    "nextval": Scenario(("SELECT nextval('numbers')", "SELECT setval('numbers', 5)")),
    "nextval_asked": Scenario(
        ("SELECT lastval()", "SELECT nextval('numbers')"),
        "SELECT currval('numbers') > 0",
        "t",
        "DISCARD SEQUENCES",
        startup=(("application_name", "asks"),),
    ),
    "lastval": Scenario(
        ("SELECT lastval()",),
        ends="DISCARD SEQUENCES",
        startup=(("application_name", "asks too"),),
    ),
    "serial_default": Scenario(("INSERT INTO rows DEFAULT VALUES",)),
    "load": Scenario(("LOAD 'plpgsql'",)),
    "do_block": Scenario(("DO $$ BEGIN END $$",)),
    "do_block_that_sets": Scenario(
        ("DO $$ BEGIN PERFORM set_config('work_mem', '1MB', false); END $$",),
        finds="1MB",
        lost_in_rds=True,
    ),
    "setseed": Scenario(("SELECT setseed(0.5)",)),
    "hidden": Scenario(("SELECT hidden()",), "SHOW TimeZone", "Asia/Tokyo"),
    "long_plain": Scenario((f"SELECT '{LONG}'", extended(f"SELECT '{LONG}'"))),
    "long_unclear": Scenario((f"SELECT pg_sleep(0), '{LONG}'",)),
    "unreadable": Scenario(("SELECT 'no end",)),
    "function_call": Scenario((CALL,)),
}


def documented() -> dict[str, list[str]]:
    """The rows of the table: their cells by the name of the row."""
    section = PAGE.read_text().split("## Statement by statement\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    split = [[cell.strip() for cell in line.split(" | ")] for line in lines]
    return {cells[0].removeprefix("| "): cells[1:] for cells in split}


ROWS = documented()


def pin_of(cell: str) -> str | None:
    found = re.match(r"pins `(\w+)`", cell)
    assert found or cell.startswith(("shared", "carried"))
    return found[1] if found else None


def test_every_row_has_a_scenario_and_no_other() -> None:
    assert list(ROWS) == list(SCENARIOS)
    assert all(len(cells) == 6 and all(cells) for cells in ROWS.values())


@pytest.fixture(scope="module")
def rig(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Forebay]]:
    """A Forebay of each mode, started when it is first asked for."""
    name = f"table_{tmp_path_factory.mktemp('table').parent.name.replace('-', '_')}"
    place = TestDatabase(name, name, "secret")
    postgres.create_user(name, place.password)
    postgres.create_database(name, owner=name)
    postgres.sql(f"GRANT pg_monitor TO {name}")
    running: list[Forebay] = []

    @functools.cache
    def started(mode: str) -> Forebay:
        directory = tmp_path_factory.mktemp(mode)
        proxy = {"require_tls": False, "pinning": mode}
        forebay = Forebay(
            directory, postgres.port, place, proxy=proxy, pool=connections(10)
        ).__enter__()
        running.append(forebay)
        forebay.psql(
            "CREATE TABLE IF NOT EXISTS rows (n serial)",
            "CREATE SEQUENCE IF NOT EXISTS numbers",
            "CREATE OR REPLACE FUNCTION hidden() RETURNS text LANGUAGE sql AS"
            " $$ SELECT set_config('TimeZone', 'Asia/Tokyo', false) $$",
        ).ok()
        return forebay

    yield started
    try:
        for forebay in running:
            forebay.check()
    finally:
        for forebay in running:
            forebay.stop()
        postgres.sql(f"DROP DATABASE {name} WITH (FORCE)")
        postgres.sql(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.mark.parametrize("mode", ["minimal", "rds"])
@pytest.mark.parametrize("row", SCENARIOS)
def test_a_row(rig: Callable[[str], Forebay], row: str, mode: str) -> None:
    forebay, scenario = rig(mode), SCENARIOS[row]
    expected = pin_of(ROWS[row][2 if mode == "minimal" else 3])
    with RawClient(forebay.port, forebay.database, dict(scenario.startup)) as client:
        for each in scenario.run:
            client.ask(query(each) if isinstance(each, str) else each)
        with RawClient(forebay.port, forebay.database) as other:
            # It takes the connection that came free last.
            other.query("BEGIN")
            if expected or not scenario.lost_in_rds:
                assert client.query(scenario.check) == [[scenario.finds]]
            if not scenario.lost_in_rds:
                assert other.query("SHOW work_mem") == [["4MB"]]
            other.query("ROLLBACK")
        pinned, ended = _told(forebay, client)
        assert (pinned, ended) == ([expected] if expected else [], [])
        if mode == "minimal" and scenario.ends:
            assert "until" in ROWS[row][2]
            client.query(scenario.ends)
            assert _told(forebay, client) == (pinned, pinned)
        client.leave()


def _told(forebay: Forebay, client: RawClient) -> tuple[list[str], list[str]]:
    """Why the client was pinned and which pins have ended, when all of the log is written."""
    client.ask(query("SELECT 1"))
    mark = f"mark_{next(SERIAL)}"
    with RawClient(forebay.port, forebay.database) as marking:
        marking.query(f"LISTEN {mark}")
        eventually(lambda: forebay.logged(rf"listen {mark}\b"))
    lines = [json.loads(line) for line in forebay.logged("was pinned|no longer pinned")]
    mine = [line for line in lines if line["clientConnection"] == client.key[0]]
    begun = [line["reason"] for line in mine if "was pinned" in line["msg"]]
    ended = [line["msg"].rpartition(" ")[2] for line in mine if "no longer" in line["msg"]]
    return begun, ended
