"""Small programs in which a client once got another one's rows, wrong values, or an error for ever.

Client 2 binds in binary what was described to it, as drivers do that describe a statement once.
"""

from collections.abc import Callable

import pytest

from tests.equivalence.lanes import Step, World, differs
from tests.equivalence.test_found import S, batch, query, runs
from tests.equivalence.wire import Op

Programs = dict[str, list[Step]]
OFTEN = 8  # a statement gets a generic plan after five executions


def _of(programs: Programs, part: str) -> Programs:
    return {name: program for name, program in programs.items() if part in name}


def prepared(name: str, sql: str) -> tuple[Op, ...]:
    """Parse and Describe, as asyncpg and psycopg do."""
    return ("P", name, sql), ("D", "S", name), S


def again(name: str, *values: str) -> tuple[Op, ...]:
    return ("B", "", name, *values), ("E", "", "0"), S


def often(lane: int, name: str, *values: str) -> list[Step]:
    return [batch(lane, *again(name, *values))] * OFTEN


def by_turns(way: str, sql: str, *values: str) -> list[Step]:
    """Two tenants run the same named statement on one connection, again and again."""
    steps: list[Step] = []
    for lane, tenant in enumerate("ab"):
        if way == "startup":
            steps.append(Step(lane, (("connect", "app.tenant", tenant),)))
        elif way == "options":
            steps.append(Step(lane, (("connect", "options", f"-c app.tenant={tenant}"),)))
        elif way == "SET":
            steps.append(query(lane, f"SET app.tenant = '{tenant}'"))
        else:
            steps.append(query(lane, f"SELECT set_config('app.tenant', '{tenant}', false)"))
    steps += [batch(lane, *prepared("q", sql)) for lane in (0, 1)]
    for lane in (0, 1, 0, 1):
        steps += often(lane, "q", *values)
    return steps


WAYS = "startup", "options", "SET", "set_config"
IMMUTABLE = {
    "in a query": "SELECT n, tenant FROM public.owned WHERE tenant = public.tenant()",
    "in a query, of PL/pgSQL": "SELECT n, tenant FROM owned WHERE tenant = public.tenant_too()",
    "among the results": "SELECT public.tenant(), n FROM public.owned",
    "in a policy": "SELECT n, tenant FROM public.guarded",
    "in a policy, of PL/pgSQL": "SELECT n, tenant FROM public.guarded_too",
    "in a body": "SELECT public.counted()",
}
PLANS = {
    f"a plan is nobody else's: {where}, by {way}": by_turns(way, sql)
    for where, sql in IMMUTABLE.items()
    for way in WAYS
}
PLANS |= {
    "a plan is nobody else's: by SET LOCAL": [
        *(batch(lane, *prepared("q", "SELECT n, tenant FROM public.guarded")) for lane in (0, 1)),
        *(
            step
            for lane, tenant in ((0, "a"), (1, "b")) * 2
            for step in (
                query(lane, "BEGIN"),
                query(lane, f"SET LOCAL app.tenant = '{tenant}'"),
                *often(lane, "q"),
                query(lane, "COMMIT"),
            )
        ),
    ],
    "a plan is nobody else's: by set_config with true": [
        *(batch(lane, *prepared("q", "SELECT n, tenant FROM public.guarded")) for lane in (0, 1)),
        *(
            step
            for lane, tenant in ((0, "a"), (1, "b")) * 2
            for step in (
                query(lane, f"BEGIN; SELECT set_config('app.tenant', '{tenant}', true)"),
                *often(lane, "q"),
                query(lane, "COMMIT"),
            )
        ),
    ],
    "a plan is nobody else's: with values": by_turns(
        "SET", "SELECT tenant FROM public.guarded WHERE n = $1::int", "1"
    ),
    "a plan is nobody else's: without a name": [
        query(0, "SET app.tenant = 'a'"),
        query(1, "SET app.tenant = 'b'"),
        *(
            batch(lane, ("P", "", "SELECT n, tenant FROM public.guarded"), *again(""))
            for lane in (0, 1) * OFTEN
        ),
    ],
    "a body's plan is nobody else's: by simple queries": [
        query(0, "SET app.tenant = 'a'"),
        query(1, "SET app.tenant = 'b'"),
        *(query(lane, "SELECT public.counted()") for lane in (0, 1) * OFTEN),
    ],
}

