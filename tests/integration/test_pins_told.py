"""What the log says of pins: until when, because of which statement, and that they have ended."""

import json
from typing import Any

import pytest

from forebay.protocol.messages import query, sync
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.raw import RawClient, run


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    return start_forebay(postgres.port, database, proxy={"require_tls": False}, pool=connections(3))


def begun(forebay: Forebay, count: int = 1) -> list[dict[str, Any]]:
    """The lines of so many pins."""
    lines = eventually(lambda: found if len(found := forebay.logged("was pinned")) >= count else [])
    return [json.loads(line) for line in lines]


ENDINGS = {
    "CREATE TEMP TABLE t (a int)": "until nothing temporary is left (DROP, DISCARD TEMP)",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1": "until the cursor is closed (CLOSE)",
    "SELECT pg_advisory_lock(1)": (
        "until no session-level advisory lock is held (pg_advisory_unlock)"
    ),
    "LISTEN news": "until UNLISTEN",
    "PREPARE p AS SELECT 1": "until DEALLOCATE",
    "SELECT setseed(0.5)": "until the client disconnects",
    "SET search_path = pg_temp": "until the client disconnects",
}
DONE = {
    "CREATE TEMP TABLE t (a int)": "DROP TABLE t",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1": "CLOSE c",
    "SELECT pg_advisory_lock(1)": "SELECT pg_advisory_unlock(1)",
    "LISTEN news": "UNLISTEN news",
    "PREPARE p AS SELECT 1": "DEALLOCATE p",
}


@pytest.mark.parametrize("statement", ENDINGS)
def test_each_pin_says_when_it_ends_and_its_end_is_told(
    forebay: Forebay, database: TestDatabase, statement: str
) -> None:
    with RawClient(forebay.port, database) as client:
        client.query(statement)
        ((backend,),) = client.query("SELECT pg_backend_pid()")
        (line,) = begun(forebay)
        assert line["msg"].startswith(
            f"The client session was pinned to the database connection [dbConnection={backend}]"
            f" {ENDINGS[statement]}. The proxy can't reuse this connection until then. Reason: "
        )
        assert not forebay.logged("no longer pinned")
        if statement in DONE:
            client.query(DONE[statement])
        else:
            client.leave()
        ended = json.loads(forebay.wait_for_log("no longer pinned"))
    assert ended["reason"] == line["reason"]
    assert ended["clientConnection"] == line["clientConnection"]
    assert ended["duration_s"] >= 0
    left = "" if statement in DONE else " (the client has left)"
    assert ended["msg"] == f"The client session is no longer pinned: {line['reason']}{left}"


def test_a_pin_that_ends_with_a_client_that_vanishes_is_told(
    forebay: Forebay, database: TestDatabase
) -> None:
    client = RawClient(forebay.port, database)
    client.query("LISTEN news; SELECT pg_advisory_lock(2)")
    begun(forebay, 2)
    client.vanish()
    eventually(lambda: len(forebay.logged("no longer pinned: .* .the client has left.")) == 2)


DIGESTS = {
    "SELECT 1; LISTEN news; SELECT 2": ["listen news"],
    "LISTEN news; LISTEN other; SELECT pg_advisory_lock(1); SELECT 'x;y'": [
        "listen other",
        "select pg_advisory_lock($1)",
    ],
    "SELECT 'a;b'; /* ; */ SELECT setseed(0.25); SELECT 3": ["select setseed($1)"],
    "SET work_mem = '1MB'; CREATE TEMP TABLE t (a int); CREATE TABLE u (a int)": [
        "create temp table t (a int)"
    ],
    "SET search_path = pg_temp; SET work_mem = '1MB'": ["set search_path = $1"],
    "BEGIN; CREATE RULE r AS ON INSERT TO v DO ALSO (SELECT 1; SELECT 2); PREPARE p AS SELECT 4;"
    " COMMIT;": ["prepare p as select $1"],
}


@pytest.mark.parametrize("text", DIGESTS)
def test_the_digest_is_that_of_the_statement_that_pins(
    forebay: Forebay, database: TestDatabase, text: str
) -> None:
    with RawClient(forebay.port, database) as client:
        client.query("CREATE TABLE v (a int)")
        client.query(text)
        lines = begun(forebay, len(DIGESTS[text]))
        said = [line["msg"].partition(" Digest: ")[2] for line in lines]
        assert sorted(said) == [f'"{each}".' for each in DIGESTS[text]]


def test_each_pin_of_a_transaction_has_the_digest_of_its_own_statement(
    forebay: Forebay, database: TestDatabase
) -> None:
    with RawClient(forebay.port, database) as client:
        client.query("BEGIN")
        client.ask(run("LISTEN news") + run("SELECT pg_advisory_lock(7)") + sync())
        client.query("SET work_mem = '2MB'")
        client.query("COMMIT")
        said = {line["reason"]: line["msg"].partition(" Digest: ")[2] for line in begun(forebay, 2)}
    assert said == {
        "LISTEN": '"listen news".',
        "ADVISORY_LOCK": '"select pg_advisory_lock($1)".',
    }


def test_what_no_statement_has_caused_has_no_digest(
    forebay: Forebay, database: TestDatabase
) -> None:
    with RawClient(forebay.port, database) as client:
        client.query("SET work_mem = '2MB'")
        # FunctionCall: pg_backend_pid (its number is 2026), no arguments, a binary result.
        body = (2026).to_bytes(4, "big") + bytes(4) + (1).to_bytes(2, "big")
        client.ask(b"F" + (len(body) + 4).to_bytes(4, "big") + body)
        (line,) = begun(forebay)
        assert (line["reason"], "Digest" in line["msg"]) == ("FUNCTION_CALL", False)
        assert client.ask(query("SELECT 1"))[-1].kind == "Z"
