"""The admin database as its clients have it: psql and drivers, in either protocol."""

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import psycopg.rows
import psycopg2
import psycopg2.extras
import pytest

from forebay.protocol.messages import query
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.observer import Observer
from tests.harness.raw import RawClient

ADMIN, STATS, NOBODY = "ops", "metrics", "app2"


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    """One with an admin, one who may look, and one who may neither."""
    return start_forebay(
        postgres.port,
        database,
        users={ADMIN: "a", STATS: "s", NOBODY: "n"},
        proxy={"admin_users": [ADMIN], "stats_users": [STATS], "require_tls": False},
    )


def console(forebay: Forebay, user: str = ADMIN) -> psycopg.Connection[dict[str, Any]]:
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


class TestPausing:
    def test_a_pause_waits_and_resume_ends_it(self, forebay: Forebay, seen: Observer) -> None:
        with console(forebay) as admin, psycopg.connect(forebay.dsn()) as busy:
            busy.execute("SELECT 1")
            with ThreadPoolExecutor() as others:
                pause = others.submit(admin.execute, f"PAUSE {forebay.database.name}")
                with console(forebay) as other:

                    def paused() -> bool:
                        rows = {
                            row["name"]: row["paused"] for row in other.execute("SHOW DATABASES")
                        }
                        return rows[forebay.database.name] == 1

                    eventually(paused, "it is paused")
                    assert not pause.done()
                    busy.execute("SELECT 2")  # its transaction goes on
                    late = others.submit(forebay.psql, "SELECT 3")
                    eventually(lambda: waiting(other) == 1, "another client waits")
                    busy.commit()
                    assert pause.result(60).statusmessage == "PAUSE"
                    assert not seen.backends()
                    assert waiting(other) == 1
                    other.execute(f"RESUME {forebay.database.name}")
                    assert late.result(60).ok().out == "3\n"

    def test_under_load(self, forebay: Forebay) -> None:
        with console(forebay) as admin, ThreadPoolExecutor() as others:
            load = others.submit(
                forebay.pgbench, "-n", "-c", "8", "-t", "400", "-f", script(forebay.directory)
            )
            eventually(lambda: query_count(admin) > 100, "pgbench runs")
            for _ in range(5):
                admin.execute("PAUSE")
                (state,) = [r for r in admin.execute("SHOW STATE") if r["key"] == "paused"]
                assert state["value"] == "yes"
                assert lists(admin)["used_servers"] == 0
                admin.execute("RESUME")
                admin.execute("RECONNECT")
            assert load.result(60).ok().transactions == 3200

    def test_kill_ends_everything_until_resume(self, forebay: Forebay) -> None:
        with console(forebay) as admin, psycopg.connect(forebay.dsn()) as client:
            client.execute("SELECT 1")
            admin.execute(f"KILL {forebay.database.name}")
            with pytest.raises(psycopg.OperationalError, match="administrator command"):
                client.execute("SELECT 1")
            with ThreadPoolExecutor() as others:
                late = others.submit(forebay.psql, "SELECT 3")
                eventually(lambda: waiting(admin) == 1, "a new client waits")
                admin.execute("RESUME")
                assert late.result(60).ok().out == "3\n"

    def test_who_cancels_or_leaves_ends_the_pause(self, forebay: Forebay) -> None:
        with console(forebay, ADMIN) as other, psycopg.connect(forebay.dsn()) as busy:
            busy.execute("SELECT 1")
            with ThreadPoolExecutor() as others:
                for end in (lambda admin: admin.cancel(), leave):
                    admin = console(forebay)
                    pause = others.submit(admin.execute, "PAUSE")
                    eventually(lambda: state(other) == "yes", "it is paused")
                    end(admin)
                    with pytest.raises(psycopg.Error):
                        pause.result(60)
                    eventually(lambda: state(other) == "no", "it is resumed")
                    admin.close()

    def test_a_pause_that_waits_holds_up_no_shutdown(self, forebay: Forebay) -> None:
        client = psycopg.connect(forebay.dsn())
        client.execute("SELECT 1")
        with ThreadPoolExecutor() as others:
            paused = others.submit(forebay.psql, "PAUSE", user=ADMIN, database="pgbouncer")
            forebay.wait_for_log("Databases are paused")
            forebay.signal(signal.SIGTERM)
            assert "terminating connection due to administrator command" in paused.result().err
        client.execute("SELECT 1")
        client.commit()
        assert forebay.wait() == 0
        assert "could not be undone" not in forebay.text
        client.close()

    def test_another_worker_knows_of_it(self, forebay: Forebay) -> None:
        with console(forebay) as admin:
            admin.execute("PAUSE")
        (worker,) = forebay.worker_pids
        os.kill(worker, signal.SIGKILL)
        forebay.wait_for_log("Another worker serves")
        with ThreadPoolExecutor() as others, console(forebay) as admin:
            assert state(admin) == "yes"
            late = others.submit(forebay.psql, "SELECT 3")
            eventually(lambda: waiting(admin) == 1, "a client waits")
            forebay.reload(pool={"max_connections_percent": 50})
            assert (state(admin), waiting(admin)) == ("yes", 1)
            admin.execute("RESUME")
            assert late.result(60).ok().out == "3\n"


def waiting(admin: psycopg.Connection[dict[str, Any]]) -> int:
    """How many clients wait."""
    return sum(row["cl_waiting"] for row in admin.execute("SHOW POOLS"))


def lists(admin: psycopg.Connection[dict[str, Any]]) -> dict[str, int]:
    return {row["list"]: row["items"] for row in admin.execute("SHOW LISTS")}


def state(admin: psycopg.Connection[dict[str, Any]]) -> str:
    """Whether everything is paused."""
    return {row["key"]: row["value"] for row in admin.execute("SHOW STATE")}["paused"]


def query_count(admin: psycopg.Connection[dict[str, Any]]) -> int:
    totals = {row["name"]: row["value"] for row in admin.execute("SHOW TOTALS")}
    return int(totals["total_query_count"])


def script(directory: Path) -> str:
    path = directory / "select.sql"
    path.write_text("SELECT 1;\n")
    return str(path)


def leave(admin: psycopg.Connection[Any]) -> None:
    """Without a word."""
    with socket.socket(fileno=os.dup(admin.fileno())) as copy:
        copy.shutdown(socket.SHUT_RDWR)


class TestBounds:
    def test_whoever_does_not_read_holds_up_nobody(self, forebay: Forebay) -> None:
        """It asks for much more than sockets take, and reads none of it."""
        silent = RawClient(forebay.port, TestDatabase("pgbouncer", ADMIN, "a"))
        silent.send(query("SHOW CONFIG;" * 1000) * 4)
        with console(forebay) as admin:
            assert admin.execute("SHOW VERSION").fetchone()
        forebay.psql("SELECT 1").ok()
        silent._socket.close()

    def test_there_are_fifty_at_most(self, forebay: Forebay) -> None:
        with ExitStack() as stack:
            for _ in range(50):
                stack.enter_context(console(forebay))
            with pytest.raises(psycopg.OperationalError, match="At most 50 clients"):
                console(forebay)
            forebay.psql("SELECT 1").ok()

        def has_room() -> bool:
            try:
                console(forebay).close()
            except psycopg.OperationalError:
                return False
            return True

        eventually(has_room, "there is room again")
