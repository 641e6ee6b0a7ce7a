"""Databases are dropped, renamed and copied behind use.

Forebay's own idle connections to them do not stand in the way.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import psycopg2
import pytest

from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.clients import Finished, clean_environment, client
from tests.harness.limits import connections

IN_USE = "is being accessed by other users"


class Databases:
    """Databases of one test's own, beside its first, that its user may drop and make."""

    def __init__(self, postgres: Postgres, database: TestDatabase) -> None:
        self.postgres = postgres
        self.database = database
        self.shop = f"{database.name}_shop"
        self.copy = f"{database.name}_cöpy"
        self.renamed = f"{database.name}_Renamed"
        postgres.sql(f'ALTER ROLE "{database.user}" CREATEDB')
        postgres.create_database(self.shop, owner=database.user)

    def drop(self) -> None:
        for name in (self.shop, self.copy, self.renamed):
            self.postgres.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def exist(self) -> set[str]:
        """Which of them there are."""
        found = self.postgres.sql("SELECT datname FROM pg_database")
        return {str(name) for (name,) in found} & {self.shop, self.copy, self.renamed}

    def connected(self, name: str) -> int:
        """Connections to a database."""
        count = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"
        ((found,),) = self.postgres.sql(count)
        return int(str(found))


@pytest.fixture
def databases(postgres: Postgres, database: TestDatabase) -> Iterator[Databases]:
    made = Databases(postgres, database)
    yield made
    made.drop()


@pytest.fixture
def forebay(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> Forebay:
    return start_forebay(postgres.port, database, pool=connections(6))


@contextlib.contextmanager
def logged_in(forebay: Forebay, name: str, **options: Any) -> Iterator[Any]:
    """A client that stays, and has asked something: a connection is idle behind it."""
    with contextlib.closing(psycopg2.connect(forebay.dsn(database=name, **options))) as connection:
        connection.autocommit = True
        assert ask(connection) == 7
        yield connection


def ask(connection: Any, sql: str = "SELECT 7") -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0] if cursor.description else None


