"""Random sequences of statements that change and read the state of sessions."""

import random
from collections.abc import Callable, Sequence

from tests.equivalence.exclusions import LITERALS, bound, told, without_known
from tests.equivalence.lanes import LANES_LIMIT, Step
from tests.equivalence.wire import Op

CONNECTS = (
    (),
    (),
    ("application_name", "one"),
    ("application_name", "it's two"),
    ("search_path", "{me}, public"),
    ("options", "-c search_path={me} -c work_mem=8MB"),
    ("options", "-c statement_timeout=15s --DateStyle=German"),
    ("DateStyle", "SQL, DMY", "TimeZone", "Asia/Tokyo"),
    ("client_encoding", "LATIN1"),
    ("client_encoding", "UTF8", "app.first", "from the start"),
    ("role", "visitor"),
    ("work_mem", "much"),
    ("nonesuch", "1"),
    ("options", "-c default_transaction_isolation=serializable"),
    ("extra_float_digits", "0", "IntervalStyle", "iso_8601"),
)
# Must come before any query of its transaction (see differences.NOT_ASKED).
SERIALIZABLE = "ISOLATION LEVEL SERIALIZABLE"
SETTINGS = (
    "work_mem = '64MB'",
    "work_mem = '65536kB'",
    "work_mem TO 8192",
    "work_mem TO DEFAULT",
    "work_mem = 'lots'",
    "Work_Mem = '1.5MB'",
    "statement_timeout = '15.5s'",
    "statement_timeout = 15500",
    "statement_timeout TO '1min'",
    "search_path TO {me}, public",
    "search_path = '{me}'",
    'search_path = "$user", public',
    "search_path TO public, {me}",
    "search_path TO ''",
    "SCHEMA '{me}'",
    "DateStyle = 'ISO, DMY'",
    "datestyle TO German",
    "DateStyle = SQL, MDY",
    "DateStyle = 'Postgres, YMD'",
    "IntervalStyle = 'postgres_verbose'",
    "IntervalStyle = sql_standard",
    "array_nulls = off",
    "transform_null_equals = on",
    "TIME ZONE 'Europe/Zurich'",
    "TIME ZONE LOCAL",
    "TIME ZONE -7",
    "TIME ZONE 5.5",
    "TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE",
    "timezone = 'UTC'",
    "timezone TO 'Nowhere/Land'",
    "NAMES 'LATIN1'",
    "NAMES 'UTF8'",
    "NAMES DEFAULT",
    "client_encoding = 'WIN1252'",
    "client_encoding = 'KLINGON'",
    "extra_float_digits = 0",
    "bytea_output = 'escape'",
    "standard_conforming_strings = off",
    "standard_conforming_strings = on",
    "row_security = off",
    "default_transaction_isolation = 'repeatable read'",
    "default_transaction_read_only = on",
    "default_transaction_read_only = off",
    "application_name = 'it''s'",
    'application_name TO "Quoted Name"',
    r"application_name = E'back\\slash \'n quote'",
    "application_name = 'Zürich'",
    "app.first = 'one'",
    "app.first = 'it''s ''two'''",
    "app.second TO 2",
    "app.\"Third\" = '3'",
    "app.empty = ''",
    "nonesuch = 1",
    "server_version = '9'",
    "ROLE visitor",
    "ROLE 'visitor'",
    "ROLE stranger",
    "ROLE NONE",
    "lock_timeout = 100000",
    "enable_seqscan TO off",
    "plan_cache_mode = force_generic_plan",
    "default_statistics_target = 50",
)
SESSION_ONLY = (
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE, ISOLATION LEVEL READ COMMITTED",
    "SET SESSION AUTHORIZATION DEFAULT",
    "SET SESSION AUTHORIZATION stranger",
    "RESET SESSION AUTHORIZATION",
    "RESET ROLE",
    "RESET work_mem",
    "RESET search_path",
    "RESET TIME ZONE",
    "RESET client_encoding",
    "RESET app.first",
    "RESET nonesuch",
    "RESET ALL",
    "SELECT set_config('work_mem', '2MB', false)",
    "SELECT set_config('search_path', 'public', false)",
    "SELECT set_config('app.first', 'configured', false)",
    "SELECT set_config('app.first', 'for now', true)",
    "SELECT set_config('DateStyle', 'ISO, YMD', true)",
    "SELECT set_config('nonesuch', 'x', false)",
    "SELECT set_config('role', 'visitor', false)",
    "SELECT set_config('app.second', NULL, false)",
    "SET work_mem = '3MB'; SET app.first = 'both'",
    "SET work_mem = '5MB'; SELECT 1/0",
    "SET DateStyle = 'ISO, YMD'; SET TIME ZONE 'Asia/Aden'; SELEC",
    "BEGIN; SET work_mem = '6MB'; ROLLBACK",
    "BEGIN; SET DateStyle = 'SQL'; COMMIT; SET app.first = 'after'",
    f"COMMIT; BEGIN; SET TRANSACTION {SERIALIZABLE}",
    "SET TRANSACTION READ ONLY",
)
SHOWN = (
    "work_mem",
    "statement_timeout",
    "search_path",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "client_encoding",
    "extra_float_digits",
    "bytea_output",
    "standard_conforming_strings",
    "row_security",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "transaction_isolation",
    "transaction_read_only",
    "application_name",
    "role",
    "session_authorization",
    "lock_timeout",
    "enable_seqscan",
    "is_superuser",
    "plan_cache_mode",
)
CUSTOM = ("app.first", "app.second", "app.third", "app.empty")
READS = (
    "SELECT current_user, session_user, current_schema",
    "SELECT '2024-02-03'::date, timestamptz '2024-01-01 00:00+00', interval '1 day 02:00'",
    *(f"SELECT {literal}" for literal in LITERALS),
    "SELECT 0.1::float8 + 0.2, '\\x6162'::bytea, 'a\\b'",
    "SELECT who FROM place",
    "SELECT * FROM place, secret",
    "SELECT place FROM place",
    "SELECT count(*) FROM entry",
    "SELECT 'Zürich', length('Zürich')",
    "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() ORDER BY relname",
    "SELECT name, statement FROM pg_prepared_statements WHERE from_sql ORDER BY name",
    "SELECT name, is_holdable FROM pg_cursors WHERE name <> '' ORDER BY name",
    "SELECT pg_listening_channels() ORDER BY 1",
    """SELECT objid % 10, mode FROM pg_locks
        WHERE locktype = 'advisory' AND pid = pg_backend_pid() ORDER BY 1, 2""",
    "SELECT 1/0",
    "SELEC",
    "SELECT * FROM nowhere",
    "",
    "SELECT 1; SELECT 2",
    "SELECT 1 AS a; SELECT 1/0; SELECT 2",
    "INSERT INTO {me}.entry VALUES (1)",
    "INSERT INTO entry VALUES (2); SELECT 1/0",
)
TRANSACTIONS = (
    "BEGIN",
    "BEGIN",
    "BEGIN",
    "START TRANSACTION READ ONLY",
    f"ROLLBACK; BEGIN {SERIALIZABLE}",
    "COMMIT",
    "COMMIT",
    "COMMIT",
    "END",
    "ROLLBACK",
    "ROLLBACK",
    "COMMIT AND CHAIN",
    "ROLLBACK AND CHAIN",
    "SAVEPOINT a",
    "SAVEPOINT b",
    "ROLLBACK TO a",
    "ROLLBACK TO b",
    "RELEASE a",
)
OBJECTS = (
    "CREATE TEMP TABLE t1 (n int)",
    "CREATE TEMP TABLE t1 AS SELECT 7 AS n",
    "CREATE TEMP TABLE t2 (n int) ON COMMIT DROP",
    "CREATE TEMP TABLE t2 ON COMMIT DELETE ROWS AS SELECT 2 AS n",
    "SELECT 3 AS n INTO TEMP t3",
    "CREATE TEMP VIEW v AS SELECT current_user",
    "CREATE TEMP SEQUENCE q",
    "CREATE TABLE pg_temp.t4 (n int)",
    "INSERT INTO t1 VALUES (1)",
    "SELECT * FROM t1",
    "SELECT * FROM t2",
    "SELECT * FROM v",
    "SELECT nextval('q')",
    "DROP TABLE t1",
    "DROP TABLE IF EXISTS t1, t2, t3, t4",
    "DROP VIEW v",
    "DROP SEQUENCE q",
    "DISCARD TEMP",
)
CURSORS = (
    "DECLARE c CURSOR FOR SELECT n FROM generate_series(1, 9) n",
    "DECLARE c CURSOR WITH HOLD FOR SELECT n FROM generate_series(1, 9) n",
    "DECLARE d SCROLL CURSOR WITH HOLD FOR SELECT current_user, n FROM generate_series(1, 3) n",
    "DECLARE d CURSOR WITH HOLD FOR SELECT 1/(3-n) FROM generate_series(1, 5) n",
    "FETCH 2 FROM c",
    "FETCH c",
    "FETCH ALL FROM d",
    "MOVE 1 IN c",
    "CLOSE c",
    "CLOSE d",
    "CLOSE ALL",
)
PREPARED = (
    "PREPARE s1 AS SELECT 1",
    "PREPARE s1 (int) AS SELECT $1 * 2",
    "PREPARE s2 AS SELECT who FROM place",
    "EXECUTE s1",
    "EXECUTE s1(21)",
    "EXECUTE s2",
    "EXPLAIN (COSTS OFF) EXECUTE s1(1)",
    "DEALLOCATE s1",
    "DEALLOCATE PREPARE s2",
    "DEALLOCATE ALL",
    "DEALLOCATE nonesuch",
    "DISCARD ALL",
    "DISCARD PLANS",
    "DISCARD SEQUENCES",
)
OTHERS = (
    "SELECT pg_advisory_lock({key}1)",
    "SELECT pg_try_advisory_lock({key}2)",
    "SELECT pg_advisory_lock_shared({key}1)",
    "SELECT pg_advisory_unlock({key}1)",
    "SELECT pg_advisory_unlock({key}2)",
    "SELECT pg_advisory_unlock_all()",
    "SELECT pg_advisory_xact_lock({key}3)",
    "LISTEN {me}",
    "UNLISTEN {me}",
    "UNLISTEN *",
    "NOTIFY {me}, 'news'",
    "SELECT pg_notify('{me}', 'told')",
    "DO 'BEGIN PERFORM 1; END'",
    "DO $$BEGIN EXECUTE 'SET work_mem = ''9MB'''; END$$",
    "DO $$BEGIN RAISE EXCEPTION 'no'; END$$",
    "DO $$BEGIN CREATE TEMP TABLE t1 (n int); END$$",
    "SELECT nextval('{me}.counter')",
    "SELECT currval('{me}.counter')",
    "SELECT lastval()",
    "SELECT setval('{me}.counter', 5)",
    "SELECT setseed(0.5)",
    "LOAD 'plpgsql'",
)
PARAMETERIZED = (
    ("SELECT $1::int + 1", "41"),
    ("SELECT $1::int + 1", "no number"),
    ("SELECT who FROM place WHERE $1 = 'x'", "x"),
    ("SELECT place FROM place", None),
    ("SELECT * FROM generate_series(1, $1)", "5"),
    ("SELECT current_setting($1)", "search_path"),
    ("SELECT set_config('app.second', $1, false)", "bound"),
    ("SELECT set_config('search_path', $1, false)", "public"),
    ("SELECT 1/$1::int", "0"),
    ("INSERT INTO {me}.entry VALUES ($1)", "3"),
)
NAMES = ("", "", "", "a", "b", "with space", 'it\'s "odd"')
USED = (*NAMES, "s1", "s2")  # which SQL may have prepared
# The first clients log in with settings.
WITH_SETTINGS = 4
KINDS: tuple[tuple[int, Sequence[str]], ...] = (
    (20, READS),
    (18, TRANSACTIONS),
    (10, SESSION_ONLY),
    (5, OBJECTS),
    (4, CURSORS),
    (5, PREPARED),
    (5, OTHERS),
)


