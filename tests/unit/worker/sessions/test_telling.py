"""What the log says of sessions, word by word: alarms and filters read it."""

import logging
import os
import socket
from typing import Any

import pytest

from forebay.session.causes import PinReason
from forebay.worker.sessions import telling
from tests.unit.worker.sessions.people import Proxy

WHO = {
    "clientConnection": 1,
    "user": "app",
    "database": "shop",
    "application_name": "web",
}


@pytest.fixture
def client() -> Any:
    return Proxy().client(("application_name", "web"))


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "forebay.session")
    return caplog


def line(said: pytest.LogCaptureFixture) -> tuple[str, str, dict[str, object]]:
    """The one line: its level, its words, its fields."""
    (record,) = said.records
    return record.levelname, record.getMessage(), vars(record)["fields"]


def test_a_pin_is_a_warning_with_its_reason_its_end_and_its_statement(
    client: Any, said: pytest.LogCaptureFixture
) -> None:
    telling.pinned(client, PinReason.LISTEN, "It listens.", "LISTEN news", "UNLISTEN")
    assert line(said) == (
        "WARNING",
        (
            "The client session was pinned to the database connection [dbConnection=4711] until"
            " UNLISTEN. The proxy can't reuse this connection until then. Reason: It listens."
            ' Digest: "LISTEN news".'
        ),
        {"reason": "LISTEN", "client": "", **WHO},
    )


def test_without_an_end_it_is_rds_proxys_sentence(
    client: Any, said: pytest.LogCaptureFixture
) -> None:
    telling.pinned(client, PinReason.LISTEN, "It listens.", "")
    assert line(said)[1] == (
        "The client session was pinned to the database connection [dbConnection=4711] for the"
        " remainder of the session. The proxy can't reuse this connection until the session ends."
        " Reason: It listens."
    )


def test_a_pin_to_come_is_no_warning(client: Any, said: pytest.LogCaptureFixture) -> None:
    client.server = None
    telling.will_pin(client, PinReason.SETTING, "It sets.", "SET x")
    assert line(said) == (
        "INFO",
        (
            "If this prepared statement runs, the client session will be pinned to the database"
            ' connection [dbConnection=0]. Reason: It sets. Digest: "SET x".'
        ),
        {"reason": "SETTING", **WHO},
    )


@pytest.mark.parametrize("has_left", [False, True])
def test_the_end_of_a_pin_says_how_long_it_was(
    has_left: bool, client: Any, said: pytest.LogCaptureFixture
) -> None:
    telling.no_longer_pinned(client, PinReason.LISTEN, 1.23456, has_left=has_left)
    why = " (the client has left)" if has_left else ""
    assert line(said) == (
        "INFO",
        f"The client session is no longer pinned: LISTEN{why}",
        {"reason": "LISTEN", "duration_s": 1.235, **WHO},
    )


def test_too_many_statements_are_told_with_how_many(
    client: Any, said: pytest.LogCaptureFixture
) -> None:
    telling.no_room_for_statements(client, 1000, 7)
    level, words, fields = line(said)
    assert level == "WARNING"
    assert "of 1000 bytes together" in words
    assert words.endswith("7 refused")
    assert fields == {"refused": 7, "client": "", **WHO}


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_who_goes_is_told_where_all_is_told(
    level: int, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(level, "forebay.session")
    telling.closed(client, "it left")
    told = [each.getMessage() for each in caplog.records]
    expected = ["The client connection closed. Reason: it left"]
    assert told == (expected if level == logging.DEBUG else [])


def test_the_address_is_that_of_the_socket_which_stays_open(client: Any) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as theirs,
        listener.accept()[0] as ours,
    ):
        client.fd, client.is_closed = ours.fileno(), False
        host, port = theirs.getsockname()
        assert telling.address_of(client) == f"{host}:{port}"
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"
        client.is_closed = True
        assert telling.address_of(client) == ""


def test_where_there_is_no_address_there_is_none(client: Any) -> None:
    ours, theirs = socket.socketpair()
    client.fd, client.is_closed = ours.fileno(), False
    with ours, theirs:
        assert telling.address_of(client) == ""
    reader, writer = os.pipe()
    client.fd = reader
    assert telling.address_of(client) == ""
    os.close(reader)
    os.close(writer)
    client.fd = -1
    assert telling.address_of(client) == ""
