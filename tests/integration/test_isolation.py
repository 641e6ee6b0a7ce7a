"""What one client does to its session, another never meets: case by case, over one connection."""

import pytest

from forebay.protocol.messages import query, sync
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.raw import RawClient, bind, close, describe, execute, parse, run

PLAIN = {"require_tls": False}
# Who has waited so long for the one connection waits for the client that is pinned to it.
PINNED_S = 0.1
STATE = """SELECT current_setting('search_path'), current_setting('role'), session_user = '{user}',
    coalesce(current_setting('app.tenant', true), ''), current_setting('TimeZone'),
    current_setting('statement_timeout'), current_setting('standard_conforming_strings'),
    current_setting('transaction_read_only'), current_setting('transaction_isolation'),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
    (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
    (SELECT count(*) FROM pg_cursors), (SELECT count(*) FROM pg_listening_channels()),
    (SELECT count(*) FROM pg_prepared_statements WHERE from_sql)"""


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    """A Forebay with one connection."""
    return start_forebay(
        postgres.port,
        database,
        proxy=PLAIN,
        target={"database": database.name},
        pool=connections(1),
    )


def assert_isolated(forebay: Forebay, postgres: Postgres, *conversation: bytes) -> None:
    """After the conversation, whose parts end with a Sync or Query each, others see nothing of it.

    The client may be pinned: then it is not in anybody's way once it has left.
    """
    database = forebay.database
    state = STATE.format(user=database.user)
    with RawClient(postgres.port, database) as direct:
        expected = direct.query(state)
    with RawClient(forebay.port, database) as client:
        for part in conversation:
            client.ask(part)
        with RawClient(forebay.port, database) as other:
            other.send(query(state))
            if other.has_more(PINNED_S):
                assert other.rows() == expected
                other.send(query(state))
            client.leave()
            assert other.rows() == expected


CHANGES = [
    "SET search_path = pg_catalog",
    "SELECT set_config('app.tenant', 'mine', false)",
    "SELECT pg_advisory_lock(42)",
    "LISTEN news",
    "CREATE TEMPORARY TABLE t ()",
    "SET TIME ZONE 'Asia/Aden'",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "PREPARE p AS SELECT set_config('search_path', 'pg_catalog', false)",
    "DO $$ BEGIN PERFORM set_config('statement_timeout', '12345', false); END $$",
    "SELECT pg_advisory_lock_shared(7), set_config('statement_timeout', '99999', false)",
    "DISCARD ALL",
    "RESET ALL",
]


@pytest.mark.parametrize("change", CHANGES)
def test_changes(forebay: Forebay, postgres: Postgres, change: str) -> None:
    assert_isolated(forebay, postgres, query(change))
    assert_isolated(forebay, postgres, run(change) + sync())
    assert_isolated(forebay, postgres, query("BEGIN"), query(change), query("COMMIT"))
    assert_isolated(forebay, postgres, query("BEGIN"), run(change) + sync())
    assert_isolated(forebay, postgres, query(f"SELECT 1; {change}; SELECT 2"))


AGAIN = [
    ("SELECT set_config('app.tenant', $1, false)", ["mine"]),
    ("SELECT set_config('search_path', $1, false)", ["pg_catalog"]),
    ("SELECT set_config($1, 'pg_catalog', false)", ["search_path"]),
    ("SELECT pg_advisory_lock($1::int)", ["42"]),
    ("SET TimeZone = 'Asia/Aden'", []),
    ("LISTEN news", []),
    ("CREATE TEMPORARY TABLE t ()", []),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", []),
]


@pytest.mark.parametrize(("change", "values"), AGAIN)
@pytest.mark.parametrize("name", ["", "named"])
def test_a_statement_that_was_prepared_long_ago(
    forebay: Forebay, postgres: Postgres, change: str, values: list[str], name: str
) -> None:
    # It is prepared, and then executed in transactions of their own.
    again = bind(*values, name=name) + execute() + sync()
    assert_isolated(forebay, postgres, parse(change, name) + sync(), again)
    assert_isolated(forebay, postgres, parse(change, name) + sync(), again, again)
    assert_isolated(forebay, postgres, parse(change, name) + describe("S", name) + sync(), again)
    undone = ["UNLISTEN *", "DROP TABLE IF EXISTS t", "CLOSE ALL", "RESET ALL"]
    undone.append("SELECT pg_advisory_unlock_all()")
    assert_isolated(forebay, postgres, parse(change, name) + again, *map(query, undone), again)


def test_a_statement_that_another_client_has_prepared(
    forebay: Forebay, postgres: Postgres, database: TestDatabase
) -> None:
    text = "SELECT set_config('search_path', 'pg_catalog', false)"
    with RawClient(forebay.port, database) as client:
        client.ask(parse(text, "first") + sync())
        assert_isolated(
            forebay,
            postgres,
            parse(text, "second") + sync(),
            bind(name="second") + execute() + sync(),
        )


