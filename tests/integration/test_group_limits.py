"""Limits of single users and databases, and the pool's as a plain number."""

import contextlib
from collections.abc import Iterator

import asyncpg
import psycopg
import pytest

from forebay.protocol.errors import PgError
from forebay.protocol.messages import query
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.raw import RawClient
from tests.harness.work import in_threads

ELSEWHERE = "postgres"  # a database in which everybody may be


def proxy(database: TestDatabase, **limits: object) -> dict[str, object]:
    """Keys of a proxy without TLS, on which the user has these limits."""
    return {"require_tls": False, "users": {database.user: limits}}


def elsewhere(database: TestDatabase) -> TestDatabase:
    return TestDatabase(ELSEWHERE, database.user, database.password)


def backends(seen: Observer, database: TestDatabase) -> list[str]:
    """The databases to which the user is connected."""
    rows = seen.rows(
        "SELECT datname FROM pg_stat_activity WHERE usename = %s ORDER BY 1", database.user
    )
    return sorted(name for (name,) in rows)


@pytest.fixture
def clients(database: TestDatabase) -> Iterator["Clients"]:
    with Clients(database) as clients:
        yield clients


class Clients(contextlib.ExitStack):
    """Clients of the user's, in one database or the other, until the end of the test."""

    def __init__(self, database: TestDatabase) -> None:
        super().__init__()
        self.here, self.there = database, elsewhere(database)

    def of(self, forebay: Forebay, place: TestDatabase) -> RawClient:
        return self.enter_context(RawClient(forebay.port, place))


def test_a_user_has_no_more_in_all_databases_together(
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    seen: Observer,
    clients: Clients,
) -> None:
    limits = proxy(database, max_connections=2)
    forebay = start_forebay(postgres.port, database, proxy=limits)
    first, second = (clients.of(forebay, clients.here) for _ in range(2))
    for client in (first, second):
        client.query("BEGIN")
    third = clients.of(forebay, clients.here)
    third.send(query("SELECT current_database()"))
    eventually(lambda: len(backends(seen, database)) == 2, "no third connection")
    first.query("COMMIT")
    assert [each.row for each in third.until("Z") if each.kind == "D"] == [[database.name]]
    # A connection that is idle in one database makes room in the other.
    assert backends(seen, database) == [database.name] * 2
    other = clients.of(forebay, clients.there)
    assert other.query("SELECT current_database()") == [[ELSEWHERE]]
    assert backends(seen, database) == sorted([database.name, ELSEWHERE])
    second.query("COMMIT")


def test_a_user_does_not_starve_in_either_database(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    limits = proxy(database, max_connections=2)
    limits["databases"] = {database.name: {"max_connections": 1}}
    forebay = start_forebay(postgres.port, database, proxy=limits)

    def work(number: int) -> None:
        place = elsewhere(database) if number % 2 else database
        with RawClient(forebay.port, place) as client:
            for _ in range(8):
                client.query("BEGIN")
                mine = len(backends(seen, database)) if number == 0 else 0
                assert client.query("SELECT current_database()") == [[place.name]]
                client.query("COMMIT")
                assert mine <= 2

    in_threads(12, work)
    assert backends(seen, database).count(database.name) <= 1


def test_limits_change_while_running(
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    seen: Observer,
    clients: Clients,
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=proxy(database, max_connections=3))
    found = [clients.of(forebay, clients.here) for _ in range(3)]
    for client in found:
        client.query("BEGIN")
    forebay.reload(proxy=proxy(database, max_connections=1))
    found[0].query("COMMIT")
    eventually(lambda: len(backends(seen, database)) == 2, "one more than it should be is closed")
    found[1].query("COMMIT")
    eventually(lambda: len(backends(seen, database)) == 1)
    assert found[2].query("SELECT 7") == [["7"]]
    found[0].send(query("SELECT 1"))
    forebay.reload(proxy=proxy(database, max_connections=2))
    assert [each.row for each in found[0].until("Z") if each.kind == "D"] == [["1"]]
    found[2].query("COMMIT")


def test_who_waits_for_it_in_vain_is_told_of_it(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, clients: Clients
) -> None:
    limits = proxy(database, max_connections=1, query_wait_timeout=0.3)
    forebay = start_forebay(postgres.port, database, proxy=limits)
    holding, waiting = clients.of(forebay, clients.here), clients.of(forebay, clients.here)
    holding.query("BEGIN")
    with pytest.raises(PgError) as refused:
        waiting.query("SELECT 1")
    assert refused.value.message == "Timed-out waiting to acquire database connection."
    expected = f'At most 1 database connections are for user "{database.user}".\n'
    assert (refused.value.detail or "").startswith(expected)
    holding.query("COMMIT")
    assert waiting.query("SELECT 1") == [["1"]]


@pytest.mark.parametrize("table", ["users", "databases"])
async def test_the_number_of_clients_is_limited(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, table: str
) -> None:
    """The name of the test's user is that of its database."""
    limit = {table: {database.name: {"max_client_connections": 2}}}
    forebay = start_forebay(postgres.port, database, proxy={"require_tls": False, **limit})
    what = "role" if table == "users" else "database"
    text = f'too many connections for {what} "{database.name}"'
    with psycopg.connect(forebay.dsn()) as first, psycopg.connect(forebay.dsn()):
        with pytest.raises(psycopg.OperationalError, match=text):
            psycopg.connect(forebay.dsn())
        with pytest.raises(asyncpg.TooManyConnectionsError, match=text) as refused:
            await asyncpg.connect(
                host=forebay.host,
                port=forebay.port,
                user=database.user,
                password=database.password,
                database=database.name,
                ssl=False,
            )
        assert refused.value.sqlstate == "53300"
        if table == "databases":
            psycopg.connect(forebay.dsn(database=ELSEWHERE)).close()
        first.close()
        eventually(lambda: _can_log_in(forebay), "there is room again")
        limit[table][database.name]["max_client_connections"] = 9
        forebay.reload(proxy=limit)
        with psycopg.connect(forebay.dsn()), psycopg.connect(forebay.dsn()):
            pass


def test_a_plain_number_is_told_of_as_such(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    forebay = start_forebay(
        postgres.port,
        database,
        proxy={"require_tls": False},
        pool=connections(9, max_connections=3),
    )
    assert "(the pool's max_connections; " in forebay.wait_for_log("At most 3 database connections")
    words = "at most 3 database connections (the pool's max_connections; "
    assert words in forebay.wait_for_log("Serving app")
    assert words in forebay.command("status").out
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(RawClient(forebay.port, database)) for _ in range(5)]
        for client in found:
            client.send(query("BEGIN"))
        eventually(lambda: len(seen.backends("state = 'idle in transaction'")) == 3)
        forebay.reload(pool={"max_connections": 20})
        assert "At most 9 database" in forebay.wait_for_log("At most 9 database connections")
        eventually(lambda: len(seen.backends("state = 'idle in transaction'")) == 5)


def test_limits_from_the_environment(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, clients: Clients
) -> None:
    name = f"FOREBAY_USERS_{database.user.upper()}_MAX_CLIENT_CONNECTIONS"
    forebay = start_forebay(
        postgres.port, database, proxy={"require_tls": False}, environ={name: "1"}
    )
    clients.of(forebay, clients.here)
    with pytest.raises(PgError, match="too many connections for role"):
        clients.of(forebay, clients.there)


def _can_log_in(forebay: Forebay) -> bool:
    try:
        psycopg.connect(forebay.dsn()).close()
    except psycopg.OperationalError:
        return False
    return True
