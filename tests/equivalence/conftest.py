"""A database in which the same program runs directly and through Forebay."""

from collections.abc import Callable, Iterator

import pytest

from forebay.protocol.messages import query
from forebay.session.settings import quote_literal
from tests.equivalence.lanes import LANES_LIMIT, World
from tests.equivalence.texts import CONNECTS, SETTINGS
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.raw import RawClient

NAME = "application_name"

PLACE = """
    CREATE SCHEMA {me};
    CREATE TABLE {me}.place (who text);
    INSERT INTO {me}.place VALUES ('{me}');
    CREATE TABLE {me}.secret (n int);
    CREATE TABLE {me}.entry (n int CHECK (n < 1000));
    CREATE SEQUENCE {me}.counter;
    CREATE TABLE {me}.numbered (n serial);
    GRANT USAGE ON SCHEMA {me} TO visitor;
    GRANT SELECT ON {me}.place TO visitor;
"""
COMMON = """
    CREATE TABLE public.place (who int);
    INSERT INTO public.place VALUES (0);
    GRANT SELECT ON public.place TO visitor;
"""
# Rows of several tenants, which everybody reads and nobody changes. The helpers are wrongly marked
# IMMUTABLE, as they are in many applications.
TENANTS = """
    CREATE TABLE public.owned (tenant text, n int);
    INSERT INTO public.owned
        SELECT tenant, n FROM unnest(array['a', 'b', 'c']) tenant, generate_series(1, 2) n;
    CREATE FUNCTION public.tenant() RETURNS text LANGUAGE sql IMMUTABLE
        AS $$SELECT coalesce(current_setting('app.tenant', true), '')$$;
    CREATE FUNCTION public.tenant_too() RETURNS text LANGUAGE plpgsql IMMUTABLE
        AS $$BEGIN RETURN coalesce(current_setting('app.tenant', true), ''); END$$;
    CREATE TABLE public.guarded (LIKE public.owned);
    INSERT INTO public.guarded TABLE public.owned;
    ALTER TABLE public.guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY own ON public.guarded USING (tenant = public.tenant());
    CREATE TABLE public.guarded_too (LIKE public.owned);
    INSERT INTO public.guarded_too TABLE public.owned;
    ALTER TABLE public.guarded_too ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY own ON public.guarded_too USING (tenant = public.tenant_too());
    CREATE TABLE public.kept (LIKE public.owned);
    INSERT INTO public.kept TABLE public.owned;
    ALTER TABLE public.kept ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY own ON public.kept USING (tenant = current_setting('app.whom', true));
    CREATE FUNCTION public.counted() RETURNS bigint LANGUAGE plpgsql STABLE
        AS $$BEGIN RETURN (SELECT count(*) FROM public.guarded WHERE tenant <> 'b'); END$$;
    GRANT SELECT ON public.owned, public.guarded, public.guarded_too, public.kept TO visitor;
"""
# As they are written behind SET application_name.
APPLICATIONS = tuple(
    dict.fromkeys(
        ["''"]
        + [setting.split(maxsplit=2)[2] for setting in SETTINGS if setting.startswith(NAME)]
        + [quote_literal(setup[1]) for setup in CONNECTS if setup[:1] == (NAME,)]
    )
)


def _ask(forebay: Forebay, name: str, encoding: str) -> None:
    """Let Forebay know that clients of this application ask what they have drawn from sequences."""
    with RawClient(forebay.port, forebay.database, {"client_encoding": encoding}) as client:
        client.ask(query(f"SET application_name = {name}"))
        client.ask(query("SELECT lastval()"))


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
    script = COMMON + TENANTS + "".join(PLACE.replace("{me}", name) for name in sides)

    def make(limit: int) -> World:
        forebay = start_forebay(
            postgres.port, database, proxy={"require_tls": False}, pool=connections(limit)
        )
        forebay.psql(script).ok()
        # What both sides would create there would be the same.
        postgres.sql(
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC, pg_database_owner", database=database.name
        )
        for name in APPLICATIONS:
            for encoding in ("UTF8", "LATIN1"):
                _ask(forebay, name, encoding)
        return World(postgres.port, forebay.port, database)

    yield make
    for role in roles:
        postgres.sql(f"DROP OWNED BY {role}", database=database.name)
        postgres.sql(f"DROP ROLE {role}")
