"""Which texts draw from sequences, and which ask what was drawn."""

import pytest

from forebay.sql.effects import effects
from forebay.sql.functions import Functions, parse_function_name
from forebay.sql.reasons import Reason
from forebay.sql.sequences import asks, draws, may_ask, may_draw, only_draws


@pytest.mark.parametrize(
    "text",
    [
        "SELECT lastval()",
        "INSERT INTO t VALUES (CURRVAL ('s'))",
        'SELECT pg_catalog."lastval"()',
        'SELECT U&"last\\0076al"()',
        "SELECT nextval('s'); SELECT currval('s')",
        "DO $$ BEGIN PERFORM lastval(); END $$",
        "PREPARE p AS SELECT lastval()",
        "ALTER TABLE t ADD n int DEFAULT currval('s')",
        "CREATE TABLE t AS SELECT lastval()",
    ],
)
def test_asks(text: str) -> None:
    assert asks(effects(text))
    assert may_ask(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "SELECT nextval('s')",
        "SELECT 'lastval()'",
        "SELECT lastval FROM t",
        "CREATE TABLE t (n int DEFAULT currval('s'))",
        "ALTER TABLE t ALTER n SET DEFAULT currval('s')",
        "DO $$ BEGIN PERFORM nextval('s'); END $$",
    ],
)
def test_does_not_ask(text: str) -> None:
    assert not asks(effects(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT nextval('s')", True),
        ("SELECT setval('s', 1)", True),
        ("DO $$ BEGIN PERFORM nextval('s'); END $$", True),
        ("DECLARE c CURSOR FOR SELECT nextval('s')", True),
        ("CREATE TABLE t AS SELECT nextval('s')", True),
        ("ALTER TABLE t ADD n int DEFAULT nextval('s')", True),
        ("CREATE TABLE t (n int DEFAULT nextval('s'))", False),
        ("ALTER TABLE t ALTER n SET DEFAULT ('A' || nextval('s'::regclass))", False),
        ("ALTER TABLE ONLY app.t ALTER COLUMN id SET DEFAULT nextval('app.s'::regclass)", False),
        ("SELECT 1", False),
        ("DO $$ BEGIN END $$", False),
    ],
)
def test_draws(text: str, expected: bool) -> None:
    assert draws(effects(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"INSERT INTO t DEFAULT VALUES", True),
        (b"with x as (insert into t values (1) returning *) select * from x", True),
        (b"COPY t FROM STDIN", True),
        (b"MERGE INTO t USING u ON true WHEN NOT MATCHED THEN INSERT VALUES (1)", True),
        (b"UPDATE t SET a = 1, n = DEFAULT", True),
        (b"CALL p()", True),
        (b"EXECUTE p", True),
        (b"UPDATE t SET n = 1", False),
        (b"SELECT inserted FROM t", False),
        (b"ALTER TABLE t ALTER n SET DEFAULT 1", False),
    ],
)
def test_may_draw(text: bytes, expected: bool) -> None:
    assert may_draw(text) == expected


def test_what_is_listed() -> None:
    names = {"nextval": Reason.SEQUENCE, "next_number": Reason.SEQUENCE, "lastval": None}
    functions = Functions({parse_function_name(name): why for name, why in names.items()})
    (listed,) = effects("SELECT nextval('s')", functions=functions)
    assert not only_draws(listed)
    assert not asks((listed,))
    assert draws((listed,))
    own = effects("SELECT next_number()", functions=functions)
    assert asks(own)  # it may do either
    assert draws(own)
    assert effects("SELECT lastval()", functions=functions) == ()
