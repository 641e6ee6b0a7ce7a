"""What a client asks for when it connects, and what the database says to it."""

import psycopg2
import pytest

from forebay.protocol.errors import PgError
from tests.harness import FaultProxy, Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.raw import RawClient

PLAIN = {"require_tls": False}


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    """A Forebay with two connections, without TLS."""
    return start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(2))


SETTINGS = {
    "search_path": "pg_catalog, public",
    "statement_timeout": "12345ms",
    "application_name": "a name with 'quotes' and \\ and ä",
    "work_mem": "7MB",
    "extra_float_digits": "2",
    "forebay.custom": "a custom one",
}
REPORTED = {
    "DateStyle": "German, DMY",
    "TimeZone": "Asia/Tokyo",
    "client_encoding": "LATIN1",
    "IntervalStyle": "iso_8601",
    "application_name": "reported",
    "standard_conforming_strings": "off",
}


def test_settings_of_the_startup_packet_are_applied(
    forebay: Forebay, database: TestDatabase
) -> None:
    with (
        RawClient(forebay.port, database, SETTINGS) as client,
        RawClient(forebay.port, database) as other,
    ):
        for _ in range(3):  # on whichever connection
            other.query("BEGIN")
            for name, value in SETTINGS.items():
                expected = value if value.isascii() else value.replace("ä", "\\xc3\\xa4")
                assert client.query(f"SHOW {name}") == [[expected]]
                assert other.query(f"SELECT current_setting('{name}', true)") != [[expected]]
            other.query("COMMIT")


def test_what_the_database_reports_is_told(
    forebay: Forebay, postgres: Postgres, database: TestDatabase
) -> None:
    with RawClient(postgres.port, database, REPORTED) as direct:
        expected = direct.parameters
    for _ in range(2):  # from the database, then from memory
        with RawClient(forebay.port, database, REPORTED) as client:
            assert client.parameters == expected
    with RawClient(postgres.port, database) as direct:
        expected = direct.parameters
    for _ in range(2):
        with RawClient(forebay.port, database) as client:
            assert client.parameters == expected


def test_what_the_database_reports_otherwise_than_before_is_told(
    start_forebay: type[Forebay], database: TestDatabase
) -> None:
    with Postgres() as server:
        server.create_user(database.user, database.password)
        server.create_database(database.name, owner=database.user)
        forebay = start_forebay(server.port, database, proxy=PLAIN)
        RawClient(forebay.port, database).leave()
        server.configure(TimeZone="Asia/Tokyo", DateStyle="German")
        server.restart()
        with RawClient(server.port, database) as direct:
            expected = direct.parameters
        with RawClient(forebay.port, database) as client:
            client.query("SELECT 1")
        with RawClient(forebay.port, database) as client:
            assert client.parameters == expected
        forebay.stop()


def test_options_of_the_command_line(forebay: Forebay) -> None:
    options = r"-c search_path=pg_catalog,\ public --work-mem=8MB -cstatement_timeout=9s"
    with psycopg2.connect(forebay.dsn(), options=options) as connection:
        cursor = connection.cursor()
        found = []
        for name in ("search_path", "work_mem", "statement_timeout"):
            cursor.execute(f"SHOW {name}")
            found += cursor.fetchone()
    connection.close()
    assert found == ["pg_catalog, public", "8MB", "9s"]


@pytest.mark.parametrize(
    "settings",
    [
        {"no_such_setting": "1"},
        {"work_mem": "many"},
        {"options": "-c statement_timeout=soon"},
        {"options": "-c shared_buffers=1GB"},
        {"options": "-c wal_level=minimal"},
        {"client_encoding": "KLINGON"},
        {"DateStyle": "Mayan"},
        {"TimeZone": "Mars/Olympus"},
        {"role": "nobody_of_that_name"},
    ],
    ids=str,
)
def test_an_invalid_setting_is_refused_as_postgresql_does(
    forebay: Forebay, postgres: Postgres, database: TestDatabase, settings: dict[str, str]
) -> None:
    with pytest.raises(PgError) as direct:
        RawClient(postgres.port, database, settings)
    for _ in range(2):
        with pytest.raises(PgError) as refused:
            RawClient(forebay.port, database, settings)
        assert refused.value.severity == direct.value.severity
        assert refused.value.sqlstate == direct.value.sqlstate
        assert refused.value.message == direct.value.message
    with RawClient(forebay.port, database) as client:
        assert client.query("SELECT 1") == [["1"]]