def statement(chance: random.Random) -> str:
    """One statement."""
    which = chance.random()
    if which < 0.2:
        scope = chance.choice(("", "", "", "SESSION ", "LOCAL ", "LOCAL "))
        text = f"SET {scope}{chance.choice(SETTINGS)}"
    elif which < 0.3:
        name = chance.choice(SHOWN)
        text = chance.choice((f"SHOW {name}", f"SELECT current_setting('{name}')"))
    elif which < 0.35:
        text = f"SELECT coalesce(current_setting('{chance.choice(CUSTOM)}', true), '')"
    else:
        kinds = [kind for _, kind in KINDS]
        (kind,) = chance.choices(kinds, [weight for weight, _ in KINDS])
        text = chance.choice(kind)
    return text


def batch(chance: random.Random) -> tuple[Op, ...]:
    """Messages of the extended protocol, sensible ones and others."""
    ops: list[Op] = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        ops += chance.choice(PATTERNS)(chance)
        if chance.random() < 0.15:
            ops.append(("H",))
        if chance.random() < 0.3:
            ops.append(("S",))
    if chance.random() < 0.15:
        del ops[chance.randrange(len(ops))]
    return (*bound(told(ops)), ("S",))


def _whole(chance: random.Random) -> list[Op]:
    """All of it: Parse to Execute."""
    name = chance.choice(NAMES)
    sql, values = _text(chance)
    ops: list[Op] = [("P", name, sql), ("B", "", name, *values), ("D", "P", ""), ("E", "", "0")]
    if chance.random() < 0.3:
        ops.insert(1, ("D", "S", name))
    if name and chance.random() < 0.3:
        ops.append(("C", "S", name))
    return ops


