"""Texts of random programs that change what others mean: the shape of tables, where things are
created, whose rows are seen."""

from typing import NamedTuple

# Under these search_paths, in some of which pg_temp stands first, or what stands before it is not
# there.
PATHS = (
    "pg_temp",
    "pg_temp, {me}",
    "PG_TEMP, public",
    '"pg_temp", {me}, public',
    "nowhere, pg_temp",
    "nowhere, pg_temp, {me}",
    "nowhere, {me}, pg_temp",
    "pg_catalog, pg_temp, {me}",
    '"$user", pg_temp, {me}',
    "{me}, pg_temp",
)
PATH_STARTS = (
    ("search_path", "pg_temp, {me}"),
    ("search_path", "nowhere, pg_temp, {me}"),
    ("options", r"-c search_path=nowhere,\ pg_temp"),
    ("options", r"-c search_path={me},\ pg_temp"),
)
TENANT_STARTS = (
    ("app.tenant", "a"),
    ("app.tenant", "b"),
    ("app.tenant", "c"),
    ("options", "-c app.tenant=a"),
    ("options", "-c app.tenant=b -c app.whom=b"),
    ("app.tenant", "c", "app.whom", "a"),
)
CREATIONS = (
    "CREATE TABLE t5 (n int)",
    "CREATE TABLE t5 AS SELECT 5 AS n",
    "CREATE TABLE IF NOT EXISTS t6 (n int)",
    "SELECT 6 AS n INTO t6",
    "CREATE UNLOGGED TABLE t7 (n int)",
    "CREATE VIEW view5 AS SELECT 5 AS n",
    "CREATE SEQUENCE q5",
    "CREATE FUNCTION f5() RETURNS int LANGUAGE sql AS 'SELECT 5'",
    "CREATE TYPE type5 AS (n int)",
    "SELECT set_config('search_path', 'nowhere, pg_temp, {me}', false)",
    "SELECT set_config('search_path', 'pg_temp, {me}', true)",
    "BEGIN; SET LOCAL search_path = nowhere, pg_temp; SELECT 6 AS n INTO t6; COMMIT",
    "INSERT INTO t5 VALUES (1)",
    "SELECT * FROM t5",
    "SELECT * FROM pg_temp.t6",
    "SELECT * FROM view5",
    "SELECT f5()",
    "DROP TABLE t5",
    "DROP TABLE IF EXISTS t5, t6, t7",
    "DROP VIEW view5",
    "DROP FUNCTION f5",
    "DROP TYPE type5",
    "DROP SEQUENCE q5",
)
TEMPORARY = "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()"
# They change what these return and take; not in the same batch with what depends on it.
SHAPES = (
    "ALTER TABLE {me}.shape ALTER n TYPE float8",
    "ALTER TABLE {me}.shape ALTER n TYPE bigint",
    "ALTER TABLE {me}.shape ALTER n TYPE int",
    "ALTER TABLE {me}.shape ALTER n TYPE text",
    "ALTER TABLE {me}.shape ALTER n TYPE bigint USING 7",
    "ALTER TABLE {me}.shape ALTER moment TYPE timestamp",
    "ALTER TABLE {me}.shape ALTER moment TYPE timestamptz",
    "ALTER TABLE {me}.shape ADD other int DEFAULT 1",
    "ALTER TABLE {me}.shape DROP other",
    "DROP TABLE {me}.shape",
    "DROP TABLE IF EXISTS {me}.shape; CREATE TABLE {me}.shape (n float8, moment timestamp)",
    "DROP TABLE IF EXISTS {me}.shape; CREATE TABLE {me}.shape (n bigint, moment timestamptz)",
    "BEGIN; ALTER TABLE {me}.shape ALTER n TYPE float8; ROLLBACK",
)
SHAPED = (
    ("SELECT n FROM {me}.shape ORDER BY n", None),
    ("SELECT * FROM {me}.shape ORDER BY n", None),
    ("SELECT count(*) FROM {me}.shape WHERE n = $1", "7"),
    ("INSERT INTO {me}.shape (n) VALUES ($1)", "42"),
    ("INSERT INTO {me}.shape (n) VALUES ($1) RETURNING *", "43"),
    ("INSERT INTO {me}.shape (moment) VALUES ($1)", "2024-02-03 12:00:00"),
    ("UPDATE {me}.shape SET n = $1 RETURNING n", "44"),
    ("DELETE FROM {me}.shape WHERE n = $1", "42"),
    ("SELECT n FROM shape WHERE n > $1 ORDER BY n", "1"),
)
# `app.tenant` is set by logins only: a plan of the client's own, too, may hold what it was.
TENANTS = (
    "SELECT n, tenant FROM public.guarded",
    "SELECT n, tenant FROM public.guarded_too",
    "SELECT n, tenant FROM public.owned WHERE tenant = public.tenant()",
    "SELECT public.tenant(), public.tenant_too()",
    "SELECT public.counted()",
    "SELECT n, tenant FROM public.kept",
    "SELECT n, tenant FROM public.kept",
    "SET app.whom = 'a'",
    "SET app.whom = 'b'",
    "SET LOCAL app.whom = 'c'",
    "SELECT set_config('app.whom', 'a', false)",
    "SELECT set_config('app.whom', 'b', true)",
)


class Theme(NamedTuple):
    """What a program is mostly about: its logins, its statements, those with values."""

    connects: tuple[tuple[str, ...], ...] = ()
    statements: tuple[str, ...] = ()
    parameterized: tuple[tuple[str, str | None], ...] = ()


THEMES = (
    Theme(),
    Theme(),
    Theme((), (*SHAPES, *(f"SET search_path TO {path}" for path in PATHS[-1:])), SHAPED),
    Theme(
        PATH_STARTS,
        (
            *CREATIONS,
            *(f"SET search_path TO {path}" for path in PATHS),
            *(f"SET LOCAL search_path TO {path}" for path in PATHS),
            *[TEMPORARY] * 8,
        ),
    ),
    Theme(TENANT_STARTS, TENANTS, tuple((text, None) for text in TENANTS)),
)