def test_the_name_of_the_application_is_seen_in_the_database(
    forebay: Forebay, database: TestDatabase, seen: Observer
) -> None:
    with (
        RawClient(forebay.port, database, {"application_name": "first"}) as first,
        RawClient(forebay.port, database, {"application_name": "second"}) as second,
    ):
        for _ in range(3):
            for client in (first, second):
                client.query("BEGIN")
            assert len(seen.backends("state LIKE 'idle in%%' AND application_name = 'first'")) == 1
            assert len(seen.backends("state LIKE 'idle in%%' AND application_name = 'second'")) == 1
            for client in (second, first):
                client.query("COMMIT")


def test_resetting_goes_back_to_what_was_asked_for_at_the_start(
    forebay: Forebay, postgres: Postgres, database: TestDatabase
) -> None:
    settings = {"search_path": "pg_catalog", "TimeZone": "Asia/Tokyo", "work_mem": "7MB"}
    for port in (postgres.port, forebay.port):
        for reset in ("RESET ALL", "DISCARD ALL", "RESET search_path", "SET work_mem TO DEFAULT"):
            with RawClient(port, database, settings) as client:
                client.query("SET search_path = public")
                client.query("SET TimeZone = 'Asia/Aden'")
                client.query("SET work_mem = '9MB'")
                client.query(reset)
                if reset.endswith("ALL"):
                    assert client.query("SHOW TimeZone") == [["Asia/Tokyo"]]
                if "search_path" in reset or reset.endswith("ALL"):
                    assert client.query("SHOW search_path") == [["pg_catalog"]]
                if "work_mem" in reset or reset.endswith("ALL"):
                    assert client.query("SHOW work_mem") == [["7MB"]]


