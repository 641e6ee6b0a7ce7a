"""idle_session_timeout that a client has set holds for that client, not for its connection."""

import time

import pytest

from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.raw import RawClient

NAME = "idle_session_timeout"
SHOW = f"SHOW {NAME}"


@pytest.mark.parametrize("init_query", ["", "SET work_mem = '5MB'", f"SET {NAME} = '1h'"])
@pytest.mark.parametrize("how", ["start-up", "SET", "SET in a transaction"])
def test_it_does_not_end_connections_of_the_pool(
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    seen: Observer,
    how: str,
    init_query: str,
) -> None:
    if not seen.rows("SELECT 1 FROM pg_settings WHERE name = %s", NAME):
        pytest.skip("idle_session_timeout came with PostgreSQL 14")
    forebay = start_forebay(
        postgres.port,
        database,
        proxy={"require_tls": False},
        target={"database": database.name},
        pool=connections(1, init_query=init_query),
    )
    default = "1h" if NAME in init_query else "0"
    settings = {NAME: "200ms"} if how == "start-up" else {}
    with (
        RawClient(forebay.port, database, settings) as client,
        RawClient(forebay.port, database) as other,
    ):
        if how == "SET":
            client.query(f"SET {NAME} = '200ms'")
        elif how != "start-up":
            client.query("BEGIN")
            client.query(f"SET {NAME} = '200ms'")
            client.query("COMMIT")
        assert client.query(SHOW) == [["200ms"]]
        before = seen.backends()
        idle_since = time.monotonic()
        eventually(lambda: time.monotonic() - idle_since > 0.8)
        assert seen.backends() == before
        assert other.query(SHOW) == [[default]]
        assert client.query(SHOW) == [["200ms"]]
        assert client.query("SHOW work_mem") == [["5MB" if "work_mem" in init_query else "4MB"]]
        idle_since = time.monotonic()
        eventually(lambda: time.monotonic() - idle_since > 0.8)
        assert client.query("SELECT pg_backend_pid()") == [[str(pid)] for pid in before]
    assert not forebay.logged("57P05")
