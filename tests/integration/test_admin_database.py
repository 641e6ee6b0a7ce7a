"""The admin database as its clients have it: psql and drivers, in either protocol."""

import subprocess
from collections.abc import Iterator

import asyncpg
import psycopg
import psycopg2
import pytest

from tests.harness import Forebay, Postgres, TestDatabase, eventually

ADMIN, STATS, NOBODY = "ops", "metrics", "app2"


@pytest.fixture
def forebay(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> Iterator[Forebay]:
    """One with an admin, one who may look, and one who may neither."""
    yield start_forebay(
        postgres.port,
        database,
        users={ADMIN: "a", STATS: "s", NOBODY: "n"},
        proxy={"admin_users": [ADMIN], "stats_users": [STATS]},
    )


def test_psql(forebay: Forebay) -> None:
    said = forebay.psql("SHOW VERSION", "SHOW HELP", user=ADMIN, database="pgbouncer").ok()
    assert "Forebay " in said.out
    assert "Console usage" in said.err
    table = forebay.psql("SHOW POOLS; SHOW LISTS;", user=STATS, database="forebay").ok().out
    assert "free_clients" in table
