"""A database in which the same program runs directly and through Forebay."""

from collections.abc import Callable, Iterator

import pytest

from tests.equivalence.lanes import LANES_LIMIT, World
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections

PLACE = """
    CREATE SCHEMA {me};
    CREATE TABLE {me}.place (who text);
    INSERT INTO {me}.place VALUES ('{me}');
    CREATE TABLE {me}.secret (n int);
    CREATE TABLE {me}.entry (n int CHECK (n < 1000));
    CREATE SEQUENCE {me}.counter;
    GRANT USAGE ON SCHEMA {me} TO visitor;
    GRANT SELECT ON {me}.place TO visitor;
"""
COMMON = """
    CREATE TABLE public.place (who int);
    INSERT INTO public.place VALUES (0);
    GRANT SELECT ON public.place TO visitor;
"""


@pytest.fixture
def make_world(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> Iterator[Callable[..., World]]:
    """``make_world(limit)``: with so many database connections."""
    roles = "visitor", "stranger"
    for role in roles:
        postgres.sql(f"CREATE ROLE {role}")
    postgres.sql(f'GRANT visitor TO "{database.user}"')
    sides = [f"{side}_{n}" for side in ("direct", "shared") for n in range(LANES_LIMIT)]
    script = COMMON + "".join(PLACE.replace("{me}", name) for name in sides)

    def make(limit: int) -> World:
        forebay = start_forebay(
            postgres.port, database, proxy={"require_tls": False}, pool=connections(limit)
        )
        forebay.psql(script).ok()
        return World(postgres.port, forebay.port, database)

    yield make
    for role in roles:
        postgres.sql(f"DROP OWNED BY {role}", database=database.name)
        postgres.sql(f"DROP ROLE {role}")
