"""Applications with drivers and pools at their defaults, over a failover: what they were told has
happened is there once, those of their connections that rest notice nothing, all go on writing."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.drivers.foreign.toolchains import Command, program_of
from tests.harness import Forebay
from tests.nemesis import applications, faults
from tests.nemesis.account import account
from tests.nemesis.applications.running import SHARE, Place, Running
from tests.nemesis.faults import Fault
from tests.nemesis.pair import LOGIN, Pair

pytestmark = pytest.mark.nemesis

HERE = Path(applications.__file__).parent
PYTHON = (
    "sqlalchemy-psycopg2",
    "sqlalchemy-psycopg",
    "sqlalchemy-asyncpg",
    "psycopg-pool",
    "asyncpg-pool",
    "django",
)
FOREIGN = {
    "go": ("pgx", "pgx-sql", "lib/pq"),
    "java": ("pgjdbc", "hikari"),
    "node": ("node-postgres", "node-postgres-named", "postgres.js"),
    "rust": ("tokio-postgres",),
}
RETRYABLE = {"in_transaction_error": "retryable"}
TABLES = (
    # Only who has the search_path of resting connections finds this.
    "CREATE SCHEMA apart",
    "CREATE TABLE apart.kept (n int, what text)",
    "INSERT INTO apart.kept VALUES (1, 'still there')",
    # Writes take a while, so that most of them are under way when something happens.
    """CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_sleep(0.03); RETURN NEW; END $$""",
    "CREATE TRIGGER slowly BEFORE INSERT ON writes FOR EACH ROW EXECUTE FUNCTION slowly()",
)


def in_python() -> list[tuple[str, Command]]:
    command = [sys.executable, str(HERE / "python_applications.py")]
    return [(driver, [*command, driver]) for driver in PYTHON]


@contextlib.contextmanager
def at_work(
    forebay: Forebay, directory: Path, programs: list[tuple[str, Command]]
) -> Iterator[list[Running]]:
    """These applications, all at once."""
    place = Place(forebay.port, LOGIN.user, LOGIN.password, LOGIN.name)
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(Running(driver, command, place, number, directory))
            for number, (driver, command) in enumerate(programs)
        ]
        for each in running:
            each.wait_for_start()
        yield running


def assert_they_go_on(
    pair: Pair, forebay: Forebay, directory: Path, programs: list[tuple[str, Command]], fault: Fault
) -> list[Running]:
    """The fault strikes these applications, the standby is promoted."""
    with pair.primary.session(LOGIN.user) as session:
        for text in TABLES:
            session.query(text)
    with at_work(forebay, directory, programs) as running:
        fault(pair)
        pair.promote()
        promoted_s = time.monotonic()
        for each in running:
            each.wait_for_writes(promoted_s)
        for each in running:  # not before: what is asked of a frozen server is lost with it
            assert each.rest() == each.rests[0], f"resting connections of {each.driver}"
        for each in running:
            each.end()
    rows = pair.primary.rows()
    for each in running:
        mine = {row: count for row, count in rows.items() if row[0] // SHARE == each.number}
        found = account(each.ops, mine)
        assert found.is_clean, f"{each.driver}: {found}"
    return running


@pytest.mark.parametrize(
    ("fault", "proxy"),
    [(faults.kill_postmaster, {}), (faults.freeze, RETRYABLE)],
    ids=["killed", "frozen, retryable"],
)
def test_applications_in_python_go_on(
    pair: Pair,
    watching_forebay: Callable[..., Forebay],
    tmp_path: Path,
    fault: Fault,
    proxy: dict[str, str],
) -> None:
    forebay = watching_forebay(proxy=proxy)
    assert_they_go_on(pair, forebay, tmp_path, in_python(), fault)


def test_applications_in_python_see_nothing_of_a_planned_switchover(
    pair: Pair, watching_forebay: Callable[..., Forebay], tmp_path: Path
) -> None:
    forebay = watching_forebay()

    def planned(both: Pair) -> None:
        forebay.command("pause").ok()
        faults.fast_stop(both)

    for each in assert_they_go_on(pair, forebay, tmp_path, in_python(), planned):
        assert not each.errors, each.driver


@pytest.mark.timeout(900)  # the first builds the programs
@pytest.mark.parametrize("language", FOREIGN)
def test_foreign_applications_go_on(
    pair: Pair, watching_forebay: Callable[..., Forebay], tmp_path: Path, language: str
) -> None:
    """With what the documentation advises: programs of Node.js end when a connection is closed in
    the midst of a transaction."""
    programs = [(driver, program_of(driver, language, HERE)) for driver in FOREIGN[language]]
    forebay = watching_forebay(proxy=RETRYABLE)
    assert_they_go_on(pair, forebay, tmp_path, programs, faults.kill_postmaster)
