"""What a statement creates that is temporary."""

import pytest

from forebay.sql.lexer import lex
from forebay.sql.temporary import (
    Creation,
    TemporaryObject,
    creation,
    in_temporary_schema,
    said_temporary,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CREATE TEMP TABLE t (n int)", TemporaryObject("table", "t")),
        ("CREATE LOCAL TEMPORARY TABLE IF NOT EXISTS t ()", TemporaryObject("table", "t")),
        ("CREATE OR REPLACE TEMP VIEW v AS SELECT 1", TemporaryObject("view", "v")),
        ("CREATE TEMP RECURSIVE VIEW v (n) AS SELECT 1", TemporaryObject("view", "v")),
        ("CREATE TEMP TABLE t () ON COMMIT DROP", TemporaryObject("table", "t", True)),
        ("CREATE TABLE t ()", None),
        ("CREATE TABLE temp ()", None),
    ],
)
def test_what_create_says(text: str, found: TemporaryObject | None) -> None:
    assert said_temporary(lex(text.encode()).tokens, 0) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SELECT 1 INTO TEMP t", TemporaryObject("table", "t")),
        ("SELECT 1 INTO TEMP TABLE s.t", TemporaryObject("table", "t")),
        ("INSERT INTO temp VALUES (1)", None),
    ],
)
def test_what_into_says(text: str, found: TemporaryObject | None) -> None:
    tokens = lex(text.encode()).tokens
    at = next(index for index, token in enumerate(tokens) if token.value == b"into")
    assert said_temporary(tokens, at) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CREATE TABLE pg_temp.t ()", TemporaryObject("table", "t")),
        ("CREATE FUNCTION pg_temp.f() RETURNS int", TemporaryObject("function", "f")),
        ("SELECT 1 INTO pg_temp.t", TemporaryObject("table", "t")),
        ("IMPORT FOREIGN SCHEMA s FROM SERVER x INTO pg_temp", None),
        ("SELECT * FROM pg_temp.t", Creation("", "")),
    ],
)
def test_the_temporary_schema(text: str, found: TemporaryObject | Creation | None) -> None:
    tokens = lex(text.encode()).tokens
    at = next(index for index, token in enumerate(tokens) if token.value == b"pg_temp")
    assert in_temporary_schema(tokens, at) == [found or TemporaryObject("foreign table", "")]


@pytest.mark.parametrize(
    ("text", "always", "under_pg_temp"),
    [
        ("CREATE TABLE t ()", Creation("table", "t"), Creation("table", "t", True)),
        ("CREATE UNLOGGED TABLE t ()", Creation("unlogged table", "t"), None),
        ("EXPLAIN CREATE TABLE t AS SELECT 1", Creation("table", "t"), None),
        ("CREATE ROLE r", None, None),
        ("CREATE INDEX ON t (n)", None, Creation("", "")),  # as far as it shows, t is called
        ("CREATE FOREIGN DATA WRAPPER w", None, None),
        ("SELECT 1 INTO t", None, Creation("table", "t", True)),
        ("SELECT app.f()", None, Creation("", "")),
        ("SELECT count(*) FROM t", None, None),
        ("INSERT INTO t (a) VALUES (1)", None, None),
        ("COMMIT", None, None),
    ],
)
def test_what_is_created_without_a_schema(
    text: str, always: Creation | None, under_pg_temp: Creation | None
) -> None:
    tokens = lex(text.encode()).tokens
    assert creation(tokens, False) == always
    if always is not None:
        under_pg_temp = Creation(always.kind, always.name, True)
    assert creation(tokens, True) == under_pg_temp
