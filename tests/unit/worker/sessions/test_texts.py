"""What texts mean to their client's session, before they run and when they do."""

import logging
from typing import Any

import pytest

from forebay.config.settings import ProxySettings, TargetSettings
from forebay.protocol.errors import PgError
from forebay.relay import PREFIX
from forebay.relay.statements.statement import Account
from forebay.session.causes import PinReason
from forebay.worker.kept import known_notes, notes_of
from forebay.worker.sessions.functions import sought_by
from forebay.worker.sessions.statements import StatementTable
from forebay.worker.sessions.texts import EXAMINED_BYTES, KEPT_BYTES, TELL_AGAIN_S
from tests.unit.worker.sessions.people import Proxy

PLAIN = b"SELECT 1 FROM shop"
LONG = b" " * EXAMINED_BYTES


@pytest.fixture
def proxy(caplog: pytest.LogCaptureFixture) -> Proxy:
    caplog.set_level(logging.INFO, "forebay.session")
    return Proxy()


def doubts(client: Any) -> set[str]:
    notes = known_notes(client)
    return set() if notes is None else {reason.value for reason in notes.doubts}


def lasting(client: Any) -> set[str]:
    notes = known_notes(client)
    return set() if notes is None else {reason.value for reason in notes.lasting}


# ---- what may change the session ----


def test_a_text_that_changes_nothing_leaves_its_client_as_it_is(proxy: Proxy) -> None:
    client = proxy.client()
    assert proxy.texts.examine(client, PLAIN) is None
    assert proxy.texts.binds(client, PLAIN, False) is False
    proxy.texts.executes(client, PLAIN)
    assert not client.suspect
    assert client.meanwhile is None
    assert known_notes(client) is None


@pytest.mark.parametrize("text", [b"SET LOCAL work_mem = '1MB'", b"SELECT nextval('s')"])
def test_nor_does_one_whose_effect_ends_with_its_transaction(proxy: Proxy, text: bytes) -> None:
    client = proxy.client()
    proxy.texts.examine(client, text)
    assert not client.suspect
    assert known_notes(client) is None


@pytest.mark.parametrize(
    ("text", "doubted"),
    [
        (b"SET work_mem = '1MB'", set()),
        (b"LISTEN news", {"LISTEN"}),
        (b"SELECT pg_advisory_lock(1)", {"ADVISORY_LOCK"}),
        (b"CREATE TEMP TABLE t (n int)", {"TEMPORARY_OBJECT"}),
        (b"SELECT 1; PREPARE p AS SELECT 1", {"PREPARED_STATEMENT"}),
    ],
)
def test_a_text_that_may_change_the_session_makes_its_client_suspect(
    proxy: Proxy, text: bytes, doubted: set[str]
) -> None:
    """And no more: whether it does, the database is asked when the transaction is over."""
    client = proxy.client()
    assert proxy.texts.examine(client, text) is None
    assert client.suspect
    assert not client.pinned
    assert doubts(client) == doubted
    assert proxy.texts.binds(proxy.client(), text, False), "there is more when it is executed"


@pytest.mark.parametrize(
    ("text", "reason"),
    [(b"LOAD 'x'", "LOAD"), (b"SELECT setseed(0.5)", "SESSION_FUNCTION"), (b"'", "UNREADABLE")],
)
def test_what_the_database_cannot_be_asked_for_pins_at_once(
    proxy: Proxy, text: bytes, reason: str
) -> None:
    client = proxy.client()
    proxy.texts.examine(client, text)
    assert (client.pinned, lasting(client)) == (True, {reason})


