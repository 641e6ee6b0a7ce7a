"""How a client stands with its connection, which it borrows for each transaction."""

from tests.playbooks import wording
from tests.unit.relay.fakes import PARAMETERS, PLAIN, Parameters, Settings
from tests.unit.relay.loopback import FarDatabase, Loopback

RESULT = "Result, Ready I"
SUCCESS = "CommandComplete SET, Ready I"
REFUSED = "Error 22023 no, Ready I"


def occupy(loopback: Loopback, database: FarDatabase) -> None:
    """An idle connection runs something of Forebay's own."""
    loopback.pool.take(database.peer)
    database.peer.run(b"SHOW x", None)
    database.gets("Query 'SHOW x'")


def free(database: FarDatabase) -> None:
    """... and has done so."""
    database.sends("CommandComplete SHOW, Ready I")
    assert database.is_idle


class TestBorrowing:
    def test_who_finds_no_connection_waits_and_the_manager_hears_of_it(
        self, loopback: Loopback
    ) -> None:
        client = loopback.client()
        client.sends("Query 'SELECT 1'")
        assert client.peer.is_waiting
        assert loopback.manager.wanted_by == [loopback.pool]
        database = loopback.database()
        assert not client.peer.is_waiting
        database.answers("Query 'SELECT 1'", RESULT)
        client.gets(RESULT)

    def test_a_connection_with_the_same_settings_comes_first(self, loopback: Loopback) -> None:
        mine = Settings("mine")
        fitting, _, client = loopback.database(mine), loopback.database(), loopback.client(mine)
        client.asks("Query 'SELECT 1'", fitting, RESULT)

    def test_who_has_drawn_from_a_sequence_prefers_its_last_connection(
        self, loopback: Loopback
    ) -> None:
        other, last, client = loopback.database(), loopback.database(), loopback.client()
        client.asks("Query 'SELECT 1'", last, RESULT)
        occupy(loopback, other)
        free(other)  # the newest now
        client.peer.prefers_last = True
        client.asks("Query 'SELECT 2'", last, RESULT)
        client.peer.prefers_last = False
        client.asks("Query 'SELECT 3'", last, RESULT)
        occupy(loopback, other)
        free(other)
        client.asks("Query 'SELECT 4'", other, RESULT)

    def test_who_does_not_know_its_parameters_borrows_to_learn_them(
        self, loopback: Loopback
    ) -> None:
        client = loopback.client(parameters=None)
        client.gets("")
        loopback.sessions.greeting = wording.encode("Ready I")
        database = loopback.database(parameters=Parameters({"server_version": "16.1"}))
        client.gets("Ready I")
        database.gets("")
        assert client.peer.parameters is database.peer.parameters
        assert database.is_idle

    def test_who_gets_a_connection_is_judged_by_its_settings(self, loopback: Loopback) -> None:
        client = loopback.client(Settings("mine", under_pg_temp=True))
        database = loopback.database(client.peer.settings)
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        assert (client.peer.under_pg_temp, client.peer.reads_all) == (True, True)
        assert client.peer.application is loopback.sessions.applications.application


