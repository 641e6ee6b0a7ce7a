"""Fixtures of the integration tests."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Postgres, TestDatabase
from tests.harness.observer import Observer


@pytest.fixture
def seen(postgres: Postgres, database: TestDatabase) -> Iterator[Observer]:
    """What is really going on in ``database``."""
    with Observer(postgres, database) as observer:
        yield observer


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the nodes of the test have their control sockets, and nobody else has any."""
    with tempfile.TemporaryDirectory(prefix="forebay-", dir="/tmp") as directory:
        monkeypatch.setenv("XDG_RUNTIME_DIR", directory)
        yield Path(directory)
