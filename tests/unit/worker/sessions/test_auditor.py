"""The database is asked what a session holds, and what it answers is what holds."""

from typing import Any

import pytest

from forebay.session.audit import VALUE_CHARACTERS
from forebay.session.causes import PinReason
from forebay.session.restoration import TakenBack
from forebay.session.settings import RESET_BY_CLIENT, WITHOUT_TIMEOUT
from forebay.worker.kept import notes_of
from forebay.worker.sessions.auditor import ASK_AGAIN_S, ASKED_LIMIT
from tests.unit.worker.sessions.people import Proxy

CANCELLED = b"SERROR\0C57014\0Mcanceling statement due to user request\0\0"
DENIED = b"SERROR\0C42501\0Mpermission denied\0\0"


@pytest.fixture
def proxy() -> Proxy:
    return Proxy()


def ask(proxy: Proxy, client: Any, *doubts: PinReason, statement: bytes = b"SET x = 1") -> bytes:
    """The client's transaction is over, and may have left these behind. Returns the question."""
    notes = notes_of(client)
    notes.statement = statement
    for reason in doubts:
        notes.doubt(reason)
    proxy.auditor.ask(client)
    question: bytes = client.server.asked[-1][0]
    return question


def reasons(client: Any) -> set[str]:
    return {reason.value for reason in notes_of(client).reasons}


def test_settings_are_taken_over_by_client_and_connection(proxy: Proxy) -> None:
    client = proxy.client()
    ask(proxy, client)
    client.server.answer(("", "work_mem", "1MB"), ("", "TimeZone", "UTC"))
    expected = proxy.intern.settings((("timezone", "UTC"), ("work_mem", "1MB")))
    assert client.settings is client.server.settings is expected
    assert not client.pinned


def test_what_holds_pins_and_what_does_not_hold_any_more_ends(proxy: Proxy) -> None:
    client = proxy.client()
    question = ask(proxy, client, PinReason.LISTEN, PinReason.CURSOR)
    assert b"pg_listening_channels" in question
    assert b"pg_cursors" in question
    assert b"pg_prepared_statements" not in question, "nobody doubts it"
    client.server.answer(("LISTEN", "", ""))
    assert (client.pinned, reasons(client)) == (True, {"LISTEN"})
    assert b"pg_listening_channels" in ask(proxy, client), "it may be over by then"
    client.server.answer()
    assert (client.pinned, reasons(client)) == (False, set())


def test_settings_that_the_database_does_not_list_are_asked_for_by_name(proxy: Proxy) -> None:
    """Those it had when it came, those it has, and those that it may have made since."""
    client = proxy.client(("app.login", "7"))
    client.settings = proxy.intern.settings((("app.now", "7"), ("work_mem", "1MB")))
    notes_of(client).custom.add("app.since")
    question = ask(proxy, client)
    for name in (b"'app.login'", b"'app.now'", b"'app.since'"):
        assert name in question
    assert b"'work_mem'" not in question


def test_what_a_login_asked_for_stays_unless_it_was_changed(proxy: Proxy) -> None:
    client = proxy.client(("timezone", "UTC"), ("work_mem", "1MB"))
    ask(proxy, client)
    client.server.answer(("", "work_mem", "2MB"))
    assert client.settings.values == (("timezone", "UTC"), ("work_mem", "2MB"))
    assert client.server.settings.values == (("work_mem", "2MB"),)


def test_what_was_reset_is_what_the_login_asked_for_again(proxy: Proxy) -> None:
    client = proxy.client(("app.tenant", "7"))
    ask(proxy, client)
    client.server.answer(("", "app.tenant", ""))
    assert client.settings.values == (("app.tenant", ""),), "it was set to nothing"
    notes_of(client).restored = {"app.tenant": TakenBack()}
    ask(proxy, client)
    client.server.answer(("", "app.tenant", ""))
    assert client.settings.values == (("app.tenant", "7"),)
    assert client.server.settings.values == (("app.tenant", ""),)


def test_a_client_knows_what_its_connection_reports(proxy: Proxy) -> None:
    client = proxy.client()
    client.server.parameters = proxy.intern.parameters({"client_encoding": "LATIN1"})
    ask(proxy, client)
    client.server.answer()
    assert client.parameters is client.server.parameters