def tool(forebay: Forebay, name: str, *arguments: str) -> Finished:
    """dropdb or createdb, through Forebay, from PostgreSQL's own maintenance database."""
    url = forebay.dsn(database="postgres")
    done = subprocess.run(
        [client("psql").with_name(name), f"--maintenance-db={url}", *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def test_dropdb(forebay: Forebay, databases: Databases) -> None:
    with logged_in(forebay, databases.shop), logged_in(forebay, databases.shop):
        assert databases.connected(databases.shop) > 0
        tool(forebay, "dropdb", databases.shop).ok()
        assert not databases.exist()


def test_createdb_from_a_template(forebay: Forebay, databases: Databases) -> None:
    with logged_in(forebay, databases.shop) as shop:
        ask(shop, "CREATE TABLE goods AS SELECT 3 AS stock")
        tool(forebay, "createdb", "-T", databases.shop, databases.copy).ok()
        assert ask(shop, "SELECT stock FROM goods") == 3
    with logged_in(forebay, databases.copy) as copy:
        assert ask(copy, "SELECT stock FROM goods") == 3


def test_rename_and_whoever_stays(forebay: Forebay, databases: Databases) -> None:
    """Clients without a connection stay: they hear what PostgreSQL says, until there is a database
    of that name again."""
    with (
        logged_in(forebay, databases.shop) as shop,
        logged_in(forebay, "postgres") as maintenance,
    ):
        rename = f'ALTER DATABASE "{databases.shop}" RENAME TO "{databases.renamed}"'
        ask(maintenance, rename)
        with pytest.raises(psycopg2.Error) as caught:
            ask(shop)
        assert caught.value.pgcode == "3D000"
        with pytest.raises(psycopg2.OperationalError, match="does not exist"):
            psycopg2.connect(forebay.dsn(database=databases.shop))
        ask(maintenance, f'CREATE DATABASE "{databases.shop}"')
        assert ask(shop) == 7
        with logged_in(forebay, databases.renamed):
            pass


@pytest.mark.parametrize("prepare", [False, True], ids=["unnamed", "named"])
def test_extended_protocol(forebay: Forebay, databases: Databases, prepare: bool) -> None:
    dsn = forebay.dsn(database="postgres")
    with (
        logged_in(forebay, databases.shop),
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        for _ in range(2):
            connection.execute(
                f'CREATE DATABASE "{databases.copy}" TEMPLATE "{databases.shop}"', prepare=prepare
            )
            with logged_in(forebay, databases.copy):
                connection.execute(f'DROP DATABASE "{databases.copy}"', prepare=prepare)
        connection.execute(f'DROP DATABASE IF EXISTS "{databases.shop}"', prepare=prepare)
    assert not databases.exist()


@pytest.mark.parametrize("pinning", ["minimal", "rds"])
def test_behind_a_change_over(
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
    databases: Databases,
    pinning: str,
) -> None:
    """The connection that it runs on has another client's settings."""
    forebay = start_forebay(
        postgres.port, database, pool=connections(2), proxy={"pinning": pinning}
    )
    with (
        logged_in(forebay, "postgres", application_name="one") as one,
        logged_in(forebay, "postgres", application_name="two") as two,
    ):
        for maintenance in (one, two, one):
            with logged_in(forebay, databases.shop):
                ask(maintenance, f'CREATE DATABASE "{databases.copy}" TEMPLATE "{databases.shop}"')
            ask(maintenance, f'DROP DATABASE "{databases.copy}"')
            assert ask(maintenance, "SHOW application_name") == (
                "two" if maintenance is two else "one"
            )


def test_messages_that_follow_at_once(forebay: Forebay, databases: Databases) -> None:
    """A pipeline of several batches, each of which needs a database for itself."""
    dsn = forebay.dsn(database="postgres")
    with (
        logged_in(forebay, databases.shop),
        psycopg.connect(dsn, autocommit=True) as connection,
        connection.pipeline() as pipeline,
    ):
        for sql in (
            f'CREATE DATABASE "{databases.copy}" TEMPLATE "{databases.shop}"',
            f'DROP DATABASE "{databases.shop}"',
            f'DROP DATABASE "{databases.copy}"',
        ):
            connection.execute(sql)
            pipeline.sync()
    assert not databases.exist()


def test_connections_of_every_user(
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
    databases: Databases,
) -> None:
    other = f"{database.user}_other"
    postgres.create_user(other, "secret")
    try:
        forebay = start_forebay(postgres.port, database, users={other: "secret"})
        with (
            logged_in(forebay, databases.shop),
            logged_in(forebay, databases.shop, user=other),
        ):
            tool(forebay, "dropdb", databases.shop).ok()
    finally:
        databases.drop()
        postgres.sql(f'DROP ROLE "{other}"')


def test_behind_clients_that_never_rest(forebay: Forebay, databases: Databases) -> None:
    """New connections are held back while the statement waits for the ones in use."""
    over = threading.Event()

    def work() -> None:
        with logged_in(forebay, databases.shop) as shop:
            while not over.is_set():
                ask(shop, "SELECT pg_sleep(0.05)")

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: databases.connected(databases.shop) > 1, "they are at work")
        with logged_in(forebay, "postgres") as maintenance:
            for _ in range(2):
                ask(
                    maintenance,
                    f'CREATE DATABASE "{databases.copy}" TEMPLATE "{databases.shop}"',
                )
                ask(maintenance, f'DROP DATABASE "{databases.copy}"')
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


def test_in_use_by_a_client(forebay: Forebay, databases: Databases) -> None:
    """It fails as PostgreSQL says, and who came meanwhile is served."""
    served: list[Any] = []
    with (
        logged_in(forebay, databases.shop) as user,
        logged_in(forebay, databases.shop) as waits,
        logged_in(forebay, "postgres") as maintenance,
    ):
        ask(user, "BEGIN")
        ask(user)
        thread = threading.Thread(target=lambda: served.append(ask(waits)), daemon=True)
        dropping = threading.Thread(
            target=lambda: served.append(fails(maintenance, databases.shop)), daemon=True
        )
        dropping.start()
        forebay.wait_for_log("held back")
        thread.start()
        dropping.join(30)
        thread.join(30)
        assert len(served) == 2
        assert 7 in served
        assert any(IN_USE in str(each) for each in served)
        assert ask(user) == 7
        ask(user, "COMMIT")
        ask(maintenance, f'DROP DATABASE "{databases.shop}"')

    assert not databases.exist()


def fails(connection: Any, name: str) -> str:
    """What PostgreSQL says to a DROP DATABASE of one that is in use."""
    with pytest.raises(psycopg2.Error) as caught:
        ask(connection, f'DROP DATABASE "{name}"')
    assert caught.value.pgcode == "55006"
    return str(caught.value)


def test_a_rename_that_is_rolled_back(forebay: Forebay, databases: Databases) -> None:
    served: list[Any] = []
    with (
        logged_in(forebay, databases.shop) as shop,
        logged_in(forebay, "postgres") as maintenance,
    ):
        ask(maintenance, "BEGIN")
        ask(maintenance, f'ALTER DATABASE "{databases.shop}" RENAME TO "{databases.renamed}"')
        thread = threading.Thread(target=lambda: served.append(ask(shop)), daemon=True)
        thread.start()
        assert ask(maintenance) == 7
        assert databases.connected(databases.shop) == 0
        ask(maintenance, "ROLLBACK")
        thread.join(30)
        assert served == [7]
    assert databases.exist() == {databases.shop}


def test_what_postgresql_refuses(forebay: Forebay, databases: Databases) -> None:
    """In a transaction, and among other statements."""
    drop = f'DROP DATABASE "{databases.shop}"'
    with (
        logged_in(forebay, databases.shop) as shop,
        logged_in(forebay, "postgres") as maintenance,
    ):
        for text in (f"SELECT 1; {drop}", f"{drop}; SELECT 1", f"BEGIN; {drop}"):
            with pytest.raises(psycopg2.Error) as caught:
                ask(maintenance, text)
            assert caught.value.pgcode == "25001"
            ask(maintenance, "ROLLBACK")
            assert ask(shop) == 7
        ask(maintenance, "BEGIN")
        with pytest.raises(psycopg2.Error):
            ask(maintenance, drop)
        with pytest.raises(psycopg2.Error) as caught:
            ask(maintenance, drop)
        assert caught.value.pgcode == "25P02"
        ask(maintenance, "ROLLBACK")
        assert ask(shop) == 7


def test_in_the_database_itself(forebay: Forebay, databases: Databases) -> None:
    with logged_in(forebay, databases.shop) as shop, logged_in(forebay, databases.shop) as another:
        with pytest.raises(psycopg2.Error, match="currently open"):
            ask(shop, f'DROP DATABASE "{databases.shop}"')
        assert ask(shop) == ask(another) == 7


def test_a_client_that_leaves_while_it_drops(forebay: Forebay, databases: Databases) -> None:
    """Somebody is connected past Forebay, so that PostgreSQL waits for a while."""
    beside = psycopg2.connect(
        databases.postgres.url(databases.database.user, databases.database.password, databases.shop)
    )
    with contextlib.closing(beside), logged_in(forebay, databases.shop) as shop:
        process = subprocess.Popen(
            [
                client("psql"),
                forebay.dsn(database="postgres"),
                "-Xc",
                f'DROP DATABASE "{databases.shop}"',
            ],
            env=clean_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        forebay.wait_for_log("held back")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert ask(shop) == 7
        assert databases.exist() == {databases.shop}


def test_a_new_database_of_the_same_name(forebay: Forebay, databases: Databases) -> None:
    """It begins clean: other defaults, other tables under prepared statements, for who logs in."""
    name = databases.shop
    with logged_in(forebay, "postgres") as maintenance:
        with psycopg.connect(forebay.dsn(database=name), autocommit=True) as shop:
            shop.execute("CREATE TABLE goods AS SELECT 3 AS stock")
            query = "SELECT * FROM goods"
            assert shop.execute(query, prepare=True).fetchone() == (3,)
            assert shop.info.parameter_status("TimeZone") != "Asia/Kabul"
        ask(maintenance, f'DROP DATABASE "{name}"')
        ask(maintenance, f'CREATE DATABASE "{name}"')
        ask(maintenance, f"ALTER DATABASE \"{name}\" SET TimeZone = 'Asia/Kabul'")
        with psycopg.connect(forebay.dsn(database=name), autocommit=True) as shop:
            assert shop.info.parameter_status("TimeZone") == "Asia/Kabul"
            shop.execute("CREATE TABLE goods AS SELECT 'tea' AS name, 4 AS stock")
            assert shop.execute(query, prepare=True).fetchone() == ("tea", 4)


def test_two_proxies_of_a_node(
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
    databases: Databases,
) -> None:
    forebay = start_forebay(
        postgres.port, database, pool=connections(6), others={"second": postgres.port}
    )
    with logged_in(forebay, databases.shop), logged_in(forebay, databases.shop, through="second"):
        tool(forebay, "dropdb", databases.shop).ok()
    assert not databases.exist()