def test_an_unnamed_statement_of_another_client(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as client, RawClient(forebay.port, database) as other:
        client.ask(run("SELECT 'a secret'") + sync())
        for data in (bind() + execute() + sync(), describe("S") + sync()):
            error, _ready = other.ask(data)
            assert (error.kind, error.fields["C"]) == ("E", "26000")
        other.ask(run("SELECT 'of the other'") + sync())
        again = client.ask(bind() + execute() + sync())
        assert [each.row for each in again if each.kind == "D"] == [["a secret"]]


def test_a_named_statement_of_another_client(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as client, RawClient(forebay.port, database) as other:
        client.ask(parse("SELECT 'a secret'", "s") + sync())
        error, _ready = other.ask(bind(name="s") + execute() + sync())
        assert error.fields["C"] == "26000"
        other.ask(parse("SELECT 'of the other'", "s") + sync())
        answers = [each.ask(bind(name="s") + execute() + sync()) for each in (client, other)]
        rows = [[m.row for m in answer if m.kind == "D"] for answer in answers]
        assert rows == [[["a secret"]], [["of the other"]]]
        client.ask(close("S", "s") + sync())
        assert other.ask(bind(name="s") + execute() + sync())[0].kind == "2"


# Read with backslashes as plain characters, the call stands in a string: SET LOCAL hides it.
TRICK = r"SELECT 'a\', ' , set_config('statement_timeout','12345',false), 'b\', '"


@pytest.mark.parametrize("local", ["SET LOCAL", "SET", "SELECT set_config"])
def test_strings_that_are_read_in_another_way(
    forebay: Forebay, postgres: Postgres, local: str
) -> None:
    name = "standard_conforming_strings"
    off = f"{local} {name} = off"
    if "(" in off or local.endswith("config"):
        off = f"SELECT set_config('{name}', 'off', true)"
    assert_isolated(forebay, postgres, query("BEGIN"), query(off), query(TRICK), query("COMMIT"))
    assert_isolated(
        forebay, postgres, query(f"BEGIN; {off}"), query(TRICK + "; COMMIT"), query("SELECT 1")
    )
    assert_isolated(
        forebay, postgres, query("BEGIN"), query(off), run(TRICK) + sync(), query("COMMIT")
    )


def test_strings_that_are_read_in_another_way_from_the_start(
    forebay: Forebay, database: TestDatabase
) -> None:
    settings = {"standard_conforming_strings": "off"}
    with RawClient(forebay.port, database, settings) as client:
        client.ask(query(TRICK))
        with RawClient(forebay.port, database) as other:
            other.send(query("SHOW statement_timeout"))
            if not other.has_more(PINNED_S):
                client.leave()
            assert other.rows() == [["0"]]


def test_custom_settings_from_the_start(forebay: Forebay, database: TestDatabase) -> None:
    shown = "SELECT coalesce(current_setting('app.tenant', true), '')"
    with RawClient(forebay.port, database) as other:
        with RawClient(forebay.port, database, {"app.tenant": "mine"}) as client:
            for change in ("SELECT 1", "SET work_mem = '5MB'", "RESET work_mem", "RESET ALL"):
                client.query(change)
                assert other.query(shown) == [[""]]
                assert client.query(shown) == [["mine"]]
        assert other.query(shown) == [[""]]


def test_a_transaction_that_is_left_open(forebay: Forebay, postgres: Postgres) -> None:
    database = forebay.database
    forebay.psql("CREATE TABLE t (n int)").ok()
    with RawClient(forebay.port, database) as other:
        for goodbye in (RawClient.leave, RawClient.vanish):
            for last in ("INSERT INTO t VALUES (1)", "SELECT 1/0", "LOCK TABLE t"):
                client = RawClient(forebay.port, database)
                client.ask(query("BEGIN"))
                client.ask(query(last))
                goodbye(client)
                assert other.query("SELECT count(*) FROM t") == [["0"]]
        for part in (parse("SELECT 1"), run("INSERT INTO t VALUES (1)"), b"Q\0\0\1\0SELECT"):
            client = RawClient(forebay.port, database)
            client.send(part)
            client.vanish()
            assert other.query("SELECT count(*) FROM t") == [["0"]]


ENDS_WITH_IT = [
    "DECLARE c CURSOR FOR SELECT 1",
    "SET LOCAL search_path = pg_catalog",
    "SELECT set_config('app.tenant', 'mine', true)",
    "SELECT pg_advisory_xact_lock(42)",
    "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY",
]


@pytest.mark.parametrize("statement", ENDS_WITH_IT)
def test_nothing_is_asked_behind_what_ends_with_its_transaction(
    forebay: Forebay, postgres: Postgres, seen: Observer, statement: str
) -> None:
    parts = [query("BEGIN"), query(statement)]
    for last in ("COMMIT", "ROLLBACK"):
        assert_isolated(forebay, postgres, *parts, query(last))
        with RawClient(forebay.port, forebay.database) as client:
            for part in (*parts, query(last)):
                client.ask(part)
            assert seen.rows(
                "SELECT query FROM pg_stat_activity WHERE datname = %s", seen.name
            ) == [(last,)]
    assert_isolated(forebay, postgres, *parts)


def test_the_init_query_is_not_discarded_for_others(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    pool = connections(1, init_query="SET TimeZone = 'Asia/Tokyo'; SET work_mem = '5MB'")
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=pool)
    with RawClient(forebay.port, database) as client, RawClient(forebay.port, database) as other:
        for change in ("DISCARD ALL", "RESET ALL", "RESET TimeZone", "SET TIME ZONE DEFAULT"):
            client.query(change)
            assert other.query("SHOW TimeZone") == [["Asia/Tokyo"]]
            assert other.query("SHOW work_mem") == [["5MB"]]


def test_a_setting_whose_name_postgresql_cuts(forebay: Forebay, database: TestDatabase) -> None:
    long = "x" * 70
    look = f"SELECT coalesce(current_setting('app.{long[:63]}', true), '')"
    with RawClient(forebay.port, database) as client, RawClient(forebay.port, database) as other:
        client.query(f"SET app.{long} = 'mine'")
        assert other.query(look) == [[""]]
        assert client.query(look) == [["mine"]]