class TestConfirming:
    def test_nothing_is_sent_before_the_settings_are_known_to_be_in_place(
        self, loopback: Loopback
    ) -> None:
        database, client = loopback.database(), loopback.client(Settings("mine"))
        loopback.changeover.must_confirm = True
        client.sends("Query 'SELECT 1'")
        database.answers("Query 'CHANGE mine'", SUCCESS)
        database.answers("Query 'SELECT 1'", RESULT)
        client.gets(RESULT)

    def test_who_is_refused_its_settings_is_told(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client(Settings("mine"))
        loopback.changeover.must_confirm = True
        client.sends("Query 'SELECT 1'")
        database.answers("Query 'CHANGE mine'", REFUSED)
        client.gets("Error 22023 no")
        assert client.is_let_go
        assert loopback.sessions.refused == [wording.encode("Error 22023 no")[5:]]
        database.answers("Query 'DISCARD ALL'", "CommandComplete 'DISCARD ALL', Ready I")
        assert database.is_idle

    def test_or_tries_other_settings(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client(Settings("mine"))
        loopback.changeover.must_confirm = True
        loopback.sessions.instead = PLAIN
        client.sends("Query 'SELECT 1'")
        database.answers("Query 'CHANGE mine'", REFUSED)
        database.answers("Query 'DISCARD ALL'", "CommandComplete 'DISCARD ALL', Ready I")
        database.answers("Query 'SELECT 1'", RESULT)
        client.gets(RESULT)

    def test_what_was_interrupted_is_tried_three_times(self, loopback: Loopback) -> None:
        client = loopback.client(Settings("mine"))
        databases = [loopback.database() for _ in range(4)]
        loopback.changeover.must_confirm = True
        loopback.sessions.interrupted = True
        client.sends("Query 'SELECT 1'")
        for database in databases[:0:-1]:
            assert loopback.sessions.refused == []
            database.answers("Query 'CHANGE mine'", "Error 57014 canceled, Ready I")
        databases[0].gets("")
        assert len(loopback.sessions.refused) == 1
        assert client.is_let_go

    def test_a_pinned_client_goes_with_a_connection_that_refuses(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client(Settings("mine"))
        loopback.changeover.must_confirm = True
        client.sends("Query 'SELECT 1'")
        client.peer.set_pinned(True)
        database.answers("Query 'CHANGE mine'", REFUSED)
        database.gets("Terminate")
        client.gets("Fatal 08006")
        assert client.is_let_go


class TestLosingTheConnection:
    def test_behind_what_the_client_has_sent_is_its_end(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query 'SELECT 1'")
        database.leaves()
        client.gets("Fatal 08006")
        assert client.is_let_go

    def test_before_that_another_one_will_do(self, loopback: Loopback) -> None:
        second, first = loopback.database(), loopback.database()
        client = loopback.client(Settings("mine"))
        loopback.changeover.must_confirm = True
        client.sends("Query 'SELECT 1'")
        first.gets("Query 'CHANGE mine'")
        first.leaves()
        second.answers("Query 'CHANGE mine'", SUCCESS)
        second.answers("Query 'SELECT 1'", RESULT)
        client.gets(RESULT)

    def test_while_the_client_learns_its_parameters_another_one_will_do(
        self, loopback: Loopback
    ) -> None:
        client = loopback.client(Settings("mine"), parameters=None)
        first = loopback.database()
        first.gets("Query 'CHANGE mine'")
        first.leaves()
        assert not client.peer.greeted
        second = loopback.database()
        second.answers("Query 'CHANGE mine'", SUCCESS)
        assert client.peer.greeted
        assert client.peer.parameters is PARAMETERS

    def test_one_that_has_its_settings_will_do_at_once(self, loopback: Loopback) -> None:
        mine = Settings("mine")
        second, first = loopback.database(mine), loopback.database()
        client = loopback.client(mine)
        occupy(loopback, second)
        loopback.changeover.must_confirm = True
        client.sends("Query 'SELECT 1'")
        first.gets("Query 'CHANGE mine'")
        free(second)
        first.leaves()
        second.answers("Query 'SELECT 1'", RESULT)
        client.gets(RESULT)


class TestTheEndOfATransaction:
    def test_of_who_needed_a_database_alone_is_told(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.peer.evacuation = object()
        client.asks("Query 'SELECT 1'", database, "Result, Ready T")
        assert loopback.sessions.evacuations.ended == []
        client.asks("Query COMMIT", database, "CommandComplete COMMIT, Ready I")
        assert loopback.sessions.evacuations.ended == [client.peer]

    def test_ends_what_its_settings_do_not_show(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.peer.set_pinned(True)
        client.peer.meanwhile = changes = (object(),)
        client.asks("Sync", database, "Ready T")
        assert client.peer.meanwhile is changes
        client.asks("Sync", database, "Ready I")
        assert client.peer.meanwhile is None
