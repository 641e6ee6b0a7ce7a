"""What the worker has given to the relay comes back as it was."""

from forebay.sql.reading import Reading
from forebay.worker import kept
from forebay.worker.pool.manager import Limits
from tests.playbooks import wording
from tests.playbooks.rig import PARAMETERS, Rig

NAMED = (("application_name", "web"),)


def test_settings_are_the_clients_now_and_at_its_login() -> None:
    with Rig() as rig:
        client = rig.client("a", NAMED)
        given = rig.intern.settings(NAMED)
        assert kept.settings_of(client) is kept.startup_of(client) is given
        client.settings = rig.intern.settings((("work_mem", "1MB"),))
        assert kept.settings_of(client).values == (("work_mem", "1MB"),)
        assert kept.startup_of(client) is given


def test_parameters_say_how_texts_are_read() -> None:
    with Rig() as rig:
        client = rig.client("a")
        assert kept.parameters_of(client).values == PARAMETERS
        assert kept.reading_of(client) == Reading("UTF8", True)
        other = rig.intern.parameters({"client_encoding": "latin1"})
        client.parameters = other
        assert kept.parameters_of(client) is kept.as_parameters(other) is other
        assert kept.reading_of(client) == Reading("LATIN1", True)
        assert kept.as_reading(other.reading) is other.reading
        assert kept.as_reading(None) is None


def test_a_text_is_read_as_the_clients_connection_reads_it() -> None:
    """Which may have been told otherwise by a function, say, and not by the client."""
    with Rig() as rig:
        client = rig.client("a")
        rig.send("a", wording.encode("Query BEGIN"))
        server = rig.servers["db1"]
        server.parameters = rig.intern.parameters({"standard_conforming_strings": "off"})
        assert kept.parameters_of(client).values == PARAMETERS
        assert kept.reading_of(client) == kept.parameters_of(server).reading
        assert not kept.reading_of(client).standard_conforming_strings


def test_notes_begin_with_nothing_and_stay() -> None:
    with Rig() as rig:
        one, other = rig.client("a"), rig.client("b")
        assert kept.known_notes(one) is None
        notes = kept.notes_of(one)
        assert not notes.reasons
        assert kept.notes_of(one) is kept.known_notes(one) is notes
        assert kept.known_notes(other) is None, "they are of one client"
        assert kept.notes_of(other) is not notes


def test_a_statement_has_the_meaning_it_was_defined_with() -> None:
    with Rig() as rig:
        client = rig.client("a")
        defined = rig.sessions.texts.statement(client, b"SELECT 1\0\0\0")
        assert defined is not None
        meaning = kept.meaning_of(defined)
        assert meaning == kept.meaning_of(defined)
        client.settings = rig.intern.settings((("search_path", "tenant"),))
        elsewhere = rig.sessions.texts.statement(client, b"SELECT x FROM y\0\0\0")
        assert elsewhere is not None
        assert kept.meaning_of(elsewhere) != meaning


def test_a_micro_pool_knows_its_changeover() -> None:
    with Rig() as rig:
        pools = rig.manager.pool("app", "one"), rig.manager.pool("app", "other")
        assert kept.changeover_of(pools[0]) is kept.changeover_of(pools[1])
        assert not kept.changeover_of(pools[0]).has_init_query
        rig.manager.apply(Limits(100, 100, 10, "SET a.b = 1"))
        assert kept.changeover_of(pools[1]).has_init_query