SHAPE = "ALTER TABLE {me}.shape "
TYPES = {
    "bigint to float8, in binary": [
        batch(2, *prepared("q", "INSERT INTO {me}.shape (n) VALUES ($1)")),
        batch(2, *again("q", "42")),
        query(2, SHAPE + "ALTER n TYPE float8"),
        query(0, "DEALLOCATE ALL"),
        batch(2, *again("q", "42")),
        query(2, "SELECT n FROM {me}.shape"),
    ],
    "bigint to text, in binary": [
        batch(2, *prepared("q", "INSERT INTO {me}.shape (n) VALUES ($1)")),
        query(2, SHAPE + "ALTER n TYPE text"),
        batch(2, *again("q", "42")),
        query(2, "SELECT n FROM {me}.shape"),
    ],
    "bigint to int, in binary": [
        batch(2, *prepared("q", "SELECT count(*) FROM {me}.shape WHERE n = $1")),
        query(2, SHAPE + "ALTER n TYPE int"),
        batch(2, *again("q", "7")),
    ],
    "timestamptz to timestamp, in binary": [
        query(2, "SET TIME ZONE 'Asia/Tokyo'"),
        batch(2, *prepared("q", "INSERT INTO {me}.shape (moment) VALUES ($1)")),
        query(2, SHAPE + "ALTER moment TYPE timestamp"),
        batch(2, *again("q", "2024-02-03 12:00:00")),
        query(2, "SELECT moment FROM {me}.shape"),
    ],
    "another table under another search_path, in binary": [
        query(2, "CREATE SCHEMA {me}_b; CREATE TABLE {me}_b.shape (n float8)"),
        query(2, "SET search_path = {me}"),
        batch(2, *prepared("q", "INSERT INTO shape (n) VALUES ($1)")),
        batch(2, *again("q", "42")),
        query(2, "SET search_path = {me}_b"),
        batch(2, *again("q", "42")),
        query(2, "SELECT n FROM {me}_b.shape"),
        query(2, "DROP SCHEMA {me}_b CASCADE"),
    ],
    "another table under another search_path, where it is told again": [
        query(2, "CREATE SCHEMA {me}_b; CREATE TABLE {me}_b.shape (n float8)"),
        query(2, "SET search_path = {me}"),
        batch(2, *prepared("q", "INSERT INTO shape (n) VALUES ($1)")),
        query(2, "SET search_path = {me}_b"),
        batch(2, ("D", "S", "q"), S),
        batch(2, *again("q", "42")),
        query(2, "SELECT n FROM {me}_b.shape"),
        query(2, "DROP SCHEMA {me}_b CASCADE"),
    ],
    "dropped and created again, in binary": [
        batch(2, *prepared("q", "UPDATE {me}.shape SET n = $1")),
        batch(2, *again("q", "42")),
        query(2, "DROP TABLE {me}.shape; CREATE TABLE {me}.shape (n float8)"),
        query(2, "INSERT INTO {me}.shape VALUES (1)"),
        batch(2, *again("q", "42")),
        query(2, "SELECT n FROM {me}.shape"),
    ],
    "a statement without a name, in binary": [
        batch(2, *prepared("", "INSERT INTO {me}.shape (n) VALUES ($1)")),
        batch(0, *runs("SELECT 1"), S),
        Step(1, (("connect", "application_name", "other"),)),
        batch(1, *runs("ALTER TABLE {me}.shape ALTER n TYPE float8"), S),
        batch(2, *runs(SHAPE + "ALTER n TYPE float8"), S, ("P", "", "SELECT 1"), S),
        batch(2, *prepared("", "INSERT INTO {me}.shape (n) VALUES ($1)")),
        batch(2, *again("", "42")),
        query(2, "SELECT n FROM {me}.shape"),
    ],
}

