"""What is taken note of in what a database sends: parameters, completed commands."""

import pytest

from forebay.protocol.messages import message
from tests.unit.relay.fakes import PARAMETERS, as_parameters
from tests.unit.relay.loopback import Loopback

RESULT = "Result, Ready I"


class TestParameters:
    def test_a_change_is_noted_and_passed_on(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query 'SELECT change_it()'", database, f"ParameterStatus a 1, {RESULT}")
        assert as_parameters(database.peer.parameters).values == {**PARAMETERS.values, "a": "1"}

    def test_a_change_makes_its_client_suspect(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query 'SELECT 1'", database, f"ParameterStatus a 1, {RESULT}")
        database.gets("Query 'what does the session hold?'")

    def test_a_change_of_how_names_and_literals_mean_is_told(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query 'SELECT 1'")
        database.sends("ParameterStatus DateStyle ISO")
        assert loopback.sessions.texts.told == [("undone", b"")]
        database.sends("ParameterStatus a 1")
        assert loopback.sessions.texts.told == [("undone", b"")]

    def test_how_texts_are_read_may_change_for_a_transaction_alone(
        self, loopback: Loopback
    ) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.sends("Query 'SELECT 1'")
        database.sends("ParameterStatus standard_conforming_strings off, Result, Ready T")
        assert client.peer.suspect


class TestTags:
    def test_what_alters_the_schema_counts_when_it_is_committed(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.asks("Query 'ALTER'", database, "CommandComplete 'ALTER TABLE', Ready T")
        assert loopback.manager.changes == 0
        client.asks("Query COMMIT", database, "CommandComplete COMMIT, Ready I")
        assert loopback.manager.changes == 1

    @pytest.mark.parametrize("temporary", [False, True])
    def test_temporary_tables_alter_nothing_for_others(
        self, loopback: Loopback, temporary: bool
    ) -> None:
        database, client = loopback.database(), loopback.client()
        loopback.sessions.pinner.temporary = temporary
        client.asks("Query CREATE", database, "CommandComplete 'CREATE TABLE', Ready I")
        assert loopback.manager.changes == (0 if temporary else 1)

    def test_a_result_that_has_changed_tells_of_the_schema(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        error = "Error 0A000 'cached plan must not change result type' RevalidateCachedQuery"
        client.asks("Query 'EXECUTE x'", database, f"{error}, Ready I")
        assert loopback.manager.changes == 1

    @pytest.mark.parametrize(("tag", "undone"), [("COMMIT", 1), ("ROLLBACK", 1), ("SELECT 1", 0)])
    def test_what_was_changed_in_a_transaction_ends_with_it(
        self, loopback: Loopback, tag: str, undone: int
    ) -> None:
        """Though the transaction goes on behind COMMIT AND CHAIN, say."""
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.peer.meanwhile = (object(),)
        client.asks("Query 'SELECT 1'", database, f"CommandComplete '{tag}', Ready T")
        assert len(loopback.sessions.texts.of("undone")) == undone

    def test_discard_all_ends_what_was_prepared(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Parse one 'SELECT 1', Sync")
        database.answers("Parse _forebay_# 'SELECT 1', Sync", "ParseComplete, Ready I")
        client.received()
        assert client.peer.statements
        client.asks("Query 'DISCARD ALL'", database, "CommandComplete 'DISCARD ALL', Ready I")
        assert not client.peer.statements


class TestWhatIsNoticed:
    """Of the server: whoever looks after it is told."""

    @pytest.mark.parametrize(
        ("answer", "seen"),
        [
            ("Error 25006 'cannot execute INSERT in a read-only transaction'", ["read_only"]),
            ("ParameterStatus in_hot_standby on", ["read_only"]),
            ("ParameterStatus in_hot_standby off", []),
            ("ParameterStatus is_superuser on", []),
            ("Error 23505 twice", []),
            ("Notice hello", []),
        ],
    )
    def test_in_answers(self, loopback: Loopback, answer: str, seen: list[str]) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query 'INSERT 1'", database, f"{answer}, Ready I")
        assert loopback.manager.seen == seen

    @pytest.mark.parametrize(("code", "kind"), [("57P01", "terminated"), ("57P02", "crashed")])
    @pytest.mark.parametrize("at", [1, 6, 30, 70])
    def test_in_notices_in_any_two_parts(
        self, loopback: Loopback, code: str, kind: str, at: int
    ) -> None:
        database, client = loopback.database(), loopback.client()
        fields = f"SWARNING\0VWARNING\0C{code}\0Mterminating connection\0"
        notice = message(b"N", fields.encode() + b"\0")
        client.sends("Query 'INSERT 1'")
        database.transmits(notice[:at])
        database.transmits(notice[at:])
        assert client.received() == notice
        assert loopback.manager.seen == [kind]

    def test_of_a_connection_that_nobody_has(self, loopback: Loopback) -> None:
        database = loopback.database()
        database.sends("Fatal 57P01 'terminating connection'")
        assert loopback.manager.seen == ["terminated"]

    def test_of_one_that_ends_without_a_word(self, loopback: Loopback) -> None:
        database = loopback.database()
        database.leaves()
        assert loopback.manager.seen == ["lost"]

    def test_nothing_of_one_that_forebay_ends(self, loopback: Loopback) -> None:
        database = loopback.database()
        database.peer.shut("it is of no use")
        assert loopback.manager.seen == []
