"""``pinning = "rds"``: what a client of RDS Proxy would meet."""

import json
import struct

import psycopg
import pytest

from forebay.protocol.errors import PgError
from forebay.protocol.messages import message, query, sync
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.pins import pin_reasons
from tests.harness.raw import RawClient, bind, execute, parse

BACKEND_PID = 2026  # the number of the function pg_backend_pid
PLAIN = {"require_tls": False}
BACKSLASHES = "SET standard_conforming_strings = off"
RDS = {**PLAIN, "pinning": "rds"}


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    return start_forebay(postgres.port, database, proxy=RDS, pool=connections(5))


def test_the_pin_lasts_and_is_told_in_rds_proxys_words(
    forebay: Forebay, database: TestDatabase
) -> None:
    with RawClient(forebay.port, database) as client:
        client.query("SET search_path = a, b")
        client.query("RESET ALL")
        client.query("DISCARD ALL")
        (backend,) = client.query("SELECT pg_backend_pid()")
        line = json.loads(forebay.wait_for_log("was pinned"))
        assert line["msg"] == (
            "The client session was pinned to the database connection"
            f" [dbConnection={backend[0]}] for the remainder of the session. The proxy can't reuse"
            " this connection until the session ends. Reason: SQL changed session settings that the"
            " proxy doesn't track. Consider moving session configuration to the proxy's"
            ' initialization query. Digest: "set search_path = $1, $2".'
        )
        assert line["client"].startswith("127.0.0.1:")
        with RawClient(forebay.port, database) as other:
            assert other.query("SELECT pg_backend_pid()") != [backend]
        client.leave()
    assert len(forebay.logged("was pinned")) == 1
    assert not forebay.logged("no longer pinned")
    with RawClient(forebay.port, database) as other:
        assert other.query("SHOW search_path") == [['"$user", public']]


