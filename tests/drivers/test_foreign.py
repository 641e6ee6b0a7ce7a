"""Drivers that are not ours, at their defaults, see through Forebay what they see directly.

Each scene runs twice, in databases of its own: straight at PostgreSQL, and through a Forebay whose
two database connections change hands between the clients. What the programs report of each step
must be the same: values and their types, columns, SQLSTATEs, and whether the driver healed itself.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import _database
from tests.drivers.foreign import scenes as _scenes  # noqa: F401  # they join GROUPS
from tests.drivers.foreign import schema_scenes as _schema_scenes  # noqa: F401
from tests.drivers.foreign.comparing import differences
from tests.drivers.foreign.groups import GROUPS, Scene
from tests.drivers.foreign.steps import BESIDE, MAIN, changing_hands, plain, query
from tests.drivers.foreign.toolchains import DRIVERS, program
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections

pytestmark = pytest.mark.timeout(900)  # the first builds the program

TIMEOUT_S = 240.0
WITHOUT_TLS = {"tokio-postgres"}  # there it is another crate's
# A driver's own mistakes: postgres.js waits for ever when the database refuses what it copied.
UNFIT = {("postgres.js", "copying_in_vain")}
EMPTY = [
    plain("DROP SCHEMA IF EXISTS public, a, b, c CASCADE; CREATE SCHEMA public", BESIDE),
]
HANDS = list(changing_hands([query("SELECT pg_backend_pid()")] * 6))
Record = dict[str, Any]


@pytest.fixture
def database_apart(postgres: Postgres) -> Iterator[TestDatabase]:
    """Another database, for the run without Forebay."""
    yield from _database(postgres)


def door(port: int, database: TestDatabase, tls: bool) -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": port,
        "user": database.user,
        "password": database.password,
        "database": database.name,
        "tls": tls,
    }


def carry_out(
    driver: str, scenes: dict[str, Scene], through: dict[str, Any], beside: dict[str, Any]
) -> dict[str, list[Record]]:
    """What the driver's program reports of each step; it begins each scene in an empty database."""
    script = {name: [*EMPTY, *steps] for name, steps in scenes.items()}
    done = subprocess.run(
        program(driver),
        input=json.dumps({"through": through, "beside": beside, "scenes": script}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    reports: dict[str, list[Record]] = json.loads(done.stdout)
    assert {name: len(records) for name, records in reports.items()} == {
        name: len(steps) for name, steps in script.items()
    }
    return {name: records[len(EMPTY) :] for name, records in reports.items()}


@pytest.fixture
def shared(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> Forebay:
    """A Forebay with two database connections."""
    proxy = {"require_tls": False}
    return start_forebay(postgres.port, database, proxy=proxy, pool=connections(2))


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_driver_sees_what_it_sees_directly(
    shared: Forebay,
    postgres: Postgres,
    database: TestDatabase,
    database_apart: TestDatabase,
    driver: str,
    group: str,
) -> None:
    scenes = {name: steps for name, steps in GROUPS[group].items() if (driver, name) not in UNFIT}
    straight = door(postgres.port, database_apart, tls=False)
    directly = carry_out(driver, scenes, straight, straight)
    there = door(shared.port, database, tls=driver not in WITHOUT_TLS)
    beside = door(postgres.port, database, tls=False)
    through = carry_out(driver, {**scenes, "hands": HANDS}, there, beside)
    assert len(connections_of(MAIN, through["hands"], HANDS)) == 2, "the premise of the scenes"
    found = []
    for name, steps in scenes.items():
        differing = differences(steps, directly[name], through[name])
        found += [f"{driver}, {name}:", *differing] if differing else []
    assert not found, "\n".join(found)


def connections_of(name: str, records: list[Record], steps: Scene) -> set[str]:
    """The database connections that a session was given."""
    pairs = zip(records, steps, strict=True)
    return {record["rows"][0][0] for record, step in pairs if step["who"] == name}


def test_only_a_stale_plan_is_forgiven() -> None:
    """And only where the driver sees at once what it sees directly once it has healed."""
    steps = [query("SELECT v"), query("SELECT v"), query("SELECT w")]
    stale, rows = {"error": "0A000", "message": "…"}, {"rows": [["int:1"]]}
    assert not differences(steps, [stale, rows, rows], [rows, rows, rows])
    assert not differences(steps, [stale, rows, rows], [stale | {"message": "other"}, rows, rows])
    wrong = {"rows": [["int:2"]]}
    for directly, through in [
        ([stale, rows, rows], [wrong, rows, rows]),
        ([rows, rows, rows], [stale, rows, rows]),
        ([rows, rows, rows], [rows, rows, wrong]),
        ([{"error": "26000"}, rows, rows], [rows, rows, rows]),
        ([rows, rows, stale], [rows, rows, rows]),
    ]:
        assert len(differences(steps, directly, through)) == 1