def _again(chance: random.Random) -> list[Op]:
    """A statement that may have been prepared."""
    name = chance.choice(USED)
    values = chance.choice(((), (), ("41",), ("x",)))
    ops: list[Op] = [("B", "", name, *values), ("E", "", "0")]
    if chance.random() < 0.4:
        ops.insert(0, ("D", "S", name))
    return ops


def _prepare(chance: random.Random) -> list[Op]:
    return [("P", chance.choice(NAMES), _text(chance)[0])]


def _portal(chance: random.Random) -> list[Op]:
    """A portal with a name, a few rows at a time."""
    name, portal = chance.choice(NAMES), chance.choice(("", "p", "q"))
    sql = "SELECT n, current_user FROM generate_series(1, 5) n"
    ops: list[Op] = [("P", name, sql), ("B", portal, name), ("E", portal, "2"), ("E", portal, "2")]
    extra: Op = chance.choice((("E", portal, "0"), ("C", "P", portal), ("C", "S", name)))
    return [*ops, extra]


def _odd(chance: random.Random) -> list[Op]:
    """Messages that may name what is not there."""
    return [
        chance.choice(
            (
                ("C", "S", chance.choice(USED)),
                ("C", "P", chance.choice(("", "p"))),
                ("D", "S", chance.choice(USED)),
                ("D", "P", chance.choice(("", "p"))),
                ("E", chance.choice(("", "p")), "1"),
                ("S",),
                ("H",),
            )
        )
    ]


