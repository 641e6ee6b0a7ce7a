"""A prepared statement as its clients mean it: equal ones are one object, and counted once."""

import gc

import pytest

from forebay.relay.scan.names import FunctionNames
from forebay.relay.statements.statement import (
    PREFIX,
    Account,
    Statement,
    Statements,
    Text,
    digest,
)
from tests.unit.relay.fakes import Meaning, Reading
from tests.unit.relay.loopback import Loopback

NO_TYPES = b"\0\0\0"
ONE = b"SELECT 1"
MEANING = Meaning()


@pytest.fixture
def statements() -> Statements:
    return Statements(Account(10_000))


def define(
    statements: Statements, sql: bytes, tail: bytes = NO_TYPES, meaning: Meaning = MEANING
) -> Statement:
    return statements.define(digest(sql), Text(sql, statements.account), tail, meaning)


class TestOneIdentity:
    def test_what_is_defined_is_found(self, statements: Statements) -> None:
        made = define(statements, ONE)
        assert statements.find(digest(ONE), NO_TYPES, Meaning()) is made
        assert (made.text, made.definition) == (ONE, ONE + NO_TYPES)
        assert made.digest == digest(ONE)
        assert made.meaning is MEANING

    def test_another_text_type_or_meaning_is_another(self, statements: Statements) -> None:
        made = define(statements, ONE)
        typed = b"\0\0\1\0\0\0\x17"
        other = Meaning(Reading("LATIN1"))
        assert statements.find(digest(b"SELECT 2"), NO_TYPES, MEANING) is None
        assert statements.find(digest(ONE), typed, MEANING) is None
        assert statements.find(digest(ONE), NO_TYPES, other) is None
        three = {made, define(statements, ONE, typed), define(statements, ONE, meaning=other)}
        assert len({each.known.name for each in three}) == 3
        assert all(each.known.name.startswith(PREFIX) for each in three)

    def test_it_lasts_as_long_as_somebody_has_it(self, statements: Statements) -> None:
        made = define(statements, ONE)
        name = made.known.name
        assert (statements.living(), len(statements)) == ([made], 1)
        del made
        gc.collect()
        assert statements.find(digest(ONE), NO_TYPES, MEANING) is None
        assert (statements.living(), len(statements)) == ([], 0)
        assert define(statements, ONE).known.name != name  # which is never given out again

    def test_a_connection_that_knows_it_keeps_its_name(self, statements: Statements) -> None:
        made = define(statements, ONE)
        known = made.known
        del made
        gc.collect()
        assert statements.find(digest(ONE), NO_TYPES, MEANING) is None
        assert len(statements) == 1
        assert define(statements, ONE).known is known

    def test_who_prepares_it_again_where_it_is_known_waits_for_nobody(
        self, loopback: Loopback
    ) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Parse one 'SELECT 1', Sync")
        database.answers("Parse _forebay_# 'SELECT 1', Sync", "ParseComplete, Ready I")
        name = loopback.sessions.texts.make(ONE).known.name.decode()
        client.sends("Close S one, Sync")
        database.answers("Sync", "Ready I")
        assert loopback.sessions.texts.table.living() == []
        other = loopback.client()
        other.sends("Parse two 'SELECT 1', Bind two, Sync")
        other.gets("ParseComplete")
        database.gets(f"Bind {name}, Sync")


class TestAccounting:
    def test_a_text_counts_once(self, statements: Statements) -> None:
        account = statements.account
        text = Text(ONE, account)
        first = statements.define(digest(ONE), text, NO_TYPES, MEANING)
        alone = account.bytes
        second = statements.define(digest(ONE), text, NO_TYPES, Meaning(Reading()))
        assert alone < account.bytes < 2 * alone
        assert account.bytes - alone == alone - len(ONE)
        assert account.statements == 2
        del text, first, second
        gc.collect()
        assert (account.bytes, account.statements) == (0, 0)

    def test_there_is_room_up_to_the_limit(self) -> None:
        account = Account(1000)
        assert account.has_room(360)
        assert not account.has_room(361)
        text = Text(b"x" * 60, account)
        assert account.has_room(300)
        assert not account.has_room(301)
        assert text.sql == b"x" * 60

    def test_the_peak_since_it_was_asked_last(self) -> None:
        account = Account(1000)
        texts = [Text(b"x" * 100, account), Text(b"y" * 200, account)]
        texts.pop()
        gc.collect()
        texts.append(Text(b"z" * 50, account))
        assert account.take_peak() == 300
        assert account.take_peak() == account.bytes == 150


class TestHarmless:
    @pytest.mark.parametrize(
        ("sql", "harmless"),
        [(ONE, True), (b"SET x = 1", False), (b"SELECT set_config('a', 'b', false)", False)],
    )
    def test_what_certainly_changes_no_session(
        self, statements: Statements, sql: bytes, harmless: bool
    ) -> None:
        assert define(statements, sql).harmless is harmless

    def test_functions_that_are_listed_make_it_doubtful(self, statements: Statements) -> None:
        made = define(statements, b"SELECT lower(x)")
        assert made.harmless
        made.look_for(FunctionNames([b"lower"]))
        assert not made.harmless
        made.look_for(None)
        assert made.harmless


def test_a_digest_tells_texts_apart_and_not_what_they_are() -> None:
    assert digest(ONE) == digest(bytes(ONE))
    assert digest(ONE) != digest(b"SELECT 2")
    assert len(digest(b"x" * 100_000)) == len(digest(b"")) == 16
