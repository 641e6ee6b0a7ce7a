"""The schema changes, or another becomes visible, under statements that are in use."""

from tests.drivers.foreign.groups import ENOUGH, Scene, add, beside, scene
from tests.drivers.foreign.steps import (
    BESIDE,
    MAIN,
    NEIGHBOUR,
    NEWCOMER,
    OTHER,
    Argument,
    begin,
    changing_hands,
    commit,
    int4,
    int8,
    plain,
    query,
    rollback,
)

# Who changes what: of those that are not named here only another client does it.
EVERYBODY = (MAIN, OTHER, BESIDE)
BY: dict[str, tuple[str, ...]] = {
    "bigint_to_float8": EVERYBODY,
    "int_to_text": (OTHER, BESIDE),
    "timestamp_to_timestamptz": EVERYBODY,
    "add_column": EVERYBODY,
    "swap": (OTHER, BESIDE),
    "recreate": EVERYBODY,
}

# Column type before and after, and what the driver is given throughout.
ALTERED: dict[str, tuple[str, str, Argument]] = {
    "bigint_to_float8": ("bigint", "float8", int8(42)),
    "float8_to_bigint": ("float8", "bigint", ("float8", 42.0)),
    "int_to_text": ("int", "text", int4(42)),
    "int_to_bigint": ("int", "bigint", int4(42)),
    "timestamp_to_timestamptz": ("timestamp", "timestamptz", ("timestamp", "2026-07-01T12:00:00")),
}


def altered(before: str, after: str, argument: Argument, who: str) -> Scene:
    """A column gets another type while statements that write and read it are in use."""
    insert = query("INSERT INTO t VALUES ($1, $2)", int4(1), argument)
    select = query("SELECT v FROM t WHERE id = $1 ORDER BY ctid DESC LIMIT 1", int4(1))
    returning = query("INSERT INTO t VALUES ($1, $2) RETURNING v", int4(2), argument)
    use = [insert, select, returning]
    return [
        plain("SET TimeZone = 'Asia/Tokyo'"),
        plain(f"CREATE TABLE t (id int, v {before})"),
        *changing_hands(use * ENOUGH),
        *beside(use),
        plain(f"ALTER TABLE t ALTER v TYPE {after}", who),
        *changing_hands(use * 3),
        *beside(use * 2),
        begin(),
        *use,
        rollback(),
        *use,
        *beside(use, NEWCOMER),
        query("SELECT DISTINCT id, v::text FROM t ORDER BY 1, 2", who=BESIDE),
    ]


for _name, (_before, _after, _argument) in ALTERED.items():
    for _who in BY.get(_name, (OTHER,)):
        add("altered", f"{_name}_by_{_who}", altered(_before, _after, _argument, _who))

RESHAPED: dict[str, str] = {
    "add_column": "ALTER TABLE t ADD COLUMN more text DEFAULT 'more'",
    "drop_column": "ALTER TABLE t DROP COLUMN b",
    "rename": "ALTER TABLE t RENAME a TO c",
    "swap": "ALTER TABLE t RENAME a TO x; ALTER TABLE t RENAME b TO a; ALTER TABLE t RENAME x TO b",
    "recreate": "DROP TABLE t; CREATE TABLE t (id int, a float8, b text); "
    "INSERT INTO t VALUES (1, 0.5, 'new'), (3, 0.5, 'new')",
}


def reshaped(ddl: str, who: str) -> Scene:
    """A table gets other columns under SELECT *, SELECT a, b, and INSERT … RETURNING *."""
    use = [
        query("SELECT * FROM t WHERE id = $1", int4(1)),
        query("SELECT a, b FROM t WHERE id = $1", int4(1)),
        query("INSERT INTO t (id, a) VALUES ($1, $2) RETURNING *", int4(2), int8(42)),
        query("UPDATE t SET a = $2 WHERE id = $1", int4(3), int8(43)),
    ]
    return [
        plain("CREATE TABLE t (id int, a bigint, b bigint)"),
        plain("INSERT INTO t VALUES (1, 10, 20), (3, 10, 20)"),
        *changing_hands(use * ENOUGH),
        *beside(use),
        plain(ddl, who),
        *changing_hands(use * 3),
        *beside(use * 2),
        query("SELECT DISTINCT t::text FROM t WHERE id <> 2 ORDER BY 1", who=BESIDE),
        *beside(use, NEWCOMER),
        query("SELECT DISTINCT t::text FROM t ORDER BY 1", who=BESIDE),
    ]


for _name, _ddl in RESHAPED.items():
    for _who in BY.get(_name, (OTHER,)):
        add("reshaped", f"{_name}_by_{_who}", reshaped(_ddl, _who))


@scene("healing")
def ddl_in_a_transaction_of_its_own() -> Scene:
    """ALTER TABLE and use in one transaction, taken back."""
    use = query("SELECT * FROM t WHERE id = $1", int4(1))
    return [
        plain("CREATE TABLE t (id int, v bigint); INSERT INTO t VALUES (1, 42)"),
        *changing_hands([use] * ENOUGH),
        begin(),
        use,
        plain("ALTER TABLE t ALTER v TYPE float8"),
        use,
        rollback(),
        *changing_hands([use] * 3),
        begin(),
        plain("ALTER TABLE t ADD COLUMN w text"),
        commit(),
        *changing_hands([use] * 3),
        *beside([use], NEWCOMER),
    ]


@scene("healing")
def search_path() -> Scene:
    """One name, two tables, columns of other types."""
    insert = query("INSERT INTO t VALUES ($1, $2)", int4(1), int8(42))
    select = query("SELECT v FROM t WHERE id = $1 LIMIT 1", int4(1))
    star = query("SELECT * FROM t LIMIT 1")
    use = [insert, select, star]
    steps = [
        plain("CREATE SCHEMA a; CREATE TABLE a.t (id int, v bigint)", BESIDE),
        plain("CREATE SCHEMA b; CREATE TABLE b.t (id int, v float8)", BESIDE),
        plain("CREATE SCHEMA c; CREATE TABLE c.t (v text, id int, w date)", BESIDE),
        plain("SET search_path = a", NEIGHBOUR),
    ]
    for turn, path in enumerate(["a", "b", "a", "c", "a", "b"]):
        steps += [plain(f"SET search_path = {path}")]
        steps += changing_hands(use * (ENOUGH if turn == 0 else 3))
        steps += beside([plain(f"SET search_path = {path}"), *use], f"{NEWCOMER} {turn}")
        steps += beside(use * 2)
    for path in "abc":
        steps.append(query(f"SELECT DISTINCT t::text FROM {path}.t ORDER BY 1", who=BESIDE))
    return steps


@scene("healing")
def stale_in_a_transaction() -> Scene:
    """What a statement returns changes beside, and it is first used again in a transaction."""
    use = query("SELECT * FROM t WHERE id = $1", int4(1))
    steps = [
        plain("CREATE TABLE t (id int, v bigint); INSERT INTO t VALUES (1, 42)"),
        *changing_hands([use] * ENOUGH),
    ]
    for number, who in enumerate([BESIDE, OTHER]):
        steps += [
            plain(f"ALTER TABLE t ADD COLUMN w{number} int", who),
            begin(),
            query("SELECT 1"),
            use,
            use,
            rollback(),
            begin(),
            use,
            use,
            commit(),
            *changing_hands([use] * 4),
            {**use, "who": f"{NEWCOMER} {number}"},
        ]
    return steps
