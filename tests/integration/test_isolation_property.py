"""Many clients over few connections do at random what changes sessions: each sees its own only."""

import random
import secrets

import pytest

from forebay.protocol.errors import PgError
from forebay.protocol.messages import query
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.raw import RawClient
from tests.harness.work import in_threads
from tests.integration.sessions_model import VALUES, Session

CLIENTS = 8
SESSIONS = 6
STEPS = 14


@pytest.mark.parametrize("init_query", ["", "SET work_mem = '4MB'"], ids=["plain", "init_query"])
def test_nobody_sees_anything_of_anybody_else(
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    seen: Observer,
    init_query: str,
) -> None:
    seed = secrets.randbelow(2**32)
    role = f"{database.user}_role"
    postgres.sql(f"CREATE ROLE {role}; GRANT {role} TO {database.user}")
    forebay = start_forebay(
        postgres.port,
        database,
        proxy={"require_tls": False},
        pool=connections(3, connection_borrow_timeout=0.2, init_query=init_query),
    )
    try:
        in_threads(CLIENTS, lambda number: _live(forebay, seed, number, role), timeout_s=100)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
    finally:
        postgres.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")
    seen.wait_until_quiet()
    assert len(seen.backends()) <= 3


def _live(forebay: Forebay, seed: int, number: int, role: str) -> None:
    """Sessions one after the other; each ends in some way, or when no connection is free."""
    rng = random.Random(f"{seed}/{number}")
    for _ in range(SESSIONS):
        names = rng.sample(["search_path", "timezone", "app.tenant", "application_name"], k=2)
        start = {name: VALUES[name][0] for name in names if rng.random() < 0.5}
        try:
            client = RawClient(forebay.port, forebay.database, start)
        except PgError as error:
            assert error.sqlstate == "08000"  # noqa: PT017 - all connections are held by others
            continue
        with client:
            session = Session(client, rng, number, start, role)
            try:
                for _ in range(STEPS):
                    session.step()
            except PgError as error:
                if error.sqlstate != "08000":
                    history = "\n".join(session.history)
                    raise AssertionError(f"client {number}: {error!r}\n{history}") from error
            goodbye = rng.choice(["leave", "vanish", "vanish while working"])
            if goodbye == "leave":
                client.leave()
            else:
                if goodbye == "vanish while working":
                    client.send(query("SELECT pg_sleep(5), set_config('app.tenant', 'x', false)"))
                client.vanish()
