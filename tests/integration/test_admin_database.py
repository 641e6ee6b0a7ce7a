"""The admin database as its clients have it: psql and drivers, in either protocol."""

import asyncpg
import psycopg
import psycopg.rows
import psycopg2
import psycopg2.extras
import pytest

from tests.harness import Forebay, Postgres, TestDatabase, eventually

ADMIN, STATS, NOBODY = "ops", "metrics", "app2"


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    """One with an admin, one who may look, and one who may neither."""
    return start_forebay(
        postgres.port,
        database,
        users={ADMIN: "a", STATS: "s", NOBODY: "n"},
        proxy={"admin_users": [ADMIN], "stats_users": [STATS]},
    )


def console(forebay: Forebay, user: str = ADMIN) -> psycopg.Connection[dict[str, object]]:
    """A connection of psycopg to the admin database, without transactions."""
    return psycopg.connect(
        forebay.dsn(user=user, database="pgbouncer"),
        autocommit=True,
        row_factory=psycopg.rows.dict_row,
    )


class TestDrivers:
    def test_psql(self, forebay: Forebay) -> None:
        said = forebay.psql("SHOW VERSION", "SHOW HELP", user=ADMIN, database="pgbouncer").ok()
        assert "Forebay " in said.out
        assert "Console usage" in said.err
        assert "PAUSE [<db>]" in said.err
        shown = forebay.psql("SHOW POOLS; SHOW LISTS;", user=STATS, database="forebay").ok()
        assert "free_clients" in shown.out
        failed = forebay.psql("SHOW FDS", user=ADMIN, database="pgbouncer")
        assert "invalid command 'SHOW FDS', use SHOW HELP;" in failed.err

    @pytest.mark.parametrize("autocommit", [True, False])
    def test_psycopg2(self, forebay: Forebay, autocommit: bool) -> None:
        connection = psycopg2.connect(
            forebay.dsn(user=ADMIN, database="pgbouncer"),
            cursor_factory=psycopg2.extras.RealDictCursor,
        )
        connection.autocommit = autocommit
        with connection.cursor() as cursor:
            cursor.execute("SHOW DATABASES")
            (row,) = cursor.fetchall()
            assert (row["database"], row["disabled"]) == ("postgres", 0)
            cursor.execute("SHOW STATS_TOTALS")
            cursor.fetchall()
        connection.commit()
        connection.close()

    @pytest.mark.parametrize("binary", [True, False])
    def test_psycopg(self, forebay: Forebay, binary: bool) -> None:
        with psycopg.connect(forebay.dsn(user=ADMIN, database="pgbouncer")) as connection:
            for _ in range(8):  # it prepares what it has run five times
                cursor = connection.cursor(binary=binary)
                rows = cursor.execute("SHOW LISTS").fetchall()
                assert dict(rows)["used_clients"] == 0
            rows = connection.execute("SHOW TOTALS").fetchall()
            assert int(dict(rows)["total_query_count"]) == 0
            with pytest.raises(psycopg.errors.SyntaxError):
                connection.execute("SHOW NOTHING")
            connection.rollback()
            assert connection.execute("SHOW VERSION").fetchone()

    async def test_asyncpg(self, forebay: Forebay) -> None:
        dsn = forebay.dsn(user=ADMIN, database="pgbouncer")
        connection = await asyncpg.connect(dsn)
        try:
            for _ in range(2):
                (pool,) = await connection.fetch("SHOW POOLS")
                assert (pool["database"], pool["cl_active"]) == ("postgres", 0)
            (row,) = await connection.fetch("SHOW DATABASES")
            assert row["port"] == int(forebay._sections["target"]["hosts"][0].split(":")[1])
            totals = await connection.fetch("SHOW TOTALS")
            assert all(int(row["value"]) == 0 for row in totals)
            with pytest.raises(asyncpg.PostgresSyntaxError):
                await connection.fetch("SHOW")
            assert await connection.execute("RECONNECT") == "RECONNECT"
            async with connection.transaction():
                assert await connection.fetchval("SHOW VERSION")
        finally:
            await connection.close()


class TestWhoMayUseIt:
    def test_others_are_turned_away(self, forebay: Forebay) -> None:
        for database in ("pgbouncer", "forebay"):
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(forebay.dsn(user=NOBODY, database=database))

    def test_passwords_are_asked_for(self, forebay: Forebay) -> None:
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(forebay.dsn(user=ADMIN, password="wrong", database="pgbouncer"))

    def test_without_users_these_are_databases_as_others(
        self, start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
    ) -> None:
        forebay = start_forebay(postgres.port, database)
        with pytest.raises(psycopg.OperationalError, match='database "pgbouncer" does not exist'):
            psycopg.connect(forebay.dsn(database="pgbouncer"))

    def test_rights_that_are_taken_away(self, forebay: Forebay) -> None:
        with console(forebay) as admin, console(forebay, STATS) as stats:
            forebay.reload(proxy={"admin_users": []})
            with pytest.raises(psycopg.Error, match="permission denied"):
                admin.execute("SHOW VERSION")
            assert stats.execute("SHOW VERSION").fetchone()


class TestCommands:
    def test_they_hold_no_connection_and_are_no_clients(self, forebay: Forebay) -> None:
        with console(forebay) as admin, psycopg.connect(forebay.dsn()) as client:
            client.execute("SELECT 1")
            pools = {row["database"]: row for row in admin.execute("SHOW POOLS")}
            pool = pools[forebay.database.name]
            assert (pool["cl_active"], pool["sv_active"]) == (1, 1)
            assert pool["user"] == forebay.database.user
            (row,) = admin.execute("SHOW CLIENTS").fetchall()
            (server,) = [each for each in admin.execute("SHOW SERVERS").fetchall() if each["link"]]
            assert (row["state"], row["link"]) == ("active", server["ptr"])
            assert server["link"] == row["ptr"]
            (holder,) = admin.execute("SHOW HOLDERS").fetchall()
            assert (holder["state"], holder["client"]) == ("idle in transaction", row["id"])

    def test_stats_users_look_and_do_nothing(self, forebay: Forebay) -> None:
        with console(forebay, STATS) as stats:
            assert stats.execute("SHOW CONFIG").fetchall()
            for command in ("PAUSE", "RESUME", "RELOAD", "RECONNECT", "KILL x"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="admin access"):
                    stats.execute(command)

    def test_reload(self, forebay: Forebay) -> None:
        with console(forebay) as admin:
            forebay.write(pool={"max_connections_percent": 50})
            admin.execute("RELOAD")
            config = {row["key"]: row["value"] for row in admin.execute("SHOW CONFIG")}
            assert config["pool.max_connections_percent"] == "50"
            forebay.write(pool={"max_connections_percent": 500})
            with pytest.raises(psycopg.DatabaseError, match="RELOAD failed"):
                admin.execute("RELOAD")

    def test_counters_outlive_micro_pools(self, forebay: Forebay) -> None:
        with console(forebay) as admin:
            forebay.psql("SELECT 1").ok()
            admin.execute("RECONNECT")
            eventually(lambda: not admin.execute("SHOW POOLS").fetchall(), "no micro-pool")
            totals = {row["database"]: row for row in admin.execute("SHOW STATS_TOTALS")}
            assert totals[forebay.database.name]["query_count"] == 1