# The DDL comes from another name of the same client: the unnamed statement lives on.
RESULTS_OF = {
    "bigint to float8": (
        "SELECT n FROM shape",
        (),
        "ALTER TABLE shape ALTER n TYPE float8",
    ),
    "a column more": ("SELECT * FROM shape", (), "ALTER TABLE shape ADD other int DEFAULT 1"),
    "a column less": ("SELECT * FROM shape", (), "ALTER TABLE shape DROP moment"),
    "INSERT RETURNING": (
        "INSERT INTO shape (moment) VALUES (now()) RETURNING n",
        (),
        "ALTER TABLE shape ALTER n TYPE float8",
    ),
    "UPDATE RETURNING": (
        "UPDATE shape SET moment = NULL WHERE n = $1 RETURNING *",
        ("7",),
        "ALTER TABLE shape ALTER n TYPE float8",
    ),
}
RESULTS = {
    f"{what}: {how}": [
        query(2, "SET search_path = {me}"),
        batch(2, *told),
        batch(2, ("P", "ddl", change), ("B", "d", "ddl"), ("E", "d", "0"), S),
        batch(0, *runs("SELECT 1"), S),
        *[batch(2, *again(name, *values))] * 3,
        batch(2, ("D", "S", name), S),
    ]
    for what, (sql, values, change) in RESULTS_OF.items()
    for how, name, told in (
        ("a statement was described", "q", (("P", "q", sql), ("D", "S", "q"), S)),
        (
            "a portal was described",
            "q",
            (("P", "q", sql), ("B", "", "q", *values), ("D", "P", ""), ("E", "", "0"), S),
        ),
        (
            "a portal with a name was described",
            "q",
            (("P", "q", sql), ("B", "p", "q", *values), ("D", "P", "p"), ("E", "p", "0"), S),
        ),
        ("a statement without a name was described", "", (("P", "", sql), ("D", "S", ""), S)),
        (
            "a portal of a statement without a name was described",
            "",
            (("P", "", sql), ("B", "", "", *values), ("D", "P", ""), ("E", "", "0"), S),
        ),
    )
}
RESULTS |= {
    "a portal was described, and the search_path is another one": [
        query(2, "CREATE SCHEMA {me}_b; CREATE TABLE {me}_b.shape (n float8)"),
        query(2, "INSERT INTO {me}_b.shape VALUES (42); SET search_path = {me}"),
        batch(
            2,
            *(("P", "q", "SELECT n FROM shape"), ("B", "", "q"), ("D", "P", ""), ("E", "", "0"), S),
        ),
        query(2, "SET search_path = {me}_b"),
        *[batch(2, *again("q"))] * 3,
        query(2, "DROP SCHEMA {me}_b CASCADE"),
    ],
}

TEMPORARY = "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()"
PATHS = (
    "nowhere, pg_temp",
    "pg_temp",
    "PG_TEMP, {me}",
    '"pg_temp", {me}',
    "nowhere, pg_temp, {me}",
    "pg_catalog, pg_temp",
    '"$user", pg_temp, {me}',
)
SETS = {
    "SET session": ("SET search_path = {path}", "{create}"),
    "SET LOCAL": ("BEGIN", "SET LOCAL search_path = {path}", "{create}", "COMMIT"),
    "set_config, false": ("SELECT set_config('search_path', '{path}', false)", "{create}"),
    "set_config, true": (
        "BEGIN; SELECT set_config('search_path', '{path}', true); {create}; COMMIT",
    ),
}
CREATES = {
    "a table": "CREATE TABLE t5 (n int)",
    "a table from a query": "CREATE TABLE t5 AS SELECT 5 AS n",
    "SELECT INTO": "SELECT 5 AS n INTO t5",
    "a view": "CREATE VIEW t5 AS SELECT 5 AS n",
    "a sequence": "CREATE SEQUENCE t5",
    "a materialized view": "CREATE MATERIALIZED VIEW t5 AS SELECT 5 AS n",
}


