"""Prepared statements, interned: one copy of a text, and exact accounts of them."""

import gc
from itertools import count

import pytest

from forebay.relay.statements.statement import Account, Statement
from forebay.session.meaning import Context, unlike_others
from forebay.session.settings import InternTable
from forebay.sql.reading import Reading
from forebay.worker.sessions.statements import StatementTable

INTERN = InternTable()
UTF8 = Reading("UTF8", True)
TYPES = b"\0" + bytes([0, 1, 0, 0, 0, 23])
LIMIT = 10_000


def context(*settings: tuple[str, str], reading: Reading = UTF8) -> Context:
    return Context(("db", "user"), INTERN.settings(settings), None, None, reading)


HERE = context()
ELSEWHERE = context(("search_path", "tenant"))


@pytest.fixture
def table() -> StatementTable:
    return StatementTable(Account(LIMIT))


def defined(table: StatementTable, sql: bytes, of: Context = HERE) -> Statement:
    found = table.statement(sql + b"\0\0\0", of)
    assert found is not None
    return found


def test_equal_ones_are_one(table: StatementTable) -> None:
    first = defined(table, b"SELECT 1")
    assert defined(table, b"SELECT 1") is first
    assert defined(table, b"SELECT 2") is not first
    assert defined(table, b"SELECT 1", ELSEWHERE) is not first
    assert table.account.statements == 1, "the others are gone again"


def test_behind_a_change_they_are_their_client_s_own(table: StatementTable) -> None:
    changed = [HERE._replace(changes=unlike_others()) for _ in range(2)]
    shared = defined(table, b"SELECT 1")
    mine, other = (defined(table, b"SELECT 1", each) for each in changed)
    assert len({id(each) for each in (shared, mine, other)}) == 3
    assert defined(table, b"SELECT 1", changed[0]) is mine
    assert table.again(shared, changed[0]) is mine
    assert table.again(mine, HERE) is shared
    assert all(meaning.changes is None for meaning in table._meanings), "it is forgotten"


@pytest.mark.parametrize("definition", [b"a\0\0\0", b"a\0\0\1\0\0\0\x17", b"\0\0\0", b"a\0", b"a"])
def test_a_definition_stays_as_it_is(table: StatementTable, definition: bytes) -> None:
    statement = table.statement(definition, HERE)
    assert statement is not None
    assert statement.definition == definition
    assert statement.text == definition.partition(b"\0")[0]


def test_there_is_one_copy_of_a_text(table: StatementTable) -> None:
    statement = defined(table, b"SELECT $1" + b" " * 5000)
    before = table.account.bytes
    kin = [table.with_tail(statement, TYPES), table.again(statement, ELSEWHERE)]
    for each in kin:
        assert each is not None
        assert each is not statement
        assert each.source is statement.source
    assert table.account.bytes - before < 2 * 1000
    again = table.again(statement, ELSEWHERE)
    assert again is kin[1]
    assert table.with_tail(statement, TYPES) is kin[0]


def test_equal_meanings_are_one_object(table: StatementTable) -> None:
    one, other = defined(table, b"SELECT 1"), defined(table, b"SELECT 2")
    assert one.meaning is other.meaning


def test_the_account_comes_back_to_zero(table: StatementTable) -> None:
    kept = [defined(table, b"SELECT %d, $1" % number) for number in range(5)]
    kept += [defined(table, b"SELECT %d, $1" % number, ELSEWHERE) for number in range(5)]
    kept += [table.with_tail(each, TYPES) for each in kept]
    assert table.account.statements == len(kept) == len(table) == 20
    gc.disable()  # nothing of it waits for the garbage collector
    try:
        while kept:
            assert table.account.bytes > 0
            kept.pop(len(kept) // 2)
            assert table.account.statements == len(kept)
    finally:
        gc.enable()
    assert table.account.bytes == table.account.statements == len(table) == 0


def test_each_costs_its_text_and_some_hundred_bytes(table: StatementTable) -> None:
    small = defined(table, b"")
    of_small = table.account.bytes
    assert 300 < of_small < 1000
    long = defined(table, b"x" * 3000)
    assert table.account.bytes == 2 * of_small + 3000
    assert small is not long


def test_what_connections_know_holds_no_text(table: StatementTable) -> None:
    statement = defined(table, b"SELECT '" + b"x" * 5000 + b"'")
    known = statement.known
    del statement
    assert table.account.bytes == table.account.statements == 0
    assert len(table) == 1
    assert defined(table, b"SELECT '" + b"x" * 5000 + b"'").known is known
    assert defined(table, b"SELECT '" + b"y" * 5000 + b"'").known is not known
    name = known.name
    del known
    assert len(table) == 0
    assert defined(table, b"SELECT '" + b"x" * 5000 + b"'").known.name != name


def test_beyond_the_limit_only_what_is_there_is_given(table: StatementTable) -> None:
    kept = []
    for number in count():
        found = table.statement(b"SELECT $1, %d\0\0\0" % number, HERE)
        if found is None:
            break
        kept.append(found)
    assert LIMIT - 1000 < table.account.bytes <= LIMIT
    assert table.statement(b"SELECT $1, 0\0\0\0", HERE) is kept[0]
    # Who has one may go on with it, in other circumstances as well.
    typed = table.with_tail(kept[0], TYPES)
    again = table.again(kept[0], ELSEWHERE)
    assert None not in (typed, again)
    assert table.statement(b"SELECT 'new'\0\0\0", HERE) is None
    del typed, again, found
    kept.pop()
    assert table.statement(b"SELECT 'new'\0\0\0", HERE) is not None


def test_what_is_read_anew_has_a_place(table: StatementTable) -> None:
    latin = context(reading=Reading("LATIN1", True))
    statement = defined(table, "SELECT 'ä'".encode(), HERE)
    table.account.limit = 0
    again = table.again(statement, latin)
    assert again is not None
    assert again.text == "SELECT 'ä'".encode("latin-1")
    assert table.again(statement, latin) is again
    del statement, again
    assert table.account.bytes == 0
