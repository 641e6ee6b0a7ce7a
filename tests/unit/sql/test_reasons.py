"""Effects of all reasons can be found."""

from forebay.sql.effects import effects
from forebay.sql.facts import too_long
from forebay.sql.reasons import Reason

EXAMPLES = (
    "SET a.b = 1",
    "PREPARE p AS SELECT 1",
    "CREATE TEMP TABLE t ()",
    "CREATE TABLE t ()",
    "DECLARE c CURSOR FOR SELECT 1",
    "LISTEN a",
    "SELECT pg_advisory_lock(1)",
    "SELECT nextval('s')",
    "LOAD 'x'",
    "DISCARD ALL",
    "DO $$BEGIN END$$",
    "SELECT setseed(1)",
    "SELECT 'no end",
)


def test_each_has_its_example() -> None:
    found = [effect.reason for text in EXAMPLES for effect in effects(text)]
    found += [effect.reason for effect in too_long(b"SELECT 1").effects]
    assert sorted(found) == sorted(Reason)