PATTERNS: tuple[Callable[[random.Random, int], list[Op]], ...] = (
    _whole,
    _whole,
    _whole,
    _again,
    _again,
    _prepare,
    _portal,
    _odd,
)


def _text(chance: random.Random) -> tuple[str, tuple[str, ...]]:
    if chance.random() < 0.4:
        sql, value = chance.choice(PARAMETERIZED)
        return sql, () if value is None else (value,)
    sql = statement(chance)
    return "BEGIN" if SERIALIZABLE in sql else sql, ()


def _connect(chance: random.Random, lane: int) -> Op:
    return ("connect", *(chance.choice(CONNECTS) if lane < WITH_SETTINGS else ()))


def program(seed: int, lanes: int, length: int) -> list[Step]:
    """Steps of so many clients, `length` on average for each."""
    chance = random.Random(seed)
    assert lanes <= LANES_LIMIT
    steps: list[Step] = []
    lane = 0
    # A simple Query ends the unnamed statement: some clients hardly send one.
    simple = [chance.choice((0.65, 0.65, 0.1)) for _ in range(lanes)]
    for _ in range(lanes * length):
        if chance.random() < 0.6:
            lane = chance.randrange(lanes)
        which = chance.random()
        ops: tuple[Op, ...]
        if which < 0.02:
            ops = (_connect(chance, lane),)
        elif which < simple[lane]:
            ops = (("query", statement(chance)),)
        else:
            ops = batch(chance)
        steps.append(Step(lane, ops))
    seen: set[int] = set()
    whole: list[Step] = []
    for step in steps:
        if step.lane not in seen:
            seen.add(step.lane)
            whole.append(Step(step.lane, (_connect(chance, step.lane),)))
        whole.append(step)
    for number in sorted(seen):
        whole.append(Step(number, (("query", "ROLLBACK"),)))
        values = ", ".join(f"current_setting('{name}') AS {name}" for name in SHOWN)
        whole.append(Step(number, (("query", f"SELECT {values}"),)))
    return without_known(whole)
