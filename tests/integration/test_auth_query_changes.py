"""Users whom auth_query finds, while the configuration around them changes."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from forebay.embedded.postgres import Postgres
from tests.harness import Forebay, TestDatabase, eventually

LOOKUP = """
CREATE FUNCTION public.user_lookup(name) RETURNS TABLE (usename name, passwd text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1 AND rolcanlogin$$;
"""
QUERY = "SELECT usename, passwd FROM public.user_lookup($1)"


@pytest.fixture
def guest(postgres: Postgres, database: TestDatabase) -> Iterator[TestDatabase]:
    """A user of the same database, who has no secret."""
    name, password = f"guest_{secrets.token_hex(6)}", secrets.token_urlsafe(9)
    postgres.sql(LOOKUP, database=database.name)
    postgres.create_user(name, password)
    yield TestDatabase(database.name, name, password)
    postgres.sql(f'DROP ROLE "{name}"')


def serve(folder: Path, postgres: Postgres, database: TestDatabase, **auth: str) -> Forebay:
    proxy = {"auth_query": QUERY, "auth_user": database.user, "auth_dbname": database.name}
    target = {"database": database.name}
    return Forebay(
        folder, postgres.port, database, proxy=proxy, target=target, auth={database.user: auth}
    )


def test_without_the_query_those_whom_it_found_have_to_go(
    tmp_path: Path, postgres: Postgres, database: TestDatabase, guest: TestDatabase
) -> None:
    with serve(tmp_path, postgres, database) as forebay:
        dsn = forebay.dsn(guest.user, guest.password)
        with (
            psycopg.connect(dsn, autocommit=True) as visitor,
            psycopg.connect(forebay.dsn(), autocommit=True) as other,
        ):
            assert visitor.execute("SELECT current_user").fetchone() == (guest.user,)
            other.execute("SELECT 1")
            forebay.reload(proxy={"auth_query": "", "auth_user": "", "auth_dbname": ""})

            def is_gone() -> bool:
                try:
                    visitor.execute("SELECT 1")
                except psycopg.OperationalError:
                    return True
                return False

            eventually(is_gone, "the session ends")
            assert other.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsn)
        with psycopg.connect(forebay.dsn(), autocommit=True) as other:
            assert other.execute("SELECT 1").fetchone() == (1,)
    assert guest.password not in forebay.text


def test_a_user_named_as_an_identity_gets_nobody_elses_connections(
    tmp_path: Path, postgres: Postgres, database: TestDatabase, guest: TestDatabase
) -> None:
    with serve(tmp_path, postgres, database, pool_identity=guest.user) as forebay:
        with psycopg.connect(forebay.dsn(), autocommit=True) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (database.user,)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(forebay.dsn(guest.user, guest.password))
        forebay.wait_for_log(f"named as the pool_identity .*{guest.user}")
