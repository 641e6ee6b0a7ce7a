"""Looks into what a client is about to send: which texts may change the session."""

import pytest

from forebay.protocol.messages import message, query
from forebay.relay.scan.names import FunctionNames
from tests.unit.relay.loopback import Loopback

RESULT = "Result, Ready I"
LONG = f"SELECT {'1 + ' * 50_000}1"
BATCH_RESULT = "ParseComplete, BindComplete, CommandComplete 'SET', Ready I"


class TestSimpleQueries:
    def test_what_is_certainly_harmless_is_not_read(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query 'SELECT 1'", database, RESULT)
        assert loopback.sessions.texts.told == []

    def test_what_is_not_is(self, loopback: Loopback) -> None:
        loopback.database()
        loopback.client().sends("Query 'SET x = 1'")
        told = [("executes", b"SET x = 1"), ("examine", b"SET x = 1")]
        assert loopback.sessions.texts.told == told

    def test_a_pinned_client_has_all_read(self, loopback: Loopback) -> None:
        loopback.database()
        client = loopback.client()
        client.peer.set_pinned(True)
        client.sends("Query 'SELECT 1'")
        assert loopback.sessions.texts.of("examine") == [b"SELECT 1"]

    def test_functions_that_are_listed_are_looked_for(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.peer.look_for(FunctionNames([b"mine"]))
        client.asks("Query 'SELECT lower(x)'", database, RESULT)
        assert loopback.sessions.texts.told == []
        client.sends("Query 'SELECT app.mine(x)'")
        assert loopback.sessions.texts.of("examine") == [b"SELECT app.mine(x)"]

    def test_what_must_wait_for_others_to_leave_a_database_waits(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        evacuations = loopback.sessions.evacuations
        evacuations.needing.add(b"DROP DATABASE x")
        client.sends("Query 'DROP DATABASE x', Query 'SELECT 1'")
        database.gets("")
        assert loopback.sessions.texts.told == []
        evacuations.needing.clear()
        client.peer.evacuated()
        database.gets("Query 'DROP DATABASE x', Query 'SELECT 1'")

    def test_deallocate_of_a_name_that_the_database_does_not_know_is_answered_here(
        self, loopback: Loopback
    ) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Parse one 'SELECT 1', Sync")
        database.answers("Parse _forebay_# 'SELECT 1', Sync", "ParseComplete, Ready I")
        client.gets("ParseComplete, Ready I")
        loopback.sessions.texts.deallocated[b"DEALLOCATE one"] = b"one"
        client.sends("Query 'DEALLOCATE one'")
        client.gets("CommandComplete DEALLOCATE, Ready I")
        database.gets("Query 'what does the session hold?'")
        assert client.peer.statements == {}

    def test_deallocate_waits_for_what_may_abort_its_transaction(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Parse one 'SELECT 1', Sync")
        database.answers("Parse _forebay_# 'SELECT 1', Sync", "ParseComplete, Ready I")
        client.gets("ParseComplete, Ready I")
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        loopback.sessions.texts.deallocated[b"DEALLOCATE one"] = b"one"
        client.sends("Query 'SELECT 1/0', Query 'DEALLOCATE one'")
        database.answers("Query 'SELECT 1/0'", "Error 22012 no, Ready E")
        client.gets("Error 22012 no, Ready E")
        database.gets("Query 'DEALLOCATE one'")  # which fails there


class TestLongStatements:
    def test_a_harmless_one_is_looked_at_as_it_passes(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.transmits(query(LONG))
        assert database.received() == query(LONG)
        database.sends(RESULT)
        client.gets(RESULT)
        assert database.is_idle
        assert loopback.sessions.pinner.pinned == []

    def test_another_pins(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.transmits(query(f"{LONG}; SET x = 1"))
        assert database.received()
        assert loopback.sessions.pinner.pinned == [(client.peer, "STATEMENT_TOO_LONG", None)]

    def test_one_that_names_a_listed_function_pins(self, loopback: Loopback) -> None:
        loopback.database()
        client = loopback.client()
        client.peer.look_for(FunctionNames([b"mine"]))
        client.transmits(query(f"{LONG} + mine()"))
        assert [reason for _, reason, _ in loopback.sessions.pinner.pinned] == [
            "STATEMENT_TOO_LONG"
        ]

    def test_any_pins_a_strict_client(self, loopback: Loopback) -> None:
        loopback.database()
        client = loopback.client(strict=True)
        client.transmits(query(LONG))
        ((pinned, reason, statement),) = loopback.sessions.pinner.pinned
        assert (pinned, reason) == (client.peer, "STATEMENT_TOO_LONG")
        assert statement == LONG[:1024].encode()

    def test_who_has_all_read_is_told(self, loopback: Loopback) -> None:
        loopback.sessions.applications.application.asks = True
        loopback.database()
        loopback.client().transmits(query(LONG))
        assert loopback.sessions.texts.of("is_not_read") == [LONG[:1024].encode()]


class TestPortals:
    def test_binding_what_may_change_the_session_is_told(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks(
            "Batch 'SET x = 1', Sync",
            database,
            "ParseComplete, BindComplete, NoData, CommandComplete SET, Ready I",
        )
        assert loopback.sessions.texts.told == [("binds", b"SET x = 1")]

    def test_executing_it_is_told_each_time_if_that_was_asked_for(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        loopback.sessions.texts.following.add(b"SET x = 1")
        client.asks(
            "Parse '' 'SET x = 1', Bind, Execute, Execute, Sync",
            database,
            "ParseComplete, BindComplete, CommandComplete SET, CommandComplete SET, Ready I",
        )
        assert loopback.sessions.texts.of("executes") == [b"SET x = 1"] * 2

    def test_what_must_wait_waits_when_it_is_executed(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        loopback.sessions.texts.following.add(b"DROP DATABASE x")
        loopback.sessions.evacuations.needing.add(b"DROP DATABASE x")
        client.sends("Parse '' 'DROP DATABASE x', Bind, Execute, Sync")
        database.gets("Parse '' 'DROP DATABASE x', Bind")
        loopback.sessions.evacuations.needing.clear()
        client.peer.evacuated()
        database.gets("Execute, Sync")

    def test_a_strict_client_is_announced_that_a_parse_pins(self, loopback: Loopback) -> None:
        loopback.database()
        loopback.client(strict=True).sends("Parse '' 'SET x = 1', Parse '' 'SELECT 1'")
        assert loopback.sessions.texts.of("announce_pin") == [b"SET x = 1"]


def test_a_long_statement_must_end_where_its_message_does(loopback: Loopback) -> None:
    loopback.database()
    client = loopback.client()
    client.transmits(message(b"Q", LONG.encode()))  # without a zero byte
    assert [reason for _, reason, _ in loopback.sessions.pinner.pinned] == ["STATEMENT_TOO_LONG"]


@pytest.mark.parametrize("data", [b"Q\0\0\0\x0cSELECT 1", b"P\0\0\0\5x"], ids=["Query", "Parse"])
def test_what_is_malformed_is_left_to_the_database(loopback: Loopback, data: bytes) -> None:
    database, client = loopback.database(), loopback.client()
    client.transmits(data)
    assert database.received() == data
    assert loopback.sessions.texts.told == []
