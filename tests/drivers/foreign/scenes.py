"""What is done with each driver under a schema that stays as it is."""

from tests.drivers.foreign.groups import ENOUGH, Scene, add, beside, scene
from tests.drivers.foreign.steps import (
    BESIDE,
    NEIGHBOUR,
    OTHER,
    Argument,
    Step,
    batch,
    begin,
    changing_hands,
    commit,
    copy_in,
    cursor,
    elsewhere,
    heard,
    in_time,
    int4,
    int8,
    listen,
    plain,
    query,
    rollback,
    text,
)

# -- values ---------------------------------------------------------------------------------------

KINDS: dict[str, tuple[Argument, ...]] = {
    "bool": (("bool", True), ("bool", False)),
    "int4": (int4(42), int4(-(2**31))),
    "int8": (int8(42), int8(2**53)),
    "float8": (("float8", 0.1), ("float8", 1e300)),
    "timestamp": (("timestamp", "2026-02-28T23:59:59.123456"),),
    "timestamptz": (("timestamptz", "2026-02-28T23:59:59.123456+00:00"),),
    "date": (("date", "1999-12-31"),),
    "text": (text("plain"), text("Ünïcode 🙂"), text("")),
    "bytea": (("bytea", "00ff7f5c27"),),
    "uuid": (("uuid", "3f333df6-90a4-4fda-8dd3-9485d27cee36"),),
    "jsonb": (("json", '{"a": [1, 2.5, null], "b": "c"}'),),
    "int4[]": (("int4s", [1, 2, 3]), ("int4s", [])),
    "text[]": (("texts", ["a", 'b"c', "d,e"]),),
}


@scene("use")
def values() -> Scene:
    """Of every kind, in and out, before and after the driver names its statement."""
    columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate(KINDS))
    steps = [plain(f"CREATE TABLE v (id int4, {columns}, n numeric)")]
    names = ", ".join(["id", *(f"c{number}" for number in range(len(KINDS))), "n"])
    marks = ", ".join(f"${number}" for number in range(1, len(KINDS) + 2))
    insert = f"INSERT INTO v ({names}) VALUES ({marks}, ${len(KINDS) + 2}::text::numeric)"
    turns: list[Step] = []
    for turn in range(ENOUGH):
        given = [values[turn % len(values)] for values in KINDS.values()]
        turns += [
            query(insert, int4(turn), *given, text(f"{turn}.50")),
            query("SELECT * FROM v WHERE id = $1", int4(turn)),
            query("SELECT * FROM v WHERE id = $1", int4(turn), who=NEIGHBOUR),
        ]
    steps += changing_hands(turns)
    return [*steps, query("SELECT v::text FROM v ORDER BY id", who=BESIDE)]


@scene("use")
def other_types_for_one_text() -> Scene:
    """The same text with arguments of other types, as overloads and nulls make them."""
    sql = "SELECT pg_typeof($1::int8)::text, $1::int8 + 1"
    return [*changing_hands([query(sql, kind(n)) for kind in (int4, int8) for n in range(6)])]


# -- long statements ------------------------------------------------------------------------------


@scene("long")
def many_parameters() -> Scene:
    """IN with 12,000 parameters, often enough to be named."""
    numbers = range(1, 12_001)
    marks = ", ".join(f"${number}" for number in numbers)
    sql = f"SELECT count(*) FROM generate_series(1, 20000) n WHERE n IN ({marks})"
    use = query(sql, *map(int4, numbers))
    return [*changing_hands([use] * ENOUGH), *beside([use])]


@scene("long")
def bulk_inserts() -> Scene:
    """One INSERT of many rows, 130 to 1,037 kB of text."""
    steps = [plain("CREATE TABLE t (n int8, s text)")]
    inserts: list[Step] = []
    for rows, padding in ((4_000, 10), (16_000, 10), (10_000, 80)):
        literal = "x" * padding
        lines = ", ".join(f"(${n}, '{literal}')" for n in range(1, rows + 1))
        insert = query(f"INSERT INTO t VALUES {lines}", *map(int8, range(rows)))
        inserts += [insert, insert]
    steps += changing_hands(inserts)
    return [*steps, query("SELECT count(*), sum(n), sum(length(s)) FROM t", who=BESIDE)]


@scene("long")
def long_texts() -> Scene:
    """Statements up to 2 MiB, often enough to be named, by two clients."""
    steps: list[Step] = []
    for size in (66_000, 300 << 10, 1 << 20, 2 << 20):
        use = query(f"SELECT length('{'y' * size}') + $1::int4", int4(1))
        steps += [*changing_hands([use] * 6), *beside([use])]
    return steps


