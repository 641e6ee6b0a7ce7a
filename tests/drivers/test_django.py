"""Django with the settings of a service behind RDS Proxy, each task in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.observer import Observer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def migrated(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    """A Forebay with few connections; the project's tables are there."""
    forebay = start_forebay(postgres.port, database, pool=connections(3))
    run(forebay, "migrate")
    return forebay


@pytest.mark.parametrize("task", ["orm", "iterate", "transactions"])
def test_tasks(migrated: Forebay, task: str) -> None:
    run(migrated, task)


def test_threads(migrated: Forebay, seen: Observer) -> None:
    run(migrated, "buy_in_threads")
    assert len(seen.backends()) <= 3


@pytest.mark.parametrize("options", [(), ("--parallel", "2")], ids=["one", "parallel"])
def test_manage_py_test(
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    options: tuple[str, ...],
) -> None:
    """A database is made, copied for each process, and dropped in the end; all behind use."""
    postgres.sql(f'ALTER ROLE "{database.user}" CREATEDB')
    forebay = start_forebay(postgres.port, database, pool=connections(6))
    count = "SELECT count(*) FROM pg_database WHERE datname LIKE 'test_test_%'"
    try:
        manage(forebay, "test", "tests.drivers.django_shop", "--noinput", *options)
        assert postgres.sql(count) == [("0",)]
    finally:
        for suffix in ("", "_1", "_2"):
            postgres.sql(f'DROP DATABASE IF EXISTS "test_{database.name}{suffix}" WITH (FORCE)')


def manage(forebay: Forebay, *arguments: str) -> None:
    """manage.py, as a developer runs it."""
    python(forebay, "tests/drivers/manage.py", *arguments)


def run(forebay: Forebay, task: str) -> None:
    python(forebay, "-m", "tests.drivers.django_tasks", task)


def python(forebay: Forebay, *arguments: str) -> None:
    """A Python of its own, in which warnings are errors."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=ROOT,
        env=forebay.environment(),
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