def test_a_wrong_password_for_the_database(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    forebay = start_forebay(
        postgres.port, database, proxy=PLAIN, target={"database": database.name}
    )
    said = f'password authentication failed for user "{database.user}"'
    with RawClient(forebay.port, database) as client:
        client.query("SELECT 1")
        postgres.sql(f"ALTER ROLE {database.user} PASSWORD 'another'")
        seen.rows(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s",
            database.user,
        )
        # A backend is out of that list before its socket is closed.
        forebay.wait_for_log("The database connection closed")
        # In a session it is an error, in a login the end.
        with pytest.raises(PgError, match=said) as refused:
            client.query("SELECT 2")
        assert (refused.value.sqlstate, refused.value.severity) == ("28P01", "ERROR")
        with pytest.raises(PgError, match=said) as refused:
            RawClient(forebay.port, database, {"DateStyle": "German"})
        assert (refused.value.sqlstate, refused.value.severity) == ("28P01", "FATAL")
        postgres.sql(f"ALTER ROLE {database.user} PASSWORD '{database.password}'")
        eventually(lambda: _succeeds(client), "the right password is tried again")


def _succeeds(client: RawClient) -> bool:
    try:
        return client.query("SELECT 3") == [["3"]]
    except PgError:
        return False


def test_an_unknown_database(forebay: Forebay, database: TestDatabase) -> None:
    nowhere = TestDatabase("nowhere", database.user, database.password)
    for _ in range(3):
        with pytest.raises(PgError) as refused:
            RawClient(forebay.port, nowhere)
        assert refused.value.sqlstate == "3D000"
        assert refused.value.message == 'database "nowhere" does not exist'
    with RawClient(forebay.port, database) as client:
        assert client.query("SELECT 1") == [["1"]]


INIT = "SET TimeZone = 'Asia/Tokyo'; SET forebay.made_by = 'init_query'; SET work_mem = '5MB'"


@pytest.mark.parametrize("end", ["", " ;\n", " -- as reports need it", "; /* ; */"])
def test_the_init_query_holds_for_every_client(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, end: str
) -> None:
    forebay = start_forebay(
        postgres.port, database, proxy=PLAIN, pool=connections(1, init_query=INIT + end)
    )
    for settings in ({}, {"work_mem": "6MB"}, {}, {"TimeZone": "UTC"}, {"work_mem": "7MB"}, {}):
        with RawClient(forebay.port, database, settings) as client:
            assert client.parameters["TimeZone"] == settings.get("TimeZone", "Asia/Tokyo")
            assert client.query("SHOW TimeZone") == [[settings.get("TimeZone", "Asia/Tokyo")]]
            assert client.query("SHOW work_mem") == [[settings.get("work_mem", "5MB")]]
            assert client.query("SHOW forebay.made_by") == [["init_query"]]
            client.query("SET forebay.made_by = 'a client'")
            client.query("SET TimeZone = 'Asia/Aden'")
            client.leave()


def test_the_init_query_holds_after_a_client_has_discarded_all(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(
        postgres.port, database, proxy=PLAIN, pool=connections(1, init_query=INIT)
    )
    with RawClient(forebay.port, database, {"work_mem": "6MB"}) as client:
        client.query("DISCARD ALL")
        assert client.query("SHOW TimeZone") == [["Asia/Tokyo"]]
        assert client.query("SHOW forebay.made_by") == [["init_query"]]
        assert client.query("SHOW work_mem") == [["6MB"]]


def test_an_init_query_that_fails_is_told(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(
        postgres.port, database, proxy=PLAIN, pool=connections(1, init_query="SELECT 1/0")
    )
    with pytest.raises(PgError) as refused:
        RawClient(forebay.port, database)
    assert refused.value.sqlstate == "22012"
    assert "division by zero" in refused.value.message


def test_an_application_name_that_is_no_text(
    forebay: Forebay, postgres: Postgres, database: TestDatabase
) -> None:
    """As PostgreSQL: it is let in, and seen with a question mark (since 16 with its bytes)."""
    settings = {"application_name": "Jos\udce9"}
    with (
        RawClient(postgres.port, database, settings) as direct,
        RawClient(forebay.port, database, settings) as client,
    ):
        told = direct.parameters["application_name"].replace("\\xe9", "?")
        assert client.parameters["application_name"] == told == "Jos?"
        assert client.query("SHOW application_name") == [["Jos?"]]


REFUSED = {
    "22021": {"my.own": "\udcff"},
    "22023": {"work_mem": "much"},
    "42704": {"no_such_setting": "1"},
    "55P02": {"max_connections": "7"},
}


@pytest.mark.parametrize("sqlstate", REFUSED)
def test_what_the_database_refuses_costs_no_connections(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, sqlstate: str
) -> None:
    """The client is told so, in the database's words; whoever logs in so again and again must not
    have connections opened and closed."""
    with FaultProxy(postgres.port) as network:
        forebay = start_forebay(
            network.port,
            database,
            proxy={"require_tls": False},
            target={"database": database.name},
            pool=connections(2),
        )
        with RawClient(forebay.port, database) as other:
            other.query("SET my.other = 'kept'")
            for _ in range(3):
                with pytest.raises(PgError) as refused:
                    RawClient(forebay.port, database, REFUSED[sqlstate])
                assert (refused.value.severity, refused.value.sqlstate) == ("FATAL", sqlstate)
                assert other.query("SHOW my.other") == [["kept"]]
            assert network.accepted <= 3
        forebay.stop()