# -- healing --------------------------------------------------------------------------------------


def forgotten(sql: str) -> Scene:
    """The client itself makes the database forget its prepared statements."""
    use = query("SELECT id, v FROM t WHERE id = $1", int4(1))
    return [
        plain("CREATE TABLE t (id int, v bigint); INSERT INTO t VALUES (1, 42)"),
        *changing_hands([use] * ENOUGH),
        plain(sql),
        *changing_hands([use] * ENOUGH),
        plain(sql),
        begin(),
        use,
        use,
        rollback(),
        *[use] * 3,
        *elsewhere([plain(sql)]),
        *changing_hands([use] * 3),
    ]


add("healing", "deallocate_all", forgotten("DEALLOCATE ALL"))
add("healing", "discard_all", forgotten("DISCARD ALL"))


# -- time limits ----------------------------------------------------------------------------------


@scene("use")
def cancelled() -> Scene:
    """The driver's own time limit, in and outside a transaction, and statement_timeout."""
    use = query("SELECT $1::int8 + 1", int8(1))
    sleep = "SELECT pg_sleep(30)"
    return [
        *changing_hands([use] * ENOUGH),
        in_time(sleep, 300),
        *changing_hands([use] * 3),
        begin(),
        use,
        in_time(sleep, 300),
        rollback(),
        *changing_hands([use] * 3),
        plain("SET statement_timeout = '300ms'"),
        *elsewhere([query(sleep)]),
        use,
        plain("SET statement_timeout = 0"),
        *changing_hands([use] * 3),
    ]


# -- transactions and what else drivers offer -----------------------------------------------------


@scene("use")
def transactions() -> Scene:
    insert = [query("INSERT INTO t VALUES ($1, 'kept')", int4(n)) for n in range(4)]
    look = query("SELECT n, s FROM t ORDER BY n")
    return [
        plain("CREATE TABLE t (n int PRIMARY KEY, s text)"),
        begin(),
        insert[0],
        plain("SAVEPOINT one"),
        insert[1],
        insert[1],
        look,
        plain("ROLLBACK TO one"),
        insert[2],
        plain("RELEASE one"),
        look,
        commit(),
        *changing_hands([look] * ENOUGH),
        begin(),
        insert[3],
        insert[3],
        look,
        commit(),
        *changing_hands([look] * 3),
        query("SELEC"),
        look,
    ]


@scene("use")
def batches() -> Scene:
    insert = [query("INSERT INTO t VALUES ($1, $2)", int4(n), int8(n)) for n in range(200)]
    wrong = [*insert[:3], query("INSERT INTO t VALUES ($1, $2)", int4(0), int8(0))]
    look = query("SELECT count(*), sum(v) FROM t")
    return [
        plain("CREATE TABLE t (n int PRIMARY KEY, v bigint)"),
        batch(*insert[3:100]),
        *elsewhere([batch(*insert[100:150])]),
        batch(*insert[150:]),
        look,
        batch(*wrong, insert[3]),
        look,
        plain("ALTER TABLE t ALTER v TYPE float8; TRUNCATE t", OTHER),
        batch(*insert[:50]),
        *elsewhere([batch(*insert[50:100])]),
        batch(*insert[100:]),
        query("SELECT count(*), sum(v)::text FROM t", who=BESIDE),
    ]


LOOK = query("SELECT count(*), sum(n), sum(length(s)) FROM t")


@scene("use")
def copying() -> Scene:
    return [
        plain("CREATE TABLE t (n int4, s text)"),
        copy_in("t", 5_000),
        *elsewhere([copy_in("t", 5_000)]),
        *changing_hands([LOOK] * 3),
    ]


@scene("use")
def copying_in_vain() -> Scene:
    return [
        plain("CREATE TABLE t (n int4 CHECK (n < 3000), s text)"),
        copy_in("t", 5_000),
        *changing_hands([LOOK] * 3),
    ]


@scene("use")
def listening() -> Scene:
    return [
        listen("news"),
        query("SELECT pg_notify('news', $1)", text("one"), who=NEIGHBOUR),
        query("SELECT pg_notify('news', $1)", text("two"), who=BESIDE),
        heard(2),
        query("SELECT $1::int4 + 1", int4(1)),
    ]


@scene("use")
def cursors() -> Scene:
    many = "SELECT n, repeat('x', 100) FROM generate_series(1, 5000) n"
    return [
        begin(),
        cursor(many, 500),
        cursor(many, 499),
        commit(),
        *elsewhere([begin(), cursor(many, 1000), rollback()]),
        *changing_hands([query("SELECT count(*) FROM generate_series(1, 10)")] * 3),
    ]
