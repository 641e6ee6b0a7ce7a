"""Which functions a text calls that nobody here knows."""

import pytest

from forebay.session.functions import functions_of
from forebay.sql.calls import unknown_calls
from forebay.sql.functions import KNOWN_FUNCTIONS, Functions


def called(text: str, functions: Functions = KNOWN_FUNCTIONS) -> list[str]:
    return [
        b".".join(part for part in each if part).decode()
        for each in unknown_calls(text.encode(), functions)
    ]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SELECT f()", ["f"]),
        ("SELECT app.f(1), g (2), F(3), f(4)", ["app.f", "g", "f"]),
        ('SELECT "F"(1), U&"\\0067"()', ["F", "g"]),
        ("SELECT db.app.f()", ["app.f"]),
        ("SELECT app.count(x)", ["app.count"]),
        ("SELECT lower(f(x))", ["f"]),
        ("SELECT a + f(b), NOT g(c), -h(d)", ["f", "g", "h"]),
        ("SELECT ARRAY[f(1)], x[g(2)]", ["f", "g"]),
        ("SELECT CASE WHEN f(a) THEN g(b) ELSE h(c) END", ["f", "g", "h"]),
        ("SELECT * FROM f(1) AS t(a, b), LATERAL g(a) u(c) WITH ORDINALITY", ["f", "g"]),
        ("SELECT * FROM a, f(x) AS (c int)", ["f"]),
        ("SELECT * FROM ROWS FROM (f(), g()) t(x)", ["f", "g"]),
        ("SELECT * FROM a JOIN f(1) ON g(a) WHERE h(a) = ANY (i(b))", ["f", "g", "h", "i"]),
        ("INSERT INTO t (a) VALUES (f()), (DEFAULT) RETURNING g(a)", ["f", "g"]),
        ("UPDATE t SET a = f(b) WHERE c AND g(d)", ["f", "g"]),
        ("DELETE FROM t USING f() WHERE g(x)", ["f", "g"]),
        ("MERGE INTO t USING f() ON g(x) WHEN MATCHED AND h(x) THEN DELETE", ["f", "g", "h"]),
        ("WITH a (x) AS (SELECT f()), b (y) AS MATERIALIZED (VALUES (g())) TABLE a", ["f", "g"]),
        ("VALUES (f())", ["f"]),
        ("(SELECT f()) UNION ALL (SELECT g())", ["f", "g"]),
        ("CALL app.p(1)", ["app.p"]),
        ("EXPLAIN (ANALYZE, VERBOSE) SELECT f()", ["f"]),
        ("DECLARE c CURSOR FOR SELECT f()", ["f"]),
        ("PREPARE p (int, text) AS SELECT f($1)", ["f"]),
        ("EXECUTE p (f(1))", ["f"]),
        ("COPY (SELECT f()) TO STDOUT WITH (FORMAT csv, FORCE_QUOTE (a))", ["f"]),
        ("CREATE TABLE t (a) AS SELECT f()", ["f"]),
        ("CREATE TEMP TABLE IF NOT EXISTS t AS SELECT f()", ["f"]),
        ("CREATE MATERIALIZED VIEW v AS SELECT f()", ["f"]),
        ("DO $$ BEGIN PERFORM f(); IF g() THEN x := h(); END IF; END $$", ["f", "g", "h"]),
        ("DO 'BEGIN PERFORM f(''a''); END'", ["f"]),
        ("SELECT query_to_xml('SELECT 1', true, true, '')", ["query_to_xml"]),
        ("SELECT similarity(a, b), st_dwithin(c, d, e)", ["similarity", "st_dwithin"]),
        ("SELECT f(); SELECT g()", ["f", "g"]),
        ("SELECT f('no end", ["f"]),
    ],
)
def test_calls(text: str, names: list[str]) -> None:
    assert called(text) == names


@pytest.mark.parametrize(
    "text",
    """
SELECT count(*), pg_catalog.now(), information_schema._pg_char_max_length(1, 2), pg_advisory_lock(1)
SELECT coalesce(a, b), extract(year from c), cast(d AS numeric(10, 2)), e::varchar(3)::geometry(p)
SELECT a FROM t WHERE b IN (1) AND EXISTS (SELECT 1) OR c = ANY (d) AND (e) LIKE (f)
SELECT sum(a) FILTER (WHERE b) OVER (PARTITION BY c), d FROM t GROUP BY ROLLUP (a), CUBE (b)
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t GROUP BY GROUPING SETS ((a), ())
SELECT DISTINCT ON (a) * FROM t JOIN u USING (a) ORDER BY a LIMIT (1) FOR UPDATE
SELECT * FROM unnest(a) t(b), generate_series(1, 2) AS g(n), only (t), t TABLESAMPLE system (1)
INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET (b, c) = (1, 2)
INSERT INTO s.t AS x (a) SELECT 1
MERGE INTO t USING u ON (a) WHEN NOT MATCHED THEN INSERT (a) VALUES (1)
WITH RECURSIVE a (x) AS (SELECT 1), b (y) AS NOT MATERIALIZED (SELECT 2) SELECT 1
CREATE TABLE t (a varchar(3) DEFAULT f(), CHECK (g(a)), PRIMARY KEY (a)) PARTITION BY RANGE (h(a))
CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS $$ SELECT g() $$
CREATE INDEX ON t USING gist (f(a))
CREATE VIEW v (a) AS SELECT f()
ALTER TABLE t ADD CHECK (f(a))
COPY t (a, b) FROM STDIN WITH (FORMAT csv, FORCE_NULL (a))
EXPLAIN (COSTS off) SELECT 1
PREPARE p (int) AS SELECT 1
EXECUTE p (1)
SELECT 'f()' -- f()
SELECT /* f() */ $$ f() $$
DO $$ BEGIN CREATE TABLE t (a geometry(b)); RAISE NOTICE 'f()'; END $$
DO LANGUAGE plpgsql U&'\\0066()'
GRANT SELECT (a) ON t TO u
SET a = 1
SELECT
""".strip().splitlines(),
)
def test_no_calls(text: str) -> None:
    assert called(text) == []


def test_what_is_listed_is_known() -> None:
    functions = functions_of({"app.f": "SETTING", "g": "NONE", "lower": "LISTEN"})
    assert called("SELECT app.f(), f(), g(), x.g(), lower(a)", functions) == []
    assert called("SELECT other.f()", functions) == ["other.f"]


def test_deep_nesting() -> None:
    assert called("SELECT 1, " + "f(a, " * 20000) == ["f"]
