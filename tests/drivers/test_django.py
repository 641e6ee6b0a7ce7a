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


def run(forebay: Forebay, task: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.drivers.django_tasks", task],
        cwd=ROOT,
        env=forebay.environment(),
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
