"""Whatever is cut short, nobody reads or writes another tenant's rows.

FOREBAY_TEST_SEQUENCES=3000 makes many rounds that nobody has tried before;
FOREBAY_TEST_SEED=tenants:1234 repeats the program of a round (not its timing).
"""

import random
from pathlib import Path

import pytest

from forebay.embedded.errors import SetupError
from tests.equivalence.lanes import World
from tests.equivalence.seeds import NEW_SEQUENCES, again, given, is_left_out
from tests.equivalence.tenants import (
    LOCAL,
    SCHEMA,
    WAYS,
    Storm,
    Tenant,
    Weather,
    cancel_backends,
    wrong_rows,
)
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.work import in_threads

CLIENTS = 8
CONNECTIONS = 2
STEPS = 40
# Longer than any client waits, unless another one keeps a connection for good.
BORROW_S = 10
ROUNDS = -(-NEW_SEQUENCES // (10 * CLIENTS)) or 1
ROUND_TIMEOUT_S = 120
AT_LOGIN = ("startup",)
STORMS = {
    "cancel requests": Storm(settings=300, requests=True),
    "cancelled backends": Storm(settings=300, backends=True),
    "both, and few settings": Storm(settings=5, requests=True, backends=True),
    "more settings than one answer holds": Storm(settings=900, requests=True, backends=True),
    "a timeout of the role": Storm(AT_LOGIN, at_login=50, default_of="ROLE", default_ms=3),
    "a timeout of the database": Storm(AT_LOGIN, at_login=50, default_of="DATABASE", default_ms=4),
    "timeouts of clients": Storm(AT_LOGIN, at_login=50, timeout_ms=2),
    "tenants of transactions": Storm((*WAYS, LOCAL), settings=50, requests=True, backends=True),
    "settings change in it": Storm(
        (*WAYS, LOCAL), settings=300, requests=True, backends=True, changes=True
    ),
}


@pytest.mark.skipif(is_left_out("tenants"), reason="another program is run again")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", STORMS)
def test_every_row_is_its_tenants(
    postgres: Postgres, database: TestDatabase, tmp_path: Path, name: str
) -> None:
    storm = STORMS[name]
    postgres.sql(SCHEMA, database=database.name, user=database.user, password=database.password)
    if storm.default_of:
        which = database.user if storm.default_of == "ROLE" else database.name
        postgres.sql(
            f'ALTER {storm.default_of} "{which}" SET statement_timeout = {storm.default_ms}'
        )
    chosen = given("tenants")
    chance = random.Random()
    for number in range(ROUNDS if chosen is None else 1):
        seed = chance.randrange(2**32) if chosen is None else chosen
        _patiently(postgres, "TRUNCATE book", database.name)
        # A Forebay that has seen a replay fail may be careful from then on: each round has its own.
        with Forebay(
            tmp_path / f"round-{number}",
            postgres.port,
            database,
            proxy={"require_tls": False},
            pool=connections(CONNECTIONS, connection_borrow_timeout=BORROW_S),
        ) as forebay:
            try:
                _round(World(postgres.port, forebay.port, database), storm, seed, postgres)
            except AssertionError as error:
                raise AssertionError(f"{again('tenants', seed)}\n{error}") from error


def _round(world: World, storm: Storm, seed: int, postgres: Postgres) -> None:
    weather = Weather(CLIENTS)
    tenants = [Tenant(world, storm, seed, number, weather) for number in range(CLIENTS)]

    def work(number: int) -> None:
        if number < CLIENTS:
            tenants[number].live(STEPS)
        elif storm.backends:
            chance = random.Random(f"{seed}/backends")
            with Observer(postgres, world.database) as seen:
                cancel_backends(seen.rows, world.database.name, chance, weather)

    in_threads(CLIENTS + 1, work, ROUND_TIMEOUT_S)
    rows = _patiently(postgres, "SELECT id, tenant FROM book", world.database.name)
    assert not wrong_rows(rows), wrong_rows(rows)
    written = {name for tenant in tenants for name in tenant.written}
    lost = written - {name for name, _ in rows}
    assert not lost, f"acknowledged and not there: {sorted(lost)}"


def _patiently(postgres: Postgres, sql: str, database: str) -> list[tuple[str | None, ...]]:
    """The rows, however often the database's own timeout hits what takes it off."""
    while True:
        try:
            return postgres.sql("SET statement_timeout = 0; " + sql, database=database)
        except SetupError as error:
            if "statement timeout" not in str(error):
                raise
