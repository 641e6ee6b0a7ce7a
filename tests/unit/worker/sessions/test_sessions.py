"""Clients come, are found by cancel keys, get into trouble, and go. They are real, and so is the
relay; nobody else is.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from forebay.config.settings import ProxySettings, TargetSettings
from forebay.protocol.errors import PgError
from forebay.protocol.messages import parse_backend_key_data
from forebay.relay import Client, Loss
from forebay.relay.loss import ENDS, WAITS
from forebay.session.causes import PinReason
from forebay.session.settings import Settings
from forebay.worker.sessions.cancel_keys import LONG_KEY_BYTES, SHORT_KEY_BYTES
from forebay.worker.sessions.functions import sought_by
from forebay.worker.sessions.sessions import LAST_WORD_S
from tests.harness.credentials import cancel_keys
from tests.playbooks import wording
from tests.playbooks.rig import Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(limit=3) as made:
        yield made
        for actor in made.actors.values():
            actor.receive()


# ---- coming ----


def test_who_is_known_is_greeted_from_memory(rig: Rig) -> None:
    client = rig.client("a")
    assert client.greeted
    assert rig.manager.record.opened == 0, "it costs no connection"
    assert (rig.sessions.counts.succeeded, client.pool.clients) == (1, 1)


def test_who_is_not_waits_for_a_connection_and_the_next_does_not(rig: Rig) -> None:
    settings = (("application_name", "web"),)
    for name in ("a", "b"):
        client = rig.client(name, settings, known=False, user="new")
        if name == "a":
            assert not client.greeted
            rig.send("db1", wording.encode("ParameterStatus application_name web, Result, Ready I"))
            rig.manager.retire_all()
        greeting, _ = wording.frames(rig.received(name))
        assert [frame[:1] for frame in greeting] == [b"S", b"S", b"S", b"K", b"Z"]
        rig.actors[name].inbox = b""
    assert (rig.manager.record.opened, len(rig.manager.servers)) == (1, 0)
    rig.received("db1")


def test_the_greeting_tells_the_cancel_key(rig: Rig) -> None:
    rig.client("known")
    rig.client("a", known=False)
    client = rig.clients["a"]
    keys = [f for f in wording.frames(rig.received("a"))[0] if f[:1] == b"K"]
    assert parse_backend_key_data(keys[0][5:]) == (
        client.process_id,
        rig.sessions.cancel_key(client),
    )


# ---- cancelling ----


def test_a_cancel_key_finds_its_client_alone(rig: Rig) -> None:
    clients = [rig.client(name) for name in "abc"]
    keys = [rig.sessions.cancel_key(client) for client in clients]
    for client, key in zip(clients, keys, strict=True):
        assert rig.sessions.find(client.process_id, key) is client


@pytest.mark.parametrize(
    "forge",
    [
        lambda key: b"",
        lambda key: key[:-1],
        lambda key: key + b"\0",
        lambda key: bytes(len(key)),
        lambda key: key[:-1] + bytes([key[-1] ^ 1]),
    ],
    ids=["none", "short", "long", "zeros", "one bit"],
)
def test_a_wrong_key_finds_nobody(rig: Rig, forge: Callable[[bytes], bytes]) -> None:
    client = rig.client("a")
    assert rig.sessions.find(client.process_id, forge(rig.sessions.cancel_key(client))) is None


def test_a_key_is_no_other_clients_and_nobodys_when_it_has_left(rig: Rig) -> None:
    one, other = rig.client("a"), rig.client("b")
    key = rig.sessions.cancel_key(one)
    assert rig.sessions.find(other.process_id, key) is None
    assert rig.sessions.find(10**9 * 4, key) is None
    rig.leave("a")
    assert rig.sessions.find(one.process_id, key) is None


def test_keys_are_as_long_as_the_protocol_has_them(rig: Rig) -> None:
    client = rig.client("a")
    assert len(rig.sessions.cancel_key(client)) == SHORT_KEY_BYTES == 4
    client.protocol_minor = 2
    assert len(rig.sessions.cancel_key(client)) == LONG_KEY_BYTES
    assert rig.sessions.find(client.process_id, rig.sessions.cancel_key(client)[:4]) is None


def test_keys_of_one_worker_do_not_open_anothers() -> None:
    told = []
    for number in (1, 2):
        with Rig() as rig:
            rig.sessions._keys = cancel_keys(number)
            client = rig.client("a")
            told.append((client.process_id, rig.sessions.cancel_key(client)))
            assert rig.sessions.find(*told[0]) is (client if number == 1 else None)
    assert told[0] != told[1]


def test_numbers_of_living_clients_are_not_given_again(rig: Rig) -> None:
    numbers = [rig.client(name).process_id for name in "abc"]
    for name in "bc":
        rig.leave(name)
    rig.sessions._keys._next = numbers[0] % 2**21
    assert rig.client("d").process_id == numbers[1]


# ---- trouble ----


def refused(rig: Rig, name: bytes, *settings: str, login: str = "", greeted: bool = True) -> Any:
    """A client that asks for these settings, of which the database refuses one. ``tried``: whether
    others are to be tried; ``told``: the error that it was told, ``ended`` that it was its end."""

    def values(names: Iterable[str]) -> Settings:
        return rig.intern.settings(tuple((name, "1") for name in names))

    client = SimpleNamespace(greeted=greeted, told=None, ended=False)
    client.startup, client.settings = values(login.split()), values(settings)

    def tell(message: bytes) -> None:
        client.told = PgError.parse(message[5:])

    def fail(message: bytes, reason: str) -> None:
        tell(message)
        client.ended = True

    client.answer, client.fail = tell, fail
    body = b"SERROR\0C42704\0Munrecognized configuration parameter %b\0\0" % name
    client.tried = rig.sessions.settings_refused(cast(Any, client), body)
    return client


@pytest.mark.parametrize("greeted", [True, False])
def test_settings_that_the_database_refuses_end_a_login_and_no_session(
    rig: Rig, greeted: bool
) -> None:
    client = refused(rig, b'"work_mem"', "work_mem", greeted=greeted)
    assert not client.tried
    assert client.told.sqlstate == "42704"
    assert client.told.severity.value == ("ERROR" if greeted else "FATAL")
    assert client.ended is not greeted


def test_a_setting_of_a_module_that_is_gone_is_taken_off(rig: Rig) -> None:
    client = refused(rig, b'"x.y"', "work_mem", "x.y")
    assert client.tried
    assert client.told is None
    assert client.settings is rig.intern.settings((("work_mem", "1"),))


def test_one_that_the_login_asked_for_is_not_taken_off(rig: Rig) -> None:
    client = refused(rig, b'"x.y"', "x.y", login="x.y")
    assert not client.tried
    assert client.told.sqlstate == "42704"
    assert client.settings.values == (("x.y", "1"),)


def test_errors_of_forebays_own_have_postgresqls_codes(rig: Rig) -> None:
    client = rig.client("a")
    violated = PgError.parse(rig.sessions.violated(client, 33)[5:])
    assert (violated.severity.value, violated.sqlstate) == ("FATAL", "08P01")
    assert "type 33" in violated.message
    loss = Loss()
    loss.status = ord("T")
    outcome, told = rig.sessions.server_lost(client, "the database says: goodbye", loss)
    lost = PgError.parse(told[5:])
    assert (outcome, lost.severity.value, lost.sqlstate) == (ENDS, "FATAL", "08006")
    assert lost.detail == "the database says: goodbye"
    assert rig.sessions.server_lost(client, "it is gone", Loss()) == (WAITS, b"")


@pytest.mark.parametrize(
    ("sqlstate", "interrupted"), [(b"57014", True), (b"57P01", True), (b"42704", False)]
)
def test_what_was_cut_short_may_succeed_another_time(
    rig: Rig, sqlstate: bytes, interrupted: bool
) -> None:
    assert rig.sessions.is_interrupted(b"SERROR\0C%b\0Mx\0\0" % sqlstate) is interrupted


# ---- going ----


def test_who_leaves_is_counted_and_leaves_nothing(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "forebay.session")
    one, other = rig.client("a"), rig.client("b")
    rig.sessions.pinner.pin(one, "FUNCTION_CALL", None)
    rig.leave("a")
    assert rig.sessions.clients == {other.process_id: other}
    assert (rig.sessions.counts.closed, other.pool.clients) == (1, 1)
    counts = rig.sessions.pinner.counts
    assert counts.ended[PinReason.FUNCTION_CALL] == 1
    closed = [r for r in caplog.records if "client connection closed" in r.getMessage()]
    assert [vars(r)["fields"]["clientConnection"] for r in closed] == [one.process_id]


def test_who_does_not_read_its_last_word_is_dropped_after_a_while() -> None:
    with Rig(buffer_bytes=4096) as rig:
        client = rig.client("a")
        client.fail(b"E" + b"." * 1_000_000, "it is told why")
        rig.settle()
        assert not rig.sessions.clients, "it is gone for everybody else"
        assert not client.is_closed
        rig.pass_time(LAST_WORD_S - 1)
        assert not client.is_closed
        rig.pass_time(2)
        assert client.is_closed
        rig.received("a")


@pytest.mark.parametrize("evacuates", [False, True])
def test_the_databases_that_it_needed_alone_are_not_held_back_any_more(
    rig: Rig, evacuates: bool
) -> None:
    over: list[Client] = []

    def end(client: Client) -> None:
        over.append(client)
        client.evacuation = None

    rig.sessions.evacuations = cast(Any, SimpleNamespace(over=end))
    client = rig.client("a")
    client.evacuation = object() if evacuates else None
    rig.leave("a")
    assert over == ([client] if evacuates else [])


# ---- how they are pinned ----


def test_a_list_of_functions_holds_for_who_is_there_and_who_comes(rig: Rig) -> None:
    target = TargetSettings(hosts=["db"])
    settings = ProxySettings(target=target, session_functions={"app.take": "LISTEN"})
    there, before = rig.client("a"), rig.client("b")
    rig.send("b", wording.encode("Query 'SELECT app.take()'"))
    assert not before.suspect
    rig.sessions.apply("minimal", sought_by(settings))
    comes = rig.client("c")
    for name in "ac":
        rig.send(name, wording.encode("Query 'SELECT app.take()'"))
    assert (there.suspect, comes.suspect) == (True, True)


def test_another_pinning_holds_for_who_is_there_and_who_comes(rig: Rig) -> None:
    there = rig.client("a")
    rig.sessions.apply("rds")
    assert (there.strict, rig.client("b").strict) == (True, True)
    rig.sessions.apply("minimal")
    assert (there.strict, rig.client("c").strict) == (False, False)
