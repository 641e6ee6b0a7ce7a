"""A connection changes over to its client's settings: confirmed first, or behind a guard."""

import pytest

from forebay.protocol.messages import query
from tests.playbooks import wording
from tests.unit.relay.fakes import PARAMETERS, PLAIN, Notes, Parameters, Settings
from tests.unit.relay.loopback import FarClient, FarDatabase, Loopback

RESULT = "Result, Ready I"
# What the database answers to a guarded change-over that fails, or to one whose guard fails alone.
FAILED = "CloseComplete, Error 22023 refused, Ready I, Error 26000 'no such statement'"
GUARD_HIT = "CloseComplete, CommandComplete SET, Ready I, Error 57014 timeout"


@pytest.fixture
def ends(loopback: Loopback) -> tuple[FarDatabase, FarClient]:
    return loopback.database(), loopback.client(Settings("mine"))


class TestGuarded:
    def test_it_leaves_with_the_first_message_and_its_answer_is_swallowed(
        self, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.sends("Query 'SELECT 1'")
        database.changes_to("mine", "Query 'SELECT 1'")
        database.sends("Changed")
        client.gets("")
        database.sends(RESULT)
        client.gets(RESULT)
        assert database.is_idle
        client.asks("Query 'SELECT 2'", database, RESULT)

    def test_nothing_goes_behind_a_sync_before_it_has_succeeded(
        self, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.sends("Batch 'SELECT 1', Sync, Query 'SELECT 2'")
        database.changes_to("mine", "Batch 'SELECT 1', Sync")
        database.sends("Changed")
        database.gets("Query 'SELECT 2'")

    @pytest.mark.parametrize(("answer", "error"), [(FAILED, "22023"), (GUARD_HIT, "57014")])
    def test_if_it_fails_the_client_is_told_and_goes_on_with_another_connection(
        self,
        loopback: Loopback,
        ends: tuple[FarDatabase, FarClient],
        answer: str,
        error: str,
    ) -> None:
        database, client = ends
        client.sends("Query 'SELECT 1'")
        database.changes_to("mine", "Query 'SELECT 1'")
        database.sends(answer)
        text = "refused" if error == "22023" else "timeout"
        client.gets(f"Error {error} {text}, Ready I")
        database.gets("Terminate")
        assert database.is_let_go
        assert [confirming for _, confirming in loopback.changeover.failures] == (
            [False] if answer == FAILED else []
        )
        client.sends("Query 'SELECT 2'")
        assert client.peer.is_waiting

    def test_if_it_fails_each_message_is_answered_as_the_database_would(
        self, loopback: Loopback, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.peer.notes = Notes()
        client.sends("Parse '' 'SELECT 1', Bind, Execute, Sync")
        database.received()
        database.sends(FAILED)
        client.gets("Error 22023 refused, Ready I")
        assert loopback.sessions.pinner.nothing_ran_for == [client.peer]

    def test_if_it_fails_half_a_batch_is_skipped_to_its_sync(
        self, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.sends("Parse '' 'SELECT 1', Bind")
        database.received()
        database.sends(FAILED)
        client.gets("Error 22023 refused")
        client.sends("Execute, Sync")
        client.gets("Ready I")
        assert not client.peer.is_waiting

    def test_if_it_fails_who_said_goodbye_is_gone(
        self, loopback: Loopback, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.sends("Query 'SELECT 1', Terminate")
        database.received()
        database.sends(FAILED)
        client.gets("")
        assert client.is_let_go
        assert loopback.pool.waiting == 0

    def test_if_it_fails_who_is_to_part_hears_both(
        self, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.sends("Query 'SELECT 1'")
        client.peer.part(wording.encode("Fatal 57P01 bye"))
        database.received()
        database.sends(FAILED)
        client.gets("Error 22023 refused, Ready I, Fatal 57P01 bye")
        assert client.is_let_go

    def test_if_it_fails_databases_that_were_needed_alone_are_let_go(
        self, loopback: Loopback, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.sends("Query 'SELECT 1'")
        client.peer.evacuation = object()
        database.received()
        database.sends(FAILED)
        assert loopback.sessions.evacuations.ended == [client.peer]

    def test_a_message_in_parts_has_no_guard(self, loopback: Loopback) -> None:
        """A statement_timeout would run from the guard on, and fire in the middle of it."""
        database, client = loopback.database(), loopback.client(Settings("mine"))
        client.transmits(b"B\0\1\x86\xa4" + b"\0" * 70_000)
        database.gets("Query 'CHANGE mine'")


class TestConfirmed:
    @pytest.fixture(autouse=True)
    def must_be(self, loopback: Loopback) -> None:
        loopback.changeover.must_confirm = True

    def test_it_leaves_alone_and_without_a_guard(self, ends: tuple[FarDatabase, FarClient]) -> None:
        database, client = ends
        client.sends("Query 'SELECT 1'")
        database.answers("Query 'CHANGE mine'", "CommandComplete SET, Ready I")
        client.gets("")
        database.gets("Query 'SELECT 1'")

    def test_if_it_fails_nothing_of_the_client_was_sent(
        self, loopback: Loopback, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.sends("Query 'SELECT 1'")
        database.answers("Query 'CHANGE mine'", "Error 22023 refused, Ready I")
        assert [confirming for _, confirming in loopback.changeover.failures] == [True]
        database.gets("Query 'DISCARD ALL'")


class TestWhatTheClientKnows:
    def test_parameters_that_the_change_over_has_changed_are_announced(
        self, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.sends("Query 'SELECT 1'")
        database.received()
        database.sends("CloseComplete, ParameterStatus a 1, CommandComplete SET, Ready I")
        client.gets("ParameterStatus a 1")
        assert client.peer.parameters is database.peer.parameters
        database.sends(f"ParameterDescription, RowDescription, CloseComplete, {RESULT}")
        client.gets(RESULT)
        assert database.is_idle  # the client has changed nothing, and nobody asks

    def test_what_was_announced_is_not_told_again_at_the_end_of_a_turn_that_something_follows(
        self, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.peer.follow_up = (query("SET x"), b"")
        client.sends("Query 'SELECT 1'")
        database.received()
        database.sends(
            "CloseComplete, ParameterStatus a 1, CommandComplete SET, Ready I,"
            " ParameterDescription, RowDescription, CloseComplete"
        )
        client.gets("ParameterStatus a 1")
        database.sends(RESULT)
        database.answers("Query 'SET x'", "CommandComplete SET, Ready I")
        client.gets(RESULT)

    def test_a_connection_that_reports_other_parameters_is_announced(
        self, loopback: Loopback
    ) -> None:
        other = Parameters({"server_version": "15.0", "a": "2"})
        database, client = loopback.database(parameters=other), loopback.client()
        assert client.peer.parameters is PARAMETERS
        client.sends("Query 'SELECT 1'")
        client.gets("ParameterStatus a 2")
        database.gets("Query 'SELECT 1'")

    def test_texts_are_read_as_before_while_it_is_under_way(
        self, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.sends("Query 'SELECT 1'")
        database.received()
        database.sends("CloseComplete, ParameterStatus a 1")
        assert database.peer.parameters is not PARAMETERS
        assert client.peer.parameters_now() is PARAMETERS
        database.sends("CommandComplete SET, Ready I")
        assert client.peer.parameters_now() is database.peer.parameters


class TestWhatOthersHaveLeft:
    def test_a_stale_connection_changes_over_and_prepares_anew(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Parse mine 'SELECT 1', Sync")
        database.answers("Parse _forebay_# 'SELECT 1', Sync", "ParseComplete, Ready I")
        database.peer.stale = True
        client.sends("Bind mine, Execute, Sync")
        database.changes_to("plain", "Parse _forebay_# 'SELECT 1', Bind _forebay_#, Execute, Sync")
        assert not database.peer.stale

    def test_plans_of_other_settings_are_discarded_before_the_next_message(
        self, loopback: Loopback
    ) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        database.peer.plans_stale = True
        client.sends("Query 'SELECT 1'")
        database.gets("Query 'DISCARD PLANS', Query 'SELECT 1'")
        database.sends("CommandComplete 'DISCARD PLANS', Ready T, Result, Ready T")
        client.gets("Result, Ready T")
        assert not database.peer.plans_stale

    def test_in_a_batch_plans_are_discarded_as_part_of_it(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.sends("Parse '' 'SELECT 1'")
        database.received()
        database.peer.plans_stale = True
        client.sends("Bind, Execute, Sync")
        own = "_forebay_own"
        database.gets(
            f"Parse {own} 'DISCARD PLANS', Bind {own} {own}, Execute {own}, Close P {own},"
            f" Close S {own}, Bind, Execute, Sync"
        )

    def test_a_batch_that_has_failed_has_no_plans_to_discard(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.sends("Parse '' nonsense")
        database.answers("Parse '' nonsense", "Error 42601 'syntax error'")
        database.peer.plans_stale = True
        client.sends("Bind, Execute, Sync")
        database.gets("Bind, Execute, Sync")
        assert database.peer.plans_stale

    def test_discarding_plans_is_tried_again(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        database.peer.plans_stale = True
        client.sends("Query 'SELECT 1'")
        database.gets("Query 'DISCARD PLANS', Query 'SELECT 1'")
        database.sends("Error 57014 canceled, Ready T")
        assert database.peer.plans_stale

    def test_settings_are_the_connections_as_soon_as_they_are_asked_for(
        self, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        assert database.peer.settings is PLAIN
        client.sends("Query 'SELECT 1'")
        assert database.peer.settings is client.peer.settings
