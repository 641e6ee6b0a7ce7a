"""Conversations to be held twice, and what may differ between the two."""

import random
import struct
from collections.abc import Callable
from typing import NamedTuple

from forebay.protocol.messages import copy_fail, query, sync
from tests.harness.raw import (
    Message,
    RawClient,
    bind,
    close,
    copy_data,
    copy_done,
    describe,
    execute,
    flush,
    parse,
    run,
)

SCHEMA = """
    DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public;
    CREATE TABLE t (n int PRIMARY KEY, s text DEFAULT 'none', CHECK (n >= 0));
    INSERT INTO t SELECT n, 'line ' || n FROM generate_series(1, 20) n;
    CREATE FUNCTION shout(what text) RETURNS text LANGUAGE plpgsql AS $$
        BEGIN RAISE NOTICE 'heard %', what; RAISE WARNING 'careful'; RETURN upper(what); END $$;
"""
# What may differ. Forebay knows which statements a client has prepared, and refuses in PostgreSQL's
# words a name that does not exist or exists already; but it does not know where in PostgreSQL's
# source that is said, nor does it look at the text or the number of values first, and in an aborted
# transaction it says only that. On the connection a statement has another name.
# (And: a custom setting that another client had on the same connection reads as '' before it is
# set, not as NULL; the conversations do not ask.)
REFUSED = ("26000", "42P05", "25P02", "08P01")


class Step(NamedTuple):
    """Send ``data``; then read up to the ``count``-th message of one of the ``kinds``."""

    data: bytes
    kinds: str = "Z"
    count: int = 1


Conversation = list[Step]


def hold(client: RawClient, conversation: Conversation) -> list[tuple[str, bytes]]:
    """Everything the server says, but for what is documented to differ."""
    said = []
    for step in conversation:
        client.send(step.data)
        said += client.until(step.kinds, step.count)
    return [(message.kind, comparable(message)) for message in said]


def comparable(message: Message) -> bytes:
    """The body without what depends on the moment: numbers of tables and processes."""
    body = message.body
    if message.kind == "T":
        return _without_tables(body)
    if message.kind == "A":
        return body[4:]
    if message.kind == "E" and message.fields["C"] in REFUSED:
        return b"refused"
    return body


def _without_tables(body: bytes) -> bytes:
    """A RowDescription with zero for the table of each column."""
    found = body[:2]
    at = 2
    for _ in range(int.from_bytes(body[:2], "big")):
        end = body.index(b"\0", at) + 1
        found += body[at:end] + bytes(4) + body[end + 4 : end + 18]
        at = end + 18
    return found


def simple(*texts: str) -> Conversation:
    return [Step(query(text)) for text in texts]


def extended(*texts: str) -> Conversation:
    return [Step(run(text) + sync()) for text in texts]


def together(*texts: str) -> Conversation:
    """All in one pipeline with a single Sync."""
    return [Step(b"".join(map(run, texts)) + sync())]


STATEMENTS = [
    "SELECT 1",
    "SELECT n, s FROM t ORDER BY n",
    "SELECT n, s FROM t WHERE n > 15 ORDER BY n",
    "SELECT NULL::int, ''::text, 'ä€', E'\\t', '{1,2}'::int[], 1.50::numeric",
    "SELECT repeat('x', 20000)",
    "INSERT INTO t VALUES (101)",
    "INSERT INTO t VALUES (102, 'new') RETURNING n, s",
    "INSERT INTO t VALUES (1)",
    "INSERT INTO t VALUES (-1)",
    "UPDATE t SET s = upper(s) WHERE n < 4",
    "DELETE FROM t WHERE n = 7",
    "SELECT 1/0",
    "SELEC",
    "SELECT nothing FROM nowhere",
    "",
    ";",
    "-- only a comment",
    "/* a /* nested */ one */ SELECT $$a 'quoted' one$$",
    "SELECT shout('hello')",
    "DO $$ BEGIN RAISE NOTICE 'noticed'; END $$",
    "BEGIN",
    "START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT a",
    "SAVEPOINT b",
    "ROLLBACK TO a",
    "RELEASE a",
    "DECLARE c CURSOR FOR SELECT n FROM t ORDER BY n",
    "DECLARE h CURSOR WITH HOLD FOR SELECT n FROM t ORDER BY n",
    "FETCH 3 FROM c",
    "FETCH BACKWARD 1 FROM h",
    "FETCH 2 FROM h",
    "CLOSE h",
    "CLOSE ALL",
    "SET search_path = pg_catalog",
    "SET LOCAL work_mem = '5MB'",
    "SET TimeZone = 'Asia/Tokyo'",
    "SET TIME ZONE 'nowhere'",
    "SET DateStyle = 'German'",
    "SELECT '2026-02-01'::date",
    "RESET ALL",
    "RESET TimeZone",
    "SHOW TimeZone",
    "SHOW work_mem",
    "SHOW search_path",
    "SELECT set_config('app.tenant', 'mine', true)",
    "SELECT set_config('app.tenant', 'mine', false)",
    "SELECT coalesce(current_setting('app.tenant', true), '')",
    "SET ROLE pg_read_all_data",
    "SET application_name = 'another'",
    "PREPARE p (int) AS SELECT s FROM t WHERE n = $1",
    "EXECUTE p (3)",
    "DEALLOCATE p",
    "DEALLOCATE ALL",
    "DISCARD ALL",
    "CREATE TEMPORARY TABLE own (n int)",
    "INSERT INTO own VALUES (1), (2)",
    "SELECT * FROM own",
    "DROP TABLE own",
    "CREATE TABLE made (n int)",
    "DROP TABLE IF EXISTS made",
    "LISTEN news",
    "NOTIFY news, 'hot'",
    "UNLISTEN *",
    "SELECT pg_advisory_xact_lock(3)",
    "SELECT pg_try_advisory_lock(4)",
    "SELECT pg_advisory_unlock(4)",
    "LOCK TABLE t",
    "SELECT n FROM t ORDER BY n FOR UPDATE LIMIT 2",
    "VACUUM t",
    "SELECT 1; SELECT 2",
    "SELECT 1; SELECT 1/0; SELECT 2",
    "BEGIN; INSERT INTO t VALUES (103); COMMIT; SELECT count(*) FROM t",
    "INSERT INTO t VALUES (104); ROLLBACK",
    "SET LOCAL TimeZone = 'Asia/Aden'; SELECT 1",
    "EXPLAIN (COSTS OFF) SELECT 1",
    "TRUNCATE t",
]