def created(steps: tuple[str, ...], path: str, create: str) -> list[Step]:
    """What one client creates is not there for another, and is there for itself."""
    return [
        query(0, "SELECT 1"),
        *(query(0, step.replace("{path}", path).replace("{create}", create)) for step in steps),
        query(1, TEMPORARY),
        query(1, "SELECT * FROM pg_temp.t5"),
        query(0, TEMPORARY),
        query(0, "SELECT * FROM pg_temp.t5"),
    ]


TEMPORARIES = {
    f"{how} {path}: a table": created(steps, path, CREATES["a table"])
    for how, steps in SETS.items()
    for path in PATHS
}
TEMPORARIES |= {
    f"of all kinds, {what}": created(SETS["SET session"], PATHS[0], create)
    for what, create in CREATES.items()
}
TEMPORARIES |= {
    f"from the start, by {how}: {path}": [
        Step(0, (("connect", name, value),)),
        query(0, CREATES["a table"]),
        query(1, TEMPORARY),
        query(1, "SELECT * FROM pg_temp.t5"),
        query(0, TEMPORARY),
        query(0, "SELECT * FROM pg_temp.t5"),
    ]
    for path in PATHS
    for how, name, value in (
        ("a start-up parameter", "search_path", path),
        ("options", "options", f"-c search_path={path.replace(' ', '')}"),
    )
}
TEMPORARIES |= {
    "of all kinds, a table in a batch": [
        query(0, "SET search_path = nowhere, pg_temp"),
        batch(0, *runs("CREATE TABLE t5 (n int)"), S),
        query(1, TEMPORARY),
        batch(0, *runs("INSERT INTO t5 VALUES (5)"), S),
        query(1, "SELECT * FROM pg_temp.t5"),
        query(0, "SELECT * FROM t5"),
    ],
    "of all kinds, behind a schema that is dropped": [
        query(0, "CREATE SCHEMA {me}_b; SET search_path = {me}_b, pg_temp"),
        query(0, "DROP SCHEMA {me}_b"),
        query(0, "CREATE TABLE t5 (n int)"),
        query(1, TEMPORARY),
        query(0, TEMPORARY),
    ],
    "of all kinds, functions and types": [
        query(0, "SET search_path = nowhere, pg_temp"),
        query(0, "CREATE TYPE type5 AS (n int)"),
        query(0, "CREATE FUNCTION f5() RETURNS int LANGUAGE sql AS 'SELECT 5'"),
        query(1, "SELECT proname FROM pg_proc WHERE pronamespace = pg_my_temp_schema()"),
        query(1, "SELECT typname FROM pg_type WHERE typnamespace = pg_my_temp_schema()"),
        query(0, "SELECT pg_temp.f5(), (ROW(5)::pg_temp.type5).n"),
    ],
}


GROUPS = {
    **{f"plans {where}": _of(PLANS, f": {where}, by") for where in IMMUTABLE},
    "plans, otherwise": {name: PLANS[name] for name in PLANS if ", by" not in name},
    "types of parameters": TYPES,
    **{f"results of {what}": _of(RESULTS, what) for what in RESULTS_OF},
    "results under another search_path": _of(RESULTS, "search_path"),
    **{f"temporary objects by {how}": _of(TEMPORARIES, f"{how} ") for how in SETS},
    "temporary objects from the start": _of(TEMPORARIES, "from the start"),
    "temporary objects of all kinds": _of(TEMPORARIES, "of all kinds"),
}


def test_no_program_is_left_out() -> None:
    programs = {**PLANS, **TYPES, **RESULTS, **TEMPORARIES}
    assert sum(map(len, GROUPS.values())) == len(programs)


@pytest.mark.parametrize("group", GROUPS)
def test_no_difference(make_world: Callable[[int], World], group: str) -> None:
    world = make_world(1)
    programs = GROUPS[group]
    found = {name: differs(world, program, together=1) for name, program in programs.items()}
    failed = [f"{name}\n{difference}" for name, difference in found.items() if difference]
    assert not failed, f"{len(failed)} of {len(programs)}:\n\n" + "\n\n".join(failed)
