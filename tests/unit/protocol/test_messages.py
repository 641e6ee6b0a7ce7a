"""Builders and parsers of messages."""

import struct
from collections.abc import Callable

import pytest

from forebay.protocol import messages
from forebay.protocol.messages import MalformedMessageError
from forebay.protocol.startup import CancelRequest, SSLRequest, StartupMessage, parse_startup


def body(message: bytes) -> bytes:
    assert int.from_bytes(message[1:5]) == len(message) - 1
    return message[5:]


def test_fixed_messages() -> None:
    assert messages.authentication_ok() == b"R\0\0\0\x08\0\0\0\0"
    assert messages.authentication_cleartext_password() == b"R\0\0\0\x08\0\0\0\x03"
    assert messages.authentication_md5_password(b"salt") == b"R\0\0\0\x0c\0\0\0\x05salt"
    assert messages.ready_for_query(b"I") == b"Z\0\0\0\x05I"
    assert messages.sync() == b"S\0\0\0\x04"
    assert messages.terminate() == b"X\0\0\0\x04"
    assert messages.query("select 1") == b"Q\0\0\0\x0dselect 1\0"
    assert messages.copy_fail("no") == b"f\0\0\0\x07no\0"
    assert messages.password_message("x") == b"p\0\0\0\x06x\0"


def test_round_trips() -> None:
    status = messages.parameter_status("TimeZone", "UTC")
    assert messages.parse_parameter_status(body(status)) == ("TimeZone", "UTC")
    key = messages.backend_key_data(-7, b"secretkey")
    assert messages.parse_backend_key_data(body(key)) == (-7, b"secretkey")
    offer = messages.authentication_sasl(["A", "B"])
    kind, data = messages.parse_authentication(body(offer))
    assert kind == messages.AUTHENTICATION_SASL
    assert messages.parse_sasl_mechanisms(data) == ["A", "B"]
    first = messages.sasl_initial_response("A", b"data")
    assert messages.parse_sasl_initial_response(body(first)) == ("A", b"data")
    assert messages.parse_sasl_initial_response(b"A\0\xff\xff\xff\xff") == ("A", b"")
    assert messages.parse_password(body(messages.password_message("pw"))) == b"pw"
    assert messages.parse_ready_for_query(b"T") == b"T"


def test_first_packets() -> None:
    assert parse_startup(messages.ssl_request()[4:]) == SSLRequest()
    assert parse_startup(messages.cancel_request(3, b"12345")[4:]) == CancelRequest(3, b"12345")
    startup = parse_startup(messages.startup_message({"user": "u", "a": "b"}, minor=2)[4:])
    assert isinstance(startup, StartupMessage)
    assert (startup.user, startup.settings, startup.minor) == ("u", {"a": "b"}, 2)


@pytest.mark.parametrize("parameters", [{"": "x"}, {"a\0": "x"}, {"a": "\0"}])
def test_startup_parameters_that_would_break_the_packet(parameters: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        messages.startup_message(parameters)


@pytest.mark.parametrize("key", [b"", b"abc", b"x" * 257])
def test_cancel_keys_have_bounds(key: bytes) -> None:
    with pytest.raises(ValueError):
        messages.backend_key_data(1, key)


def test_data_row() -> None:
    row = struct.pack("!Hi", 3, 1) + b"a" + struct.pack("!ii", -1, 0)
    assert messages.parse_data_row(row) == ["a", None, ""]
    assert messages.parse_data_row(b"\0\0") == []


@pytest.mark.parametrize(
    ("parse", "data"),
    [
        (messages.parse_authentication, b"\0\0\0"),
        (messages.parse_sasl_mechanisms, b"A"),
        (messages.parse_sasl_initial_response, b"A"),
        (messages.parse_sasl_initial_response, b"A\0\0\0\0"),
        (messages.parse_sasl_initial_response, b"A\0\0\0\0\x02x"),
        (messages.parse_sasl_initial_response, b"A\0\xff\xff\xff\xffx"),
        (messages.parse_password, b""),
        (messages.parse_password, b"x"),
        (messages.parse_password, b"x\0y\0"),
        (messages.parse_parameter_status, b"a\0"),
        (messages.parse_parameter_status, b"a\0b"),
        (messages.parse_parameter_status, b"a\0b\0c\0"),
        (messages.parse_backend_key_data, b"\0\0\0\0abc"),
        (messages.parse_backend_key_data, b"\0\0\0\0" + b"x" * 257),
        (messages.parse_ready_for_query, b""),
        (messages.parse_ready_for_query, b"X"),
        (messages.parse_data_row, b""),
        (messages.parse_data_row, b"\0\1"),
        (messages.parse_data_row, b"\0\1\0\0\0\2x"),
        (messages.parse_data_row, b"\0\1\xff\xff\xff\xfe"),
        (messages.parse_data_row, b"\0\0x"),
    ],
)
def test_malformed(parse: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        parse(data)


def test_unnamed_statements() -> None:
    assert messages.parse_unnamed("a") == b"P\0\0\0\x09\0a\0\0\0"
    assert messages.execute_unnamed() == b"E\0\0\0\x09\0\0\0\0\0"
    assert messages.bind_unnamed([]) == b"B\0\0\0\x0c\0\0\0\0\0\0\0\0"
    assert messages.bind_unnamed(["ä", None, ""])[9:] == (
        b"\0\3\0\0\0\2\xc3\xa4\xff\xff\xff\xff\0\0\0\0\0\0"
    )
    for values in (["a\0"], [""] * (messages.MAX_PARAMETERS + 1)):
        with pytest.raises(ValueError):
            messages.bind_unnamed(values)
