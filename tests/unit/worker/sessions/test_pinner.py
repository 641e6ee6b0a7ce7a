"""Pins begin and end, are told of, and are counted."""

import logging
from typing import Any

import pytest

from forebay.session.causes import PinReason
from forebay.session.rds import rds_explanation
from forebay.worker.kept import notes_of
from tests.unit.worker.sessions.people import Proxy

LISTEN, LOAD, SETTING = PinReason.LISTEN, PinReason.LOAD, PinReason.SETTING


@pytest.fixture
def proxy(caplog: pytest.LogCaptureFixture) -> Proxy:
    caplog.set_level(logging.INFO, "forebay.session")
    return Proxy()


def held(proxy: Proxy, client: Any, *reasons: PinReason) -> None:
    """The database has told that these hold."""
    notes = notes_of(client)
    notes.held = frozenset(reasons)
    proxy.pinner.update(client, notes)


def figures(proxy: Proxy, reason: str) -> tuple[float, ...]:
    found = proxy.pinner.counts.figures()
    return tuple(found[name][reason.upper()] for name in ("pins", "pin_s", "clients_pinned"))


def test_a_pin_begins_and_ends_and_the_log_says_why_until_when_and_how_long(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    client = proxy.client()
    notes_of(client).statement = b"LISTEN news"
    notes_of(client).doubt(LISTEN)
    held(proxy, client, LISTEN)
    assert client.pinned
    assert figures(proxy, "listen") == (1, 0, 1)
    said = caplog.records[0].getMessage()
    assert LISTEN.cause.sentence in said
    assert f"until {LISTEN.cause.ends}." in said
    assert 'Digest: "listen news".' in said
    proxy.clock.pass_time(2.5)
    held(proxy, client)
    assert not client.pinned
    assert figures(proxy, "listen") == (1, 2.5, 0)
    assert vars(caplog.records[1])["fields"]["duration_s"] == 2.5


def test_a_pin_that_goes_on_is_told_once(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    client = proxy.client()
    for _ in range(3):
        held(proxy, client, LISTEN)
    assert len(caplog.records) == 1
    held(proxy, client, LISTEN, PinReason.CURSOR)
    assert [vars(each)["fields"]["reason"] for each in caplog.records] == ["LISTEN", "CURSOR"]
    held(proxy, client, PinReason.CURSOR)
    assert client.pinned, "there is another reason"


@pytest.mark.parametrize(
    ("conforming", "text"),
    [("on", b"SELECT f('hush', 4242)"), ("off", rb"SELECT f('\', hush', 4242)")],
)
def test_no_value_of_a_statement_is_told(
    conforming: str, text: bytes, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    client = proxy.client()
    reported = {"client_encoding": "UTF8", "standard_conforming_strings": conforming}
    client.parameters = proxy.intern.parameters(reported)
    proxy.pinner.pin(client, "SESSION_FUNCTION", text)
    assert 'Digest: "select f($1, $2)".' in caplog.text
    assert "hush" not in caplog.text


def test_one_for_a_reason_that_is_no_statements_lasts_until_the_client_leaves(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    client = proxy.client()
    proxy.pinner.pin(client, "FUNCTION_CALL", None)
    assert client.pinned
    assert client.suspect
    assert "until the client disconnects." in caplog.text
    assert "Digest" not in caplog.text
    held(proxy, client)
    assert client.pinned, "the database cannot be asked for it"


def test_a_reason_that_there_is_not_pins_nobody(proxy: Proxy) -> None:
    client = proxy.client()
    with pytest.raises(ValueError, match="no reason for a pin"):
        proxy.pinner.pin(client, "WHIM", None)
    assert not client.pinned


@pytest.mark.parametrize(("reason", "retired"), [(LOAD, True), (SETTING, False)])
def test_what_outlasts_discard_all_ends_with_its_connection(
    proxy: Proxy, reason: PinReason, retired: bool
) -> None:
    client = proxy.client()
    proxy.pinner.pin(client, reason.value, b"LOAD 'x'")
    assert client.server.retired is retired


def test_as_rds_proxy_it_pins_once_and_in_its_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "forebay.session")
    proxy = Proxy(as_rds=True)
    client = proxy.client()
    proxy.pinner.pin(client, "LISTEN", b"LISTEN news")
    proxy.pinner.pin(client, "LOAD", b"LOAD 'x'")
    assert notes_of(client).reasons == {LISTEN}
    (record,) = caplog.records
    assert rds_explanation(LISTEN) in record.getMessage()
    assert "for the remainder of the session" in record.getMessage()
    proxy.pinner.closed(client)
    assert len(caplog.records) == 1, "RDS Proxy does not tell of the end"
    assert figures(proxy, "listen") == (1, 0, 0)


def test_where_nothing_ran_nothing_pins(proxy: Proxy) -> None:
    client = proxy.client()
    proxy.pinner.pin(client, "LISTEN", b"LISTEN news")
    client.server = None
    proxy.pinner.nothing_ran(client)
    assert not client.pinned
    assert figures(proxy, "listen") == (1, 0, 0)


def test_the_pins_of_who_leaves_end(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    client, other = proxy.client(), proxy.client()
    held(proxy, client, LISTEN)
    held(proxy, other, LISTEN)
    proxy.clock.pass_time(3)
    proxy.pinner.closed(client)
    assert figures(proxy, "listen") == (2, 3, 1)
    assert caplog.records[-1].getMessage().endswith("LISTEN (the client has left)")
    proxy.pinner.closed(proxy.client())
    assert figures(proxy, "listen") == (2, 3, 1)


def test_who_may_have_temporary_tables(proxy: Proxy) -> None:
    client = proxy.client()
    assert not proxy.pinner.has_temporary(client)
    held(proxy, client, LISTEN)
    assert not proxy.pinner.has_temporary(client)
    held(proxy, client, PinReason.TEMPORARY_OBJECT)
    assert proxy.pinner.has_temporary(client)
    held(proxy, client)
    assert not proxy.pinner.has_temporary(client)
    notes_of(client).doubt(PinReason.TEMPORARY_OBJECT)
    assert proxy.pinner.has_temporary(client), "it may by now"