def test_each_statement_of_a_text_is_named_for_what_it_does(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    client = proxy.client()
    proxy.texts.examine(client, b"SELECT 1; LOAD 'x'; SELECT setseed(0.5)")
    said = [record.getMessage().partition("Digest: ")[2] for record in caplog.records]
    assert sorted(said) == ['"load $1".', '"select setseed($1)".']


def test_a_function_that_is_listed_does_what_is_said_of_it(proxy: Proxy) -> None:
    text = b"SELECT app.take()"
    assert proxy.texts.binds(proxy.client(), text, False) is False
    target = TargetSettings(hosts=["db"])
    proxy.texts.look_for(
        sought_by(ProxySettings(target=target, session_functions={"app.take": "ADVISORY_LOCK"}))
    )
    client = proxy.client()
    assert proxy.texts.binds(client, text, False)
    assert (client.suspect, doubts(client)) == (True, {"ADVISORY_LOCK"})


@pytest.mark.parametrize(
    ("held", "text", "suspect"),
    [
        (PinReason.CURSOR, b"CLOSE c", True),
        (PinReason.CURSOR, PLAIN, False),
        (PinReason.TEMPORARY_OBJECT, b"DROP TABLE t", True),
        (PinReason.CURSOR, b"SELECT closed FROM shop", True),
        (PinReason.TEMPORARY_OBJECT, b"SELECT closed FROM shop", False),
        (PinReason.SETTING, PLAIN, True),
    ],
)
def test_what_may_end_a_pin_is_asked_for(
    proxy: Proxy, held: PinReason, text: bytes, suspect: bool
) -> None:
    client = proxy.client()
    notes_of(client).held = frozenset({held})
    proxy.texts.examine(client, text)
    assert client.suspect is suspect


# ---- texts that are too long to be read ----


def test_a_long_text_that_is_not_certain_pins_and_little_of_it_is_kept(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    client = proxy.client()
    proxy.texts.examine(client, b"SET a.b = 1;" + LONG)
    assert (client.pinned, lasting(client)) == (True, {"STATEMENT_TOO_LONG"})
    assert len(notes_of(client).statement) == KEPT_BYTES
    assert f"exceeded the {EXAMINED_BYTES} byte limit" in caplog.text
    other = proxy.client()
    assert proxy.texts.binds(other, b"SET search_path = tenant;" + LONG, False) is False
    proxy.texts.executes(other, b"SET search_path = tenant;" + LONG)
    assert other.meanwhile is None


def test_one_byte_less_is_read(proxy: Proxy) -> None:
    client = proxy.client()
    proxy.texts.examine(client, b"SET a.b = 1;".ljust(EXAMINED_BYTES))
    assert not client.pinned
    assert notes_of(client).custom == {"a.b"}


@pytest.mark.parametrize(
    ("text", "reasons"), [(PLAIN, {"LISTEN"}), (b"SET a.b = 1", {"LISTEN", "STATEMENT_TOO_LONG"})]
)
def test_a_long_text_of_a_pinned_client_adds_a_reason_unless_it_is_certain(
    proxy: Proxy, text: bytes, reasons: set[str]
) -> None:
    client = proxy.client()
    proxy.pinner.pin(client, "LISTEN", b"LISTEN news")
    proxy.texts.examine(client, text + LONG)
    assert lasting(client) == reasons


def test_what_is_not_read_may_create_temporary_things_where_names_are_temporary(
    proxy: Proxy,
) -> None:
    client = proxy.client()
    proxy.texts.examine(client, b"SET search_path = pg_temp, public")
    assert client.under_pg_temp
    assert client.reads_all
    notes_of(client).may_create = client.suspect = False
    proxy.texts.is_not_read(client, b"CREATE TABLE t ()" + LONG)
    assert (client.suspect, notes_of(client).may_create) == (True, True)
    other = proxy.client()
    proxy.texts.is_not_read(other, b"CREATE TABLE t ()" + LONG)
    assert not other.suspect


@pytest.mark.parametrize("of_old", ["the login's", "the connection's", "nobody's"])
@pytest.mark.parametrize("text", [b"RESET search_path", b"DISCARD ALL"])
def test_names_are_temporary_again_when_a_path_is_taken_back(
    proxy: Proxy, text: bytes, of_old: str
) -> None:
    client = proxy.client(*[("search_path", "pg_temp")] * (of_old == "the login's"))
    client.server.begins_under_pg_temp = of_old == "the connection's"
    proxy.texts.examine(client, b"RESET work_mem")
    assert not client.under_pg_temp
    proxy.texts.examine(client, text)
    assert client.under_pg_temp is (of_old != "nobody's")


# ---- what follows when it runs ----


def test_what_changes_meanings_parts_what_is_prepared_behind_it(proxy: Proxy) -> None:
    client = proxy.client()
    before = proxy.texts.statement(client, PLAIN + b"\0\0\0")
    proxy.texts.executes(client, b"SET work_mem = '1MB'")
    assert proxy.texts.statement(client, PLAIN + b"\0\0\0") is before
    proxy.texts.executes(client, b"SET search_path = tenant")
    assert client.meanwhile is not None
    assert proxy.texts.statement(client, PLAIN + b"\0\0\0") is not before
    first = client.meanwhile
    proxy.texts.undone(client)
    assert client.meanwhile not in (None, first), "it is not known what holds"


def test_plans_are_parted_by_what_decides_them(proxy: Proxy) -> None:
    client = proxy.client()
    proxy.texts.executes(client, b"SET work_mem = '1MB'")
    assert not client.server.plans_stale
    proxy.texts.executes(client, b"SET app.tenant = 7")
    assert client.server.plans_mixed
    assert client.server.plans_stale


@pytest.mark.parametrize(
    ("text", "dropped"), [(b"DEALLOCATE ALL", 1), (b"DISCARD ALL", 1), (b"DEALLOCATE p", 0)]
)
def test_what_drops_all_statements_is_told_to_the_client(
    proxy: Proxy, text: bytes, dropped: int
) -> None:
    client = proxy.client()
    proxy.texts.executes(client, text)
    assert client.dropped == dropped


@pytest.mark.parametrize(
    ("text", "stale"), [(b"DEALLOCATE " + PREFIX + b"1", True), (b"DEALLOCATE p", False)]
)
def test_what_drops_a_statement_of_forebays_own_is_not_relied_on(
    proxy: Proxy, text: bytes, stale: bool
) -> None:
    client = proxy.client()
    proxy.texts.executes(client, text)
    assert client.server.stale is stale


def test_what_the_login_asked_for_is_put_back_when_it_is_taken_back(proxy: Proxy) -> None:
    client = proxy.client(("timezone", "Asia/Tokyo"))
    proxy.texts.executes(client, b"RESET work_mem")
    assert not client.follow_up
    proxy.texts.executes(client, b"RESET timezone")
    assert b"Asia/Tokyo" in client.follow_up.outside
    proxy.texts.executes(client, b"SET timezone = 'UTC'")
    assert client.follow_up is None, "it has another value now"


def test_deallocate_of_what_was_prepared_by_protocol_is_not_sent(proxy: Proxy) -> None:
    client = proxy.client()
    client.statements = {b"mine": object()}
    assert proxy.texts.examine(client, b"DEALLOCATE mine") == b"mine"
    assert not client.suspect
    assert proxy.texts.examine(client, b"DEALLOCATE others") is None
    assert client.suspect


# ---- sequences ----


def test_who_asks_what_it_has_drawn_keeps_its_connection_and_so_do_its_kind(proxy: Proxy) -> None:
    draws, asks = b"SELECT nextval('s')", b"SELECT currval('s')"
    assert proxy.texts.asks(proxy.client(), asks)
    assert not proxy.texts.asks(proxy.client(), draws)
    assert proxy.texts.asks(proxy.client(), asks + LONG), "it is looked for in long ones, too"
    first = proxy.client()
    proxy.texts.examine(first, draws)
    assert not first.pinned, "nobody of its kind has asked"
    proxy.texts.examine(first, PLAIN)
    assert first.prefers_last, "it may ask yet"
    proxy.texts.examine(first, asks)
    same = proxy.client()
    proxy.texts.examine(same, PLAIN)
    assert not same.pinned
    proxy.texts.examine(same, draws)
    assert lasting(same) == {"SEQUENCE"}
    other = proxy.client(user="other")
    proxy.texts.examine(other, draws)
    assert not other.pinned
    assert not proxy.client(user="other").prefers_last


# ---- as RDS Proxy ----


def test_as_rds_proxy_a_text_pins_at_once_and_for_good(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "forebay.session")
    proxy = Proxy(as_rds=True)
    client = proxy.client()
    proxy.texts.examine(client, PLAIN)
    assert not client.pinned
    proxy.texts.examine(client, b"SET work_mem = '1MB'")
    assert (client.pinned, lasting(client)) == (True, {"SETTING"})
    proxy.texts.examine(client, b"LISTEN news")
    assert lasting(client) == {"SETTING"}, "once"
    assert len(caplog.records) == 1


def test_as_rds_proxy_a_named_statement_is_announced_and_pins_when_it_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "forebay.session")
    proxy = Proxy(as_rds=True)
    client = proxy.client()
    proxy.texts.statement(client, PLAIN + b"\0\0\0")
    assert not client.pinned
    assert "If this prepared statement runs, the client session will be pinned" in caplog.text
    proxy.texts.binds(client, PLAIN, True)
    assert lasting(client) == {"PREPARED_STATEMENT"}
    assert "Running a prepared statement." in caplog.records[-1].getMessage()


@pytest.mark.parametrize(
    ("text", "said"), [(PLAIN, ""), (PLAIN + LONG, "exceeded the"), (b"SET x = 1", "settings")]
)
def test_as_rds_proxy_an_unnamed_one_is_announced_by_its_text(
    text: bytes, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "forebay.session")
    proxy = Proxy(as_rds=True)
    proxy.texts.announce_pin(proxy.client(), text)
    assert bool(caplog.records) is bool(said)
    assert said in caplog.text


# ---- prepared statements ----


def test_equal_statements_are_one_and_another_pools_are_not(proxy: Proxy) -> None:
    one, same, other = proxy.client(), proxy.client(), proxy.client(user="other")
    found = [proxy.texts.statement(each, PLAIN + b"\0\0\0") for each in (one, same, other)]
    assert found[0] is found[1]
    assert found[0] is not found[2]
    assert found[0] is not None
    typed = proxy.texts.with_types(found[0], b"\0\0\1\0\0\0\x17")
    assert typed.text == PLAIN
    assert typed is not found[0]
    same.settings = proxy.intern.settings((("search_path", "tenant"),))
    assert proxy.texts.again(same, found[0]) is proxy.texts.statement(same, PLAIN + b"\0\0\0")


def test_who_has_temporary_tables_means_its_own(proxy: Proxy) -> None:
    client, other = proxy.client(), proxy.client()
    shared = proxy.texts.statement(other, PLAIN + b"\0\0\0")
    notes_of(client).held = frozenset({PinReason.TEMPORARY_OBJECT})
    mine = proxy.texts.statement(client, PLAIN + b"\0\0\0")
    assert mine is not shared
    assert proxy.texts.statement(client, PLAIN + b"\0\0\0") is mine


def test_who_is_pinned_as_rds_proxy_pins_is_not_followed_and_means_its_own() -> None:
    proxy = Proxy(as_rds=True)
    client, other = proxy.client(), proxy.client()
    assert proxy.texts.statement(client, PLAIN + b"\0\0\0") is proxy.texts.statement(
        other, PLAIN + b"\0\0\0"
    )
    proxy.texts.examine(client, b"SET search_path = tenant")
    mine = proxy.texts.statement(client, PLAIN + b"\0\0\0")
    assert mine is not None
    assert mine is not proxy.texts.statement(other, PLAIN + b"\0\0\0")


def test_where_there_is_no_room_it_is_refused_and_told_once_in_a_while(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.texts._statements = StatementTable(Account(10))
    client = proxy.client()
    for _ in range(3):
        assert proxy.texts.statement(client, PLAIN + b"\0\0\0") is None
        error = PgError.parse(proxy.texts.no_room(client)[5:])
        assert (error.sqlstate, error.severity.value) == ("54000", "ERROR")
        assert "at most 10 bytes" in error.message
    proxy.clock.pass_time(TELL_AGAIN_S)
    proxy.texts.no_room(client)
    assert [vars(each)["fields"]["refused"] for each in caplog.records] == [1, 3]


def test_a_text_is_read_anew_in_another_encoding_if_it_can_be(proxy: Proxy) -> None:
    utf8, latin1 = (
        proxy.intern.parameters({"client_encoding": name}) for name in ("UTF8", "LATIN1")
    )
    given = "SELECT 'ä'".encode() + b"\0\0\0"
    expected = "SELECT 'ä'".encode("latin-1") + b"\0\0\0"
    assert proxy.texts.reread(given, utf8, latin1) == expected
    assert proxy.texts.reread("SELECT '€'".encode() + b"\0\0\0", utf8, latin1) is None
