"""The facts of a text, and the cache of them."""

import sys
from typing import Any

import pytest

from forebay.sql import facts as module
from forebay.sql.databases import NO_USE
from forebay.sql.effects import Effect, effects
from forebay.sql.facts import Facts, FactsCache, facts_of, too_long
from forebay.sql.functions import Functions, parse_function_name
from forebay.sql.reading import Reading
from forebay.sql.reasons import Reason

BACKSLASHED = Reading("UTF8", False)
JAPANESE = Reading("SJIS", True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1; LISTEN a ;SELECT 2", ["SELECT 1", "LISTEN a", "SELECT 2"]),
        (";; /* ; */ SELECT ';' ; -- ;\n SET a = 'b';", ["SELECT ';'", "SET a = 'b'"]),
        ("CREATE RULE r AS ON INSERT TO v DO (SELECT 1; SELECT 2); LISTEN a", None),
        ("LOAD 'x", ["LOAD 'x"]),
        ("SELECT 1; LOAD 'x", ["SELECT 1; LOAD 'x"]),
        ("", [""]),
    ],
)
def test_the_statement_that_has_a_number(text: str, expected: list[str] | None) -> None:
    """As `statements` counts them; what cannot be told apart is all of the text."""
    expected = expected or [text.partition("; LISTEN")[0], "LISTEN a"]
    facts = facts_of(text.encode())
    for number, each in enumerate(expected):
        assert facts.statement(number) == each.encode()
    assert facts.statement(len(expected)) == text.encode()


def test_effects_have_the_numbers_of_their_statements() -> None:
    facts = facts_of(b"SELECT 1; LISTEN a; SET b = 1")
    found = [facts.statement(effect.statement) for effect in facts.effects]
    assert found == [b"LISTEN a", b"SET b = 1"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"SELECT 1", None),
        (b"SET x = 1", 0),
        (b"SELECT 1; RESET ALL", 1),
        (b"SELECT 1; SET TRANSACTION READ ONLY; SET x = 1", 1),
        (b"UPDATE t SET x = 1", None),
        (b"CREATE RULE r AS ON INSERT TO v DO (SELECT 1; SET x = 1)", 0),
    ],
)
def test_the_first_set(text: bytes, number: int | None) -> None:
    assert facts_of(text).first_set == number


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"DEALLOCATE p", b"p"),
        (b" deallocate PREPARE P ; -- gone", b"p"),
        (b'DEALLOCATE "P;"', b"P;"),
        (b"DEALLOCATE ALL", None),
        (b"DEALLOCATE p; SELECT 1", None),
        (b"SELECT 1; DEALLOCATE p", None),
        (b"DEALLOCATE p; DEALLOCATE q", None),
        (b"SELECT 1", None),
        (b"DEALLOCATE", None),
    ],
)
def test_one_deallocate_of_one_statement(text: bytes, name: bytes | None) -> None:
    assert facts_of(text).deallocated == name


def test_sequences() -> None:
    for text, asks, may_ask, draws in (
        (b"SELECT 1", False, False, False),
        (b"SELECT nextval('s')", False, False, True),
        (b"SELECT lastval()", True, True, True),
        (b"SELECT 'no end; SELECT lastval()", False, True, False),
        (b"SELECT 'no end", False, False, False),
    ):
        facts = facts_of(text)
        assert (facts.asks, facts.may_ask, facts.draws) == (asks, may_ask, draws)


def test_databases() -> None:
    assert facts_of(b"DROP DATABASE shop").databases.alone == {b"shop"}
    latin = 'DROP DATABASE "büro"'.encode("latin1")
    assert facts_of(latin, Reading("LATIN1", True)).databases.alone == {"büro".encode()}
    assert facts_of(b"DROP TABLE shop").databases is NO_USE


def test_a_text_is_read_as_its_encoding_says() -> None:
    text = b"SELECT E'\x83\\'; LISTEN a; --'"
    assert {each.reason for each in facts_of(text, JAPANESE).effects} == {Reason.UNREADABLE}
    assert not facts_of(text).effects


def test_what_is_too_long_is_not_read() -> None:
    facts = too_long(b"SET x = 1; LISTEN a")
    assert facts.effects == (Effect(Reason.TOO_LONG),)
    assert facts.statement(1) == facts.text
    assert facts.first_set is None


def test_a_text_is_lexed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def lex(text: bytes, **keywords: Any) -> Any:
        read.append(text)
        return whole(text, **keywords)

    whole = module.lex
    for name in ("effects", "facts", "databases", "split", "sequences"):
        place = f"forebay.sql.{name}.lex"
        monkeypatch.setattr(place, lex, raising=False)
    cache = FactsCache()
    text = b"DROP DATABASE shop; SET x = lastval(); DEALLOCATE p"
    for _ in range(3):
        facts = cache.facts(text)
        assert facts.statement(facts.effects[0].statement) == b"SET x = lastval()"
    assert read == [text]


def test_functions_are_those_that_are_listed() -> None:
    functions = Functions({parse_function_name("take"): Reason.ADVISORY_LOCK})
    text = b"SELECT take()"
    assert FactsCache(functions=functions).facts(text).effects == effects(text, functions=functions)
    assert facts_of(text, functions=functions).effects
    assert not facts_of(text).effects


class TestCache:
    def test_it_forgets_what_was_used_least_recently(self) -> None:
        cache = FactsCache(max_entries=2)
        first = cache.facts(b"LISTEN a")
        cache.facts(b"LISTEN b")
        assert cache.facts(b"LISTEN a") is first
        cache.facts(b"LISTEN c")
        assert cache.facts(b"LISTEN a") is first
        assert len(cache) == 2
        assert cache.text_bytes == 16

    def test_it_keeps_readings_apart(self) -> None:
        cache = FactsCache()
        text = b"SELECT '\\'; LISTEN a; --'"
        found: list[Facts] = [cache.facts(text), cache.facts(text, BACKSLASHED)]
        assert found[0].effects != found[1].effects
        assert cache.facts(b"SELECT f()").effects == ()
        assert cache.facts(b"SELECT f()", under_pg_temp=True).effects != ()
        assert len(cache) == 4

    def test_it_keeps_no_text_that_is_large_for_it(self) -> None:
        cache = FactsCache(max_text_bytes=80)
        cache.facts(b"LISTEN abcdefg")
        assert len(cache) == 0
        for name in b"abcdefghijkl":
            cache.facts(b"LISTEN " + bytes((name,)))
        assert cache.text_bytes == 80


def _steps(text: bytes) -> int:
    """How many calls it takes to see what a text does. (No clock tells as much of a machine.)"""
    calls = 0

    def count(_frame: object, event: str, _what: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        FactsCache().facts(text)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [
        (b"create table t default ", b"nextval("),
        (b"alter table t ", b"nextval("),
        (b"with ", b"pg_settings "),
        (b"with ", b"set_config("),
        (b"create ", b"temp "),
        (b"select ", b"into temp "),
        (b"explain ", b"execute "),
        (b"declare c cursor ", b"with hold "),
        (b"create rule r do (", b"; nextval("),
        (b"create database d ", b"template "),
    ],
)
def test_the_work_grows_with_the_text_and_no_faster(beginning: bytes, piece: bytes) -> None:
    few, many = (_steps(beginning + piece * count) for count in (200, 800))
    assert many < 6 * few
