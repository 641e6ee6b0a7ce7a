"""What Forebay asks the database for itself means the same whatever a client has set or made."""

import pytest

from forebay.cli.probing import probe
from forebay.config.settings import ProxySettings, TargetSettings
from forebay.worker.pool.manager import PoolManager
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.credentials import credential
from tests.harness.inside import Inside
from tests.harness.observer import Observer
from tests.harness.raw import RawClient

# A schema in which what Forebay's statements name means something else.
TRAPS = """
    CREATE SCHEMA trap;
    CREATE FUNCTION trap.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT '7'::text $$;
    CREATE FUNCTION trap.current_setting(text, boolean) RETURNS text LANGUAGE sql
        AS $$ SELECT '1'::text $$;
    CREATE FUNCTION trap.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
    CREATE FUNCTION trap.equal(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
    CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.equal);
    CREATE FUNCTION trap.unequal(int, int) RETURNS boolean LANGUAGE sql AS $$ SELECT false $$;
    CREATE OPERATOR trap.<> (LEFTARG = int, RIGHTARG = int, FUNCTION = trap.unequal);
    CREATE VIEW trap.pg_settings AS SELECT 'max_connections'::text AS name, '7'::text AS setting,
        'postmaster'::text AS context;
    CREATE VIEW trap.pg_roles AS SELECT true AS rolsuper, current_user::text AS rolname,
        1 AS rolconnlimit;
    CREATE FUNCTION public.hide() RETURNS text LANGUAGE sql
        AS $$ SELECT set_config('search_path', 'trap, pg_catalog', false) $$;
    CREATE VIEW trap.pg_stat_activity AS SELECT 1 AS pid, 1 AS datid, 1 AS usesysid;
"""
AHEAD = "trap, pg_catalog"
RDS = "rds.rds_superuser_reserved_connections"


def ask_limits(inside: Inside) -> tuple[int, int]:
    """What an idle connection tells of (max_connections, reserved) now."""
    inside.call(lambda manager: setattr(manager, "_told", None))
    eventually(lambda: inside.call(lambda m: any(p.idle for p in m.pools.values())), "one is idle")
    inside.call(PoolManager.ask_limits)
    return eventually(lambda: inside.call(lambda manager: manager._told), "the limits are told")


@pytest.mark.parametrize(
    "leave",
    [
        f"SET search_path = {AHEAD}",
        f"SET {RDS} = '90'",
        "SET ROLE pg_monitor",
        "SET client_encoding = 'UTF8'",
        # A function's doing: no text shows it.
        "SELECT public.hide()",
    ],
)
def test_the_limits_are_the_servers(postgres: Postgres, database: TestDatabase, leave: str) -> None:
    postgres.sql(f'GRANT pg_monitor TO "{database.user}"')
    with Inside(postgres.port, database) as inside, RawClient(inside.port, database) as client:
        eventually(lambda: inside.call(lambda manager: manager._told), "the first connection")
        client.query(TRAPS)
        client.query(leave)
        assert ask_limits(inside) == (100, 3)
        inside.call(PoolManager.assert_counts)


def test_the_limits_are_asked_on_clean_settings(postgres: Postgres, database: TestDatabase) -> None:
    """Whatever a client leaves behind is taken back first; the client gets it again."""
    with (
        Inside(postgres.port, database, pool={"init_query": "SET work_mem = '5MB'"}) as inside,
        RawClient(inside.port, database) as client,
        Observer(postgres, database) as seen,
    ):
        client.query("SET work_mem = '7MB'")
        client.query("SET my.own = 'kept'")
        (pid,) = client.query("SELECT pg_backend_pid()")[0]
        assert ask_limits(inside) == (100, 3)
        none = inside.call(lambda manager: manager._changeover._intern.none)
        eventually(
            lambda: inside.call(lambda m: {s.settings for s in m.servers} == {none}), "clean"
        )
        assert seen.backends(f"pid = {pid}")
        assert client.query("SHOW work_mem") == [["7MB"]]
        assert client.query("SHOW my.own") == [["kept"]]
        with RawClient(inside.port, database) as other:
            assert other.query("SHOW work_mem") == [["5MB"]]


def test_a_users_defaults_do_not_change_the_limits(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    """Even those that every connection of the user begins with."""
    with RawClient(postgres.port, database) as owner:
        owner.query(TRAPS)
        owner.query(f'ALTER ROLE "{database.user}" SET search_path = {AHEAD}')
    forebay = start_forebay(postgres.port, database, target={"database": database.name})
    assert "At most 97 database connections" in forebay.wait_for_log("At most")


async def test_check_tells_what_is_so(postgres: Postgres, database: TestDatabase) -> None:
    with RawClient(postgres.port, database) as owner:
        owner.query(TRAPS)
        owner.query(f'ALTER ROLE "{database.user}" SET search_path = {AHEAD}')
    target = TargetSettings(hosts=[f"127.0.0.1:{postgres.port}"], database=database.name)
    proxy = ProxySettings(
        target=target, session_functions={"pg_catalog.now": "NONE", "nowhere": "NONE"}
    )
    (login,) = await probe(proxy, [credential(database.user, database.password)])
    assert login.error == ""
    facts = login.facts
    assert facts is not None
    assert not facts.is_superuser
    assert not facts.is_replica
    assert (facts.user_limit, facts.max_connections, facts.reserved) == (-1, 100, 3)
    assert facts.statement_timeout == "0"
    assert facts.missing_functions == ["nowhere"]


def test_to_be_asked_is_no_use(postgres: Postgres, database: TestDatabase) -> None:
    """Or connections that nobody uses would never have been idle for long enough to be closed."""

    def idle(manager: PoolManager) -> list[tuple[int, float]]:
        (pool,) = manager.pools.values()
        return [(server.pid, server.idle_since) for server in pool.idle]

    with (
        Inside(postgres.port, database) as inside,
        RawClient(inside.port, database) as one,
        RawClient(inside.port, database) as two,
    ):
        one.query("BEGIN")
        two.query("SELECT 1")
        one.query("COMMIT")
        before = eventually(lambda: (found := inside.call(idle))[1:] and found, "two are idle")
        for _ in range(3):
            ask_limits(inside)
        assert eventually(lambda: (found := inside.call(idle))[1:] and found) == before
        two.query("SELECT 1")
        eventually(lambda: inside.call(idle) > [] and inside.call(idle) != before, "it was used")


@pytest.mark.parametrize(
    "sql", ["SELECT 1/0", "SELECT 'no number', 1, 1, 1", "SELECT 1 WHERE false"]
)
def test_a_connection_that_does_not_tell_the_limits_goes(
    postgres: Postgres, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    with Inside(postgres.port, database) as inside, RawClient(inside.port, database) as client:
        first = client.query("SELECT pg_backend_pid()")
        monkeypatch.setattr("forebay.worker.pool.manager.LIMITS_QUERY", sql)
        inside.call(PoolManager.ask_limits)
        eventually(lambda: client.query("SELECT pg_backend_pid()") != first, "another connection")
        assert inside.call(lambda manager: manager._told) == (100, 3)
        inside.call(PoolManager.assert_counts)
