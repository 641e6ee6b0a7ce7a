"""What is temporary only because of the search_path stays with its client: nobody else sees it or
writes to it, over one connection, and the client keeps it until it is dropped."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from forebay.protocol.messages import query, sync
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.pins import pin_reasons
from tests.harness.raw import RawClient, bind, execute, parse, run

PATH = "tenant_42, pg_temp"  # there is no such schema
TEMPORARY = (
    "SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass"
    " AND refobjid = pg_my_temp_schema()"
)
THERE_ARE = """
    CREATE FUNCTION public.make() RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN CREATE TABLE mine (n int); END $$;
    CREATE PROCEDURE public.make_too() LANGUAGE plpgsql AS
        $$ BEGIN CREATE TABLE mine (n int); END $$;
    CREATE SCHEMA closed;
    """
PLAIN = {"require_tls": False}


# So long nobody else gets the connection of a client that has made something.
KEPT_S = 0.1


@pytest.fixture(scope="module")
def forebay(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forebay]:
    """A Forebay with one connection, for all that leave nothing behind."""
    directory = tmp_path_factory.mktemp("temporary")
    name = f"temporary_{directory.parent.name.replace('-', '_')}"
    place = TestDatabase(name, name, "secret")
    postgres.create_user(name, place.password)
    postgres.create_database(name, owner=name)
    postgres.sql(THERE_ARE, database=name)
    with Forebay(directory, postgres.port, place, proxy=PLAIN, pool=connections(1)) as forebay:
        with session(forebay):
            pass  # what a login is told is known now, and needs no connection
        yield forebay
    postgres.sql(f"DROP DATABASE {name} WITH (FORCE)")
    postgres.sql(f"DROP OWNED BY {name}; DROP ROLE {name}")


@contextmanager
def session(forebay: Forebay, **settings: str) -> Iterator[RawClient]:
    with RawClient(forebay.port, forebay.database, settings) as client:
        yield client


def assert_kept(forebay: Forebay, owner: RawClient, drop: str = "DROP TABLE pg_temp.mine") -> None:
    """The owner has something temporary, which no other client meets."""
    with session(forebay) as other:
        other.send(query(TEMPORARY))
        if other.has_more(KEPT_S):
            raise AssertionError(f"another client was served, and found {other.rows()} of them")
        assert "TEMPORARY_OBJECT" in pin_reasons(forebay, owner)
        assert owner.query(TEMPORARY) != [["0"]]
        owner.query(drop)
        assert owner.query(TEMPORARY) == [["0"]]
        if "SETTING" in pin_reasons(forebay, owner):
            owner.leave()  # pg_temp comes first: anything may make something temporary
        assert other.rows() == [["0"]]


CREATE = "CREATE TABLE mine (n int)"
SELECTED = "SELECT 1 AS n INTO mine"
CALLED = "SELECT public.make()"
SET_CONFIG = "SELECT set_config('search_path', {}, {})"
WAYS = {
    "SET, the schema is missing": [query(f"SET search_path = {PATH}")],
    "SET, the schema is not to be used": [query("SET search_path = closed, pg_temp")],
    "SET, as one string": [query("SET search_path TO 'tenant_42', E'pg\\x5ftemp'")],
    "SET SCHEMA": [query("SET SCHEMA 'pg_temp'")],
    "SET of the first": [query('SET search_path = "$user", pg_temp')],
    "set_config": [query(SET_CONFIG.format(f"'{PATH}'", "false"))],
    "set_config, computed": [query(SET_CONFIG.format("lower('TENANT_42, PG_TEMP')", "false"))],
    "set_config, of a parameter": [run(SET_CONFIG.format("$1", "false"), PATH) + sync()],
    "SET LOCAL": [query("BEGIN"), query(f"SET LOCAL search_path = {PATH}")],
    "set_config, local": [query("BEGIN"), query(SET_CONFIG.format(f"'{PATH}'", "true"))],
    "set_config, local and computed": [
        query("BEGIN"),
        query(SET_CONFIG.format("concat('tenant_42, ', 'pg_', 'temp')", "true")),
    ],
    "set_config, local and of a parameter": [
        query("BEGIN"),
        run(SET_CONFIG.format("$1", "true"), PATH) + sync(),
    ],
    "set_config, local and of parameters only": [
        query("BEGIN"),
        run("SELECT set_config($1, $2::text, true)", "search_path", PATH) + sync(),
    ],
}


@pytest.mark.parametrize("creation", [CREATE, SELECTED, CALLED])
@pytest.mark.parametrize("way", WAYS)
def test_under_a_search_path_that_was_set(forebay: Forebay, way: str, creation: str) -> None:
    with session(forebay) as owner:
        for part in WAYS[way]:
            owner.ask(part)
        owner.query(creation)
        if len(WAYS[way]) > 1:
            owner.query("COMMIT")
        assert_kept(forebay, owner)


@pytest.mark.parametrize("creation", [CREATE, SELECTED, CALLED])
def test_in_the_text_that_sets_the_search_path(forebay: Forebay, creation: str) -> None:
    for scope in ("", "LOCAL "):
        with session(forebay) as owner:
            owner.query(f"SET {scope}search_path = {PATH}; {creation}")
            assert_kept(forebay, owner)


STARTS = [
    {"search_path": PATH},
    {"options": "-c search_path=tenant_42,pg_temp"},
    {"options": r"-c search_path=pg_temp,\ public"},
]


@pytest.mark.parametrize("creation", [CREATE, SELECTED, CALLED])
@pytest.mark.parametrize("settings", STARTS)
def test_under_a_search_path_of_the_login(
    forebay: Forebay, settings: dict[str, str], creation: str
) -> None:
    with session(forebay, **settings) as owner:
        owner.query(creation)
        assert_kept(forebay, owner)


@pytest.mark.parametrize("default", ["ALTER ROLE", "ALTER DATABASE", "init_query"])
@pytest.mark.parametrize("path", [PATH, "pg_temp, public"])
def test_under_a_search_path_that_connections_begin_with(
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    default: str,
    path: str,
) -> None:
    pool = connections(1)
    if default == "init_query":
        pool["init_query"] = f"SET search_path = {path}"
    else:
        postgres.sql(f"{default} {database.name} SET search_path = {path}")
    postgres.sql(THERE_ARE, database=database.name)
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=pool)
    for creation in (CREATE, SELECTED, CALLED):
        with session(forebay) as owner:
            owner.query("SELECT 1")
            owner.query(creation)
            assert_kept(forebay, owner)
            assert pin_reasons(forebay, owner) == ["TEMPORARY_OBJECT"]
    if default == "init_query":
        return
    # It comes back where a session takes its own back, at once or later.
    own = {"search_path": "pg_catalog"}
    for back in ("SET search_path TO DEFAULT", "RESET ALL", "DISCARD ALL"):
        with session(forebay) as owner:
            owner.query("SET search_path = pg_catalog")
            owner.query(back)
            owner.query(SELECTED)
            assert_kept(forebay, owner)
        if back != "DISCARD ALL":
            with session(forebay, **own) as owner:
                owner.query(f"BEGIN; {back}; {SELECTED}; COMMIT")
                assert_kept(forebay, owner)
            with session(forebay) as owner:
                owner.query("SET search_path = pg_catalog")
                local = back.replace("SET search", "SET LOCAL search")
                for part in ("BEGIN", local, SELECTED, "COMMIT"):
                    owner.query(part)
                assert_kept(forebay, owner)


CONFIGURATION = "TEXT SEARCH CONFIGURATION"
OPERATOR = "CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int)"
CREATIONS = [
    ("CREATE TABLE mine AS SELECT 1 AS n", "DROP TABLE mine"),
    ("CREATE TABLE IF NOT EXISTS mine (n serial PRIMARY KEY)", "DROP TABLE mine"),
    ("WITH x AS (SELECT 1 AS n) SELECT n INTO mine FROM x", "DROP TABLE mine"),
    ("SELECT 1 AS n INTO TABLE mine", "DROP TABLE mine"),
    ("(SELECT 1 AS n INTO mine)", "DROP TABLE mine"),
    ("EXPLAIN ANALYZE SELECT 1 AS n INTO mine", "DROP TABLE mine"),
    ("EXPLAIN ANALYZE CREATE TABLE mine AS SELECT 1 AS n", "DROP TABLE mine"),
    ("CREATE VIEW mine AS SELECT 1 AS n", "DROP VIEW mine"),
    ("CREATE OR REPLACE VIEW mine AS SELECT 1 AS n", "DROP VIEW mine"),
    ("CREATE SEQUENCE mine", "DROP SEQUENCE mine"),
    ("CREATE TYPE mine AS (n int)", "DROP TYPE pg_temp.mine"),
    ("CREATE TYPE mine AS ENUM ('a')", "DROP TYPE pg_temp.mine"),
    ("CREATE DOMAIN mine AS int", "DROP DOMAIN pg_temp.mine"),
    ("CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION pg_temp.mine"),
    ("CREATE PROCEDURE mine() LANGUAGE sql AS 'SELECT 1'", "DROP PROCEDURE pg_temp.mine"),
    ('CREATE COLLATION mine FROM "C"', "DROP COLLATION pg_temp.mine"),
    (f"CREATE {CONFIGURATION} mine (COPY = simple)", f"DROP {CONFIGURATION} pg_temp.mine"),
    (OPERATOR, "DROP OPERATOR pg_temp.=== (int, int)"),
    ("CALL public.make_too()", "DROP TABLE mine"),
]


@pytest.mark.parametrize("name", [None, "", "named"])
@pytest.mark.parametrize(("creation", "drop"), CREATIONS)
def test_whatever_is_created(forebay: Forebay, creation: str, drop: str, name: str | None) -> None:
    with session(forebay) as owner:
        if name is not None:
            owner.ask(parse(creation, name) + sync())  # under the usual search_path
        owner.query(f"SET search_path = {PATH}")
        if name is None:
            owner.query(creation)
        else:
            if not name:  # SET has ended it
                owner.ask(parse(creation) + sync())
            answer = owner.ask(bind(name=name) + execute() + sync())
            assert [each.fields for each in answer if each.kind == "E"] == []
        assert_kept(forebay, owner, drop)


@pytest.mark.parametrize("target", ["pg_temp", "PG_TEMP", '"pg_temp"'])
def test_foreign_tables_that_are_imported(
    forebay: Forebay, postgres: Postgres, target: str
) -> None:
    database = forebay.database
    postgres.sql(
        "DROP EXTENSION IF EXISTS postgres_fdw CASCADE; DROP SCHEMA IF EXISTS far CASCADE;"
        "CREATE EXTENSION postgres_fdw;"
        f"CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1',"
        f" port '{postgres.port}', dbname '{database.name}');"
        f"CREATE USER MAPPING FOR {database.user} SERVER here"
        f" OPTIONS (user '{database.user}', password '{database.password}');"
        f"GRANT USAGE ON FOREIGN SERVER here TO {database.user};"
        "CREATE SCHEMA far; CREATE TABLE far.mine (n int)",
        database=database.name,
    )
    postgres.sql(f"GRANT ALL ON SCHEMA far TO {database.user}", database=database.name)
    with session(forebay) as owner:
        owner.query(f"IMPORT FOREIGN SCHEMA far FROM SERVER here INTO {target}")
        assert_kept(forebay, owner, "DROP FOREIGN TABLE pg_temp.mine")


def test_a_creation_that_is_rolled_back_pins_nobody(forebay: Forebay) -> None:
    with session(forebay) as owner, session(forebay) as other:
        owner.query(f"SET search_path = {PATH}")
        for ending in ("ROLLBACK", "SELECT 1/0"):
            owner.query("BEGIN")
            owner.query(CREATE)
            owner.ask(query(ending))
            owner.query("ROLLBACK")
            assert other.query(TEMPORARY) == [["0"]]
        owner.ask(query(f"{CREATE}; SELECT 1/0"))
        assert other.query(TEMPORARY) == [["0"]]
        assert pin_reasons(forebay, owner) == []


def test_what_is_not_temporary_pins_nobody(forebay: Forebay) -> None:
    with session(forebay) as owner, session(forebay) as other:
        for path in ("public", "public, pg_temp"):
            owner.query(f"SET search_path = {path}")
            for creation in (CREATE, SELECTED, CALLED, "CREATE TABLE mine AS SELECT 1 AS n"):
                owner.query(creation)
                assert other.query("SELECT count(*) >= 0 FROM public.mine") == [["t"]]
                other.query("DROP TABLE public.mine")
        assert pin_reasons(forebay, owner) == []


LOCAL = "SELECT set_config($1, $2, true)"
HARMLESS = [
    query("SELECT count(*) FROM plain"),
    query("SELECT n INTO other_one FROM plain"),
    query("DROP TABLE other_one"),
    run("SELECT set_config('search_path', $1, true)", "public") + sync(),
    run(LOCAL, "search_path", "public") + sync(),
]


def test_who_has_not_named_it_is_not_asked(forebay: Forebay, postgres: Postgres) -> None:
    forebay.psql("CREATE TABLE plain (n int)").ok()
    with Observer(postgres, forebay.database) as seen, session(forebay) as client:

        def last() -> str:
            sql = """SELECT query FROM pg_stat_activity
                WHERE datname = %s AND application_name <> 'postgres_fdw'"""
            return str(seen.value(sql, seen.name))

        for part in HARMLESS:
            client.ask(part)
            assert "pg_my_temp_schema" not in last()
        client.query("SET search_path = public, pg_temp")
        for text in ("SELECT 1", "SELECT n FROM plain WHERE n IN (1)", "BEGIN; COMMIT"):
            client.query(text)
            assert last() == text
    forebay.psql("DROP TABLE plain").ok()


def test_others_still_hear_of_tables_that_change(forebay: Forebay) -> None:
    # A client that may have made something temporary, and has not, is not taken to have made it.
    forebay.psql("DROP TABLE IF EXISTS t, elsewhere", "CREATE TABLE t (n int)").ok()
    with session(forebay) as client, session(forebay) as other:
        other.ask(parse("SELECT * FROM t", "s") + sync())
        again = bind(name="s") + execute() + sync()
        assert [each.kind for each in other.ask(again)] == ["2", "C", "Z"]
        client.query("BEGIN; CREATE TABLE elsewhere (); DROP TABLE t; CREATE TABLE t (); COMMIT")
        client.query("INSERT INTO t DEFAULT VALUES")
        rows = [each.body for each in other.ask(again) if each.kind == "D"]
        assert rows == [b"\0\0"]