def test_a_pin_is_told_with_the_statement_that_has_made_it(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    client = proxy.client()
    ask(proxy, client, PinReason.LISTEN, statement=b"LISTEN old")
    client.server.answer()
    notes_of(client).statement = b"EXECUTE new"
    notes_of(client).doubt_all()
    ask(proxy, client, statement=b"EXECUTE new")
    client.server.answer(("LISTEN", "", ""))
    assert 'Digest: "execute new".' in caplog.text


def test_where_there_is_an_init_query_what_was_taken_back_is_not_its(proxy: Proxy) -> None:
    """RESET goes back behind it, so the connection is not as new ones are."""
    client = proxy.client()
    for has_init_query, expected in ((False, ()), (True, RESET_BY_CLIENT)):
        client.pool.changeover.has_init_query = has_init_query
        notes_of(client).resets = True
        ask(proxy, client)
        client.server.answer()
        assert client.server.settings.values == expected
    ask(proxy, client)
    client.server.answer()
    assert client.server.settings.values == ()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((DENIED, ()), "permission denied"),
        ((None, ("", None, "")), "the database did not tell the state of the session"),
        ((None, ("", "x")), "the database did not tell the state of the session"),
        ((None, ("WHIM", "", "")), "no reason for a pin: 'WHIM'"),
    ],
)
def test_without_an_answer_the_session_is_not_shared(
    answer: tuple[bytes | None, tuple[str | None, ...]],
    said: str,
    proxy: Proxy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = proxy.client()
    before = client.settings, client.server.settings
    ask(proxy, client)
    error, row = answer
    client.server.answer(row, error=error)
    assert (client.pinned, reasons(client)) == (True, {"SETTING"})
    assert f"The state of a session is not known, so it is pinned: {said}" in caplog.text
    assert (client.settings, client.server.settings) == before
    ask(proxy, client)
    client.server.answer()
    assert client.pinned, "until its client leaves"


def test_a_cut_answer_is_none(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    client = proxy.client()
    ask(proxy, client)
    client.server.answer(("", "work_mem", "1MB"), is_cut=True)
    assert reasons(client) == {"TOO_MANY_SETTINGS", "SETTING"}
    assert "there is more of it than is read" in caplog.text
    assert client.settings.values == ()


def test_a_value_too_long_to_be_carried_pins_and_is_not_carried(proxy: Proxy) -> None:
    client = proxy.client()
    longest = "x" * VALUE_CHARACTERS
    ask(proxy, client)
    client.server.answer(("", "a.long", longest + "x"), ("", "a.fits", longest))
    assert reasons(client) == {"TOO_MANY_SETTINGS"}
    assert client.settings.values == (("a.fits", longest),)


def test_a_question_that_was_cut_short_is_asked_again_without_a_timeout(proxy: Proxy) -> None:
    client = proxy.client()
    question = ask(proxy, client, PinReason.LISTEN)
    for _ in range(ASKED_LIMIT - 1):
        client.server.answer(error=CANCELLED)
        ((again, _),) = client.server.asked
        assert again == WITHOUT_TIMEOUT.encode() + question
    assert not client.pinned
    client.server.answer(("LISTEN", "", ""))
    assert reasons(client) == {"LISTEN"}


def test_one_that_is_cut_short_again_and_again_is_asked_later(proxy: Proxy) -> None:
    client = proxy.client()
    ask(proxy, client, PinReason.LISTEN)
    for _ in range(ASKED_LIMIT):
        client.server.answer(error=CANCELLED)
    assert client.server.asked == []
    assert reasons(client) == {"SETTING"}, "until it is known"
    client.suspect = False
    proxy.clock.pass_time(ASK_AGAIN_S)
    assert (client.suspect, client.server.looked_again) == (True, 1)
    assert b"pg_listening_channels" in ask(proxy, client), "the doubt is still there"
    client.server.answer()
    assert not client.pinned


@pytest.mark.parametrize("what", ["it was answered meanwhile", "its client has left"])
def test_it_is_not_asked_later_when(what: str, proxy: Proxy) -> None:
    client = proxy.client()
    server = client.server
    ask(proxy, client)
    for _ in range(ASKED_LIMIT):
        server.answer(error=CANCELLED)
    if what == "its client has left":
        server.client = None
    else:
        ask(proxy, client)
        server.answer()
    proxy.clock.pass_time(10 * ASK_AGAIN_S)
    assert server.looked_again == 0


def test_an_answer_for_who_has_left_concerns_nobody(proxy: Proxy) -> None:
    client, other = proxy.client(), proxy.client()
    server = client.server
    ask(proxy, client)
    server.client = other
    server.answer(("LISTEN", "", ""), ("", "work_mem", "1MB"))
    for each in (client, other):
        assert not each.pinned
        assert each.settings.values == ()
    assert server.settings.values == ()


def test_a_search_path_of_temporary_names_pins_unless_the_connection_began_with_it(
    proxy: Proxy,
) -> None:
    client = proxy.client()
    ask(proxy, client)
    client.server.search_path = "pg_temp, public"
    client.server.answer(("", "search_path", "pg_temp, public"))
    assert not client.pinned
    client.server.search_path = "public"
    ask(proxy, client)
    client.server.answer(("", "search_path", "pg_temp, public"))
    assert reasons(client) == {"SETTING"}


def test_sequences_that_were_discarded_end_their_pin(proxy: Proxy) -> None:
    client = proxy.client()
    notes = notes_of(client)
    notes.keep_drawn(b"SELECT nextval('s')")
    notes.discards, notes.used_since = 1, False
    ask(proxy, client)
    client.server.lease.sequences_discarded = 1
    client.server.answer()
    assert not client.pinned
    assert client.server.lease.sequences_discarded == 0


def test_statements_mean_the_same_under_other_settings(proxy: Proxy) -> None:
    client = proxy.client()
    texts = {b"dated": b"SELECT '1 May'::date\0\0\0", b"plain": b"SELECT $1\0\0\0"}
    before = {name: proxy.texts.statement(client, text) for name, text in texts.items()}
    client.statements = dict(before)
    ask(proxy, client)
    client.server.answer(("", "work_mem", "1MB"))
    assert client.redefined == [], "literals do not depend on that"
    ask(proxy, client)
    client.server.answer(("", "datestyle", "German"))
    for name, text in texts.items():
        assert client.statements[name] is proxy.texts.statement(client, text)
    assert client.statements[b"dated"] is not before[b"dated"]