def test_what_is_prepared_on_a_pinned_connection_is_as_directly(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    """Its settings are not followed, so nothing that others have prepared there is used."""
    forebay = start_forebay(postgres.port, database, proxy=RDS, pool=connections(1))
    with RawClient(forebay.port, database) as other, RawClient(forebay.port, database) as client:
        prepare = parse("SELECT ('{null}'::text[])[1] IS NULL", "s")
        other.ask(prepare + sync())
        client.query("SET array_nulls = off")
        answer = client.ask(prepare + bind(name="s") + execute() + sync())
        assert [message.row for message in answer if message.kind == "D"] == [["f"]]


def test_a_prepared_statement_pins_when_it_runs(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as client:
        client.ask(parse("SELECT 1", "named") + sync())
        line = forebay.wait_for_log("If this prepared statement runs, the client session will be")
        assert json.loads(line)["reason"] == "PREPARED_STATEMENT"
        client.query("SELECT 1")
        assert not pin_reasons(forebay, client)
        client.ask(bind(name="named") + execute() + sync())
        eventually(lambda: pin_reasons(forebay, client) == ["PREPARED_STATEMENT"])
    with RawClient(forebay.port, database) as client:
        client.ask(parse("SET work_mem = '1MB'") + sync())
        client.ask(bind() + execute() + sync())
        eventually(lambda: pin_reasons(forebay, client) == ["SETTING"])
    with RawClient(forebay.port, database) as client:
        client.ask(parse("SELECT 1") + bind() + execute() + sync())
        client.query("LISTEN here")
        eventually(lambda: pin_reasons(forebay, client) == ["LISTEN"])


def test_a_pin_is_announced_with_its_digest_when_it_is_prepared(
    forebay: Forebay, database: TestDatabase
) -> None:
    cause = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"
    with RawClient(forebay.port, database) as client:
        client.query("BEGIN")
        for number, name in enumerate(("", "named")):
            client.ask(parse("SELECT pg_backend_pid()") + sync())
            client.ask(parse(cause, name) + sync())
            eventually(lambda n=number: len(forebay.logged("If this prep")) == n + 1)  # type: ignore[misc]
        assert not pin_reasons(forebay, client)
        (backend,) = client.query("SELECT pg_backend_pid()")
    for line in forebay.logged("If this prep"):
        assert json.loads(line)["msg"] == (
            "If this prepared statement runs, the client session will be pinned to the database"
            f" connection [dbConnection={backend[0]}]. Reason: SQL changed session settings that"
            " the proxy doesn't track. Consider moving session configuration to the proxy's"
            ' initialization query. Digest: "set session characteristics as transaction read only".'
        )


def test_a_digest_shows_no_value_however_strings_are_read(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=RDS, pool={"init_query": BACKSLASHES})
    with RawClient(forebay.port, database) as client:
        client.query(r"SELECT set_config('my.own', 'it\'s secret', false)")
        assert "secret" not in forebay.wait_for_log("was pinned")


@pytest.mark.parametrize("size", [16384, 16385, 70000, 200000])
def test_the_whole_statement_is_measured(
    forebay: Forebay, database: TestDatabase, size: int
) -> None:
    text = "SELECT 1".ljust(size)
    expected = ["STATEMENT_TOO_LONG"] if size > 16384 else ["LISTEN"]
    for sent in (query(text), parse(text) + bind() + execute() + sync()):
        with RawClient(forebay.port, database) as client:
            client.ask(sent)
            client.query("LISTEN here")
            eventually(lambda c=client: pin_reasons(forebay, c) == expected)  # type: ignore[misc]
    if size > 16384:
        assert forebay.logged("Reason: The connection ran a SQL query which exceeded the 16384")


def test_who_is_pinned_is_not_pinned_again(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as client:
        client.query("SET work_mem = '1MB'")
        for text in ("SELECT 1".ljust(200_000), "SELECT pg_sleep(0)".ljust(20_000)):
            client.query(text)
            client.ask(parse(text) + bind() + execute() + sync())
        client.ask(message(b"F", struct.pack("!Ihhh", BACKEND_PID, 0, 0, 0)))
        client.query("SELECT 1")
        with RawClient(forebay.port, database) as other:
            other.query("LISTEN the_end")
            eventually(lambda: forebay.logged("listen the_end"))
        assert pin_reasons(forebay, client) == ["SETTING"]


def test_startup_parameters_that_rds_proxy_refuses(
    forebay: Forebay, database: TestDatabase
) -> None:
    for settings, said in (
        ({"statement_timeout": "5s"}, "the option statement_timeout."),
        ({"options": "-c work_mem=1MB"}, "command-line options."),
    ):
        with pytest.raises(PgError) as refused:
            RawClient(forebay.port, database, settings)
        assert refused.value.sqlstate == "0A000"
        expected = f"Feature not supported: RDS Proxy currently doesn't support {said}"
        assert refused.value.message == expected
    taken = {"search_path": "pg_catalog", "TimeZone": "Asia/Tokyo", "application_name": "mine"}
    with RawClient(forebay.port, database, taken) as client:
        assert client.query("SHOW search_path") == [["pg_catalog"]]
        assert client.query("SHOW TimeZone") == [["Asia/Tokyo"]]


def test_the_mode_changes_with_a_reload(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN)
    with RawClient(forebay.port, database) as client:
        client.query("SET work_mem = '1MB'")
        client.query("SELECT 1")
        assert not pin_reasons(forebay, client)
        forebay.reload(proxy={"pinning": "rds"})
        client.query("SET work_mem = '2MB'")
        eventually(lambda: pin_reasons(forebay, client) == ["SETTING"])
        forebay.reload(proxy={"pinning": "minimal"})
        client.query("SET work_mem = '3MB'")
        with RawClient(forebay.port, database) as other:
            assert other.query("SHOW work_mem") == [["4MB"]]
        assert client.query("SHOW work_mem") == [["3MB"]]


def test_drivers_pin_as_known(forebay: Forebay, database: TestDatabase) -> None:
    with psycopg.connect(forebay.dsn(sslmode="prefer"), autocommit=True) as client:
        for number in range(7):  # psycopg names a statement when it runs for the sixth time
            client.execute("SELECT %s", (number,))
        line = json.loads(forebay.wait_for_log("was pinned"))
        assert (line["reason"], line["msg"].count("Running a prepared")) == (
            "PREPARED_STATEMENT",
            1,
        )


@pytest.mark.parametrize("pinning", ["minimal", "rds"])
def test_ten_thousand_parameters(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, pinning: str
) -> None:
    forebay = start_forebay(postgres.port, database, proxy={**PLAIN, "pinning": pinning})
    reason = "TOO_MANY_SETTINGS" if pinning == "minimal" else "SETTING"
    with RawClient(forebay.port, database) as client:
        for begin in range(0, 10000, 100):
            client.query(";".join(f"SET a.b{begin + n} = '{n}'" for n in range(100)))
        eventually(lambda: pin_reasons(forebay, client) == [reason])
        assert client.query("SHOW a.b9999") == [["99"]]
        client.leave()
    with RawClient(forebay.port, database) as other:
        assert other.query("SELECT current_setting('a.b1', true)") in ([[None]], [[""]])


def test_a_parameter_too_long_to_be_carried(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN)
    with RawClient(forebay.port, database) as client:
        value = "é" * 100_000
        client.ask(parse("SELECT set_config('a.b', $1, false)") + bind(value) + execute() + sync())
        eventually(lambda: pin_reasons(forebay, client) == ["TOO_MANY_SETTINGS"])
        assert client.query("SELECT length(current_setting('a.b'))") == [["100000"]]
