"""An error at every point of a batch: what is answered, and what is left, is as without Forebay."""

import pytest

from forebay.protocol.messages import query, sync
from tests.differential.conversations import Conversation, Step, hold
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.raw import RawClient, bind, close, describe, execute, flush, parse

# A batch with each message that there is, some of them twice.
BATCH = [
    parse("INSERT INTO t VALUES ($1::int)", "put"),
    describe("S", "put"),
    bind("1", name="put"),
    execute(),
    parse("SELECT n FROM t ORDER BY n"),
    bind(portal="rows"),
    describe("P", "rows"),
    execute("rows", 1),
    execute("rows"),
    close("P", "rows"),
    flush(),
    bind("2", name="put"),
    execute(),
    close("S", "put"),
    parse("SELECT count(*) FROM t", "put"),
    bind(name="put"),
    execute(),
]
ERRORS = {
    "a text that is no SQL": parse("SELEC"),
    "a named text that is no SQL": parse("SELEC", "broken"),
    "a name that is taken": parse("SELECT 1", "kept"),
    "a statement that is not known": bind(name="unknown"),
    "a description of nothing": describe("S", "unknown"),
    "a portal that is not known": execute("unknown"),
    "a value that does not fit": bind("x", name="kept"),
    "too many values": bind("1", "2", name="kept"),
    "a failure as it runs": bind("0", name="kept") + execute(),
    "a failure at the end": parse("INSERT INTO later VALUES (1)") + bind() + execute(),
    "a simple query": query("SELECT 1/0"),
}
SCHEMA = """
    DROP TABLE IF EXISTS t, later; CREATE TABLE t (n int);
    CREATE TABLE later (n int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO later VALUES (1);
"""
# The names that a client may have afterwards, and what has happened to the rows.
AFTER = [
    *(Step(describe("S", name) + sync()) for name in ("put", "kept", "broken", "unknown")),
    Step(query("ROLLBACK")),
    Step(query("SELECT n FROM t ORDER BY n")),
    Step(bind("4", name="kept") + execute() + sync()),
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("begun", [False, True], ids=["alone", "in a transaction"])
def test_at_every_point(
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    error: str,
    begun: bool,
) -> None:
    forebay = start_forebay(
        postgres.port, database, proxy={"require_tls": False}, pool=connections(2)
    )
    for place in range(len(BATCH) + 1):
        conversation = _conversation(place, ERRORS[error], begun)
        direct, through = (
            _hold(port, database, conversation) for port in (postgres.port, forebay.port)
        )
        assert through == direct, f"{error}, before message {place}"


def _conversation(place: int, error: bytes, begun: bool) -> Conversation:
    batch = b"".join([*BATCH[:place], error, *BATCH[place:]]) + sync()
    answers = 2 if error[:1] == b"Q" else 1  # a simple query has an end of its own
    before = [Step(parse("SELECT 4 / ($1::int * (random() < 2)::int)", "kept") + sync())]
    if begun:
        before.append(Step(query("BEGIN")))
    return [*before, Step(batch, "Z", answers), Step(describe("S") + sync()), *AFTER]


def _hold(port: int, database: TestDatabase, conversation: Conversation) -> list[tuple[str, bytes]]:
    with RawClient(port, database) as client:
        client.query(SCHEMA)
        said = hold(client, conversation)
        client.leave()
    return said