Maker = Callable[[random.Random], Conversation]


def _copy_in(rng: random.Random) -> Conversation:
    lines = [f"{rng.randrange(200, 10**6)}\tcopied\n".encode() for _ in range(rng.randrange(5))]
    if rng.random() < 0.3:
        lines.append(b"not a number\t\n")
    end = copy_done() if rng.random() < 0.8 else copy_fail("changed my mind")
    data = b"".join(map(copy_data, lines)) + end
    text = rng.choice(["COPY t FROM STDIN", "COPY t (n) FROM STDIN", "COPY nowhere FROM STDIN"])
    if rng.random() < 0.5:
        return [Step(query(text) + data + query("SELECT 'behind'"), "Z", 2)]
    return [Step(run(text) + data + sync())]


def _copy_out(rng: random.Random) -> Conversation:
    text = rng.choice(["COPY t TO STDOUT", "COPY (SELECT 1/n FROM t) TO STDOUT WITH (FORMAT csv)"])
    return rng.choice([simple, extended])(text)


def _portals(rng: random.Random) -> Conversation:
    opened = parse("SELECT n FROM t ORDER BY n") + bind(portal="some")
    fetched = b"".join(execute("some", rng.randrange(0, 8)) for _ in range(rng.randrange(1, 5)))
    if rng.random() < 0.5:
        return [Step(opened + fetched + close("P", "some") + sync())]
    return [
        *simple("BEGIN"),
        Step(opened + sync()),
        Step(describe("P", "some") + sync()),
        Step(fetched + sync()),
    ]


def _named(rng: random.Random) -> Conversation:
    name = rng.choice(["", "one", "two", "a name with 'quotes'"])
    text = rng.choice(
        ["SELECT $1::int + 1", "SELECT s FROM t WHERE n = $1", "INSERT INTO t VALUES ($1)"]
    )
    parts = [
        parse(text, name),
        parse(text, name, [23]),
        parse("SELEC"),
        describe("S", name),
        bind(str(rng.randrange(300)), name=name) + describe() + execute(),
        bind("not a number", name=name) + execute(),
        bind(name=name) + execute(),
        close("S", name),
        sync(),
        sync(),
    ]
    chosen = rng.choices(parts, k=rng.randrange(1, 7))
    return [Step(b"".join(chosen) + sync(), "Z", chosen.count(sync()) + 1)]


def _statements(rng: random.Random) -> Conversation:
    texts = rng.choices(STATEMENTS, k=rng.randrange(1, 5))
    return rng.choice([simple, extended, together])(*texts)


def _pipelined(rng: random.Random) -> Conversation:
    """Queries and synced batches sent in one go."""
    texts = rng.choices(
        [text for text in STATEMENTS if "LISTEN" not in text], k=rng.randrange(2, 6)
    )
    parts = [query(text) if rng.random() < 0.5 else run(text) + sync() for text in texts]
    return [Step(b"".join(parts), "Z", len(parts))]


def _flushed(rng: random.Random) -> Conversation:
    return [Step(parse("SELECT 5") + flush(), "1E"), Step(sync())]


MAKERS: list[Maker] = [
    *[_statements] * 6,
    *[_pipelined] * 2,
    *[_named] * 3,
    _copy_in,
    _copy_out,
    _portals,
    _flushed,
]


def make(seed: int) -> Conversation:
    """A random conversation; the same for the same seed."""
    rng = random.Random(seed)
    conversation: Conversation = []
    for _ in range(rng.randrange(4, 14)):
        conversation += rng.choice(MAKERS)(rng)
    return conversation


def fastpath(function: int, *arguments: bytes) -> bytes:
    """A FunctionCall with arguments and result in binary form."""
    body = struct.pack("!Ihhh", function, 1, 1, len(arguments))
    for argument in arguments:
        body += struct.pack("!i", len(argument)) + argument
    body += struct.pack("!h", 1)
    return b"F" + struct.pack("!I", len(body) + 4) + body
