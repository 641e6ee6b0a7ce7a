"""Fixtures of the integration tests."""

from collections.abc import Iterator

import pytest

from tests.harness import Postgres, TestDatabase
from tests.harness.observer import Observer


@pytest.fixture
def seen(postgres: Postgres, database: TestDatabase) -> Iterator[Observer]:
    """What is really going on in ``database``."""
    with Observer(postgres, database) as observer:
        yield observer
