"""The protocol's parsers: what was built reads back, and garbage raises only what is declared."""

import contextlib
import struct
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forebay.protocol import md5, messages, scram
from forebay.protocol.errors import PgError, Severity, parse_fields
from forebay.protocol.messages import MalformedMessageError
from forebay.protocol.saslprep import saslprep
from forebay.protocol.scram import ClientExchange, ScramError, ServerExchange
from forebay.protocol.startup import (
    CancelRequest,
    StartupLengthError,
    StartupMessage,
    is_reserved,
    parse_options,
    parse_startup,
    split_options,
)

characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
texts = st.text(characters)
names = texts.filter(
    lambda name: name.lower() not in ("", "options") and not is_reserved(name.lower())
)
VERIFIER = scram.Verifier(b"s" * 16, 4096, b"k" * 32, b"v" * 32)


@given(
    st.dictionaries(names, texts, max_size=20), texts.filter(bool), texts, st.integers(0, 0xFFFF)
)
def test_startup_messages_read_back(
    settings: dict[str, str], user: str, database: str, minor: int
) -> None:
    parameters = {"user": user, "database": database, **settings}
    packet = messages.startup_message(parameters, minor)
    message = parse_startup(packet[4:])
    assert isinstance(message, StartupMessage)
    assert (message.user, message.database, message.minor) == (user, database or user, minor)
    assert message.settings == {name.lower(): value for name, value in settings.items()}


@given(st.integers(-(2**31), 2**31 - 1), st.binary(min_size=4, max_size=256))
def test_cancel_requests_read_back(pid: int, key: bytes) -> None:
    assert parse_startup(messages.cancel_request(pid, key)[4:]) == CancelRequest(pid, key)


@given(st.binary() | st.binary().map(lambda tail: struct.pack("!I", 3 << 16) + tail))
@example(struct.pack("!I", 3 << 16) + b"user\0u\0options\0-c =x\0\0")
def test_garbage_instead_of_a_first_packet(packet: bytes) -> None:
    with contextlib.suppress(PgError, StartupLengthError):
        message = parse_startup(packet)
        if isinstance(message, StartupMessage):
            assert not any(is_reserved(name) for name in message.settings)
            # What was read can be asked of a database as it is.
            assert messages.startup_message(message.parameters)


@given(st.text())
def test_garbage_instead_of_options(options: str) -> None:
    with contextlib.suppress(PgError):
        settings = parse_options(options)
        assert all(name == name.lower() and "-" not in name for name, _ in settings)


@given(st.lists(st.text(min_size=1)))
def test_escaped_options_read_back(words: list[str]) -> None:
    escaped = ["".join("\\" + character for character in word) for word in words]
    assert split_options(" ".join(escaped)) == words


@given(st.binary())
def test_garbage_instead_of_an_error(body: bytes) -> None:
    error = PgError.parse(body)
    assert parse_fields(error.encode()[5:])["C"] == error.sqlstate


@given(st.sampled_from(list(Severity)), st.text(), st.none() | st.text(), st.none() | st.text())
def test_errors_read_back(
    severity: Severity, message: str, detail: str | None, hint: str | None
) -> None:
    encoded = PgError(severity, "XX001", message, detail, hint).encode()
    assert int.from_bytes(encoded[1:5]) == len(encoded) - 1
    error = PgError.parse(encoded[5:])
    assert (error.severity, error.sqlstate) == (severity, "XX001")
    assert error.encode() == encoded


@pytest.mark.parametrize(
    "parse",
    [
        messages.parse_authentication,
        messages.parse_sasl_mechanisms,
        messages.parse_sasl_initial_response,
        messages.parse_password,
        messages.parse_parameter_status,
        messages.parse_backend_key_data,
        messages.parse_ready_for_query,
        messages.parse_data_row,
    ],
)
@given(body=st.binary())
def test_garbage_instead_of_a_message(parse: Callable[[bytes], object], body: bytes) -> None:
    with contextlib.suppress(MalformedMessageError):
        parse(body)


@given(st.lists(st.none() | texts))
def test_data_rows_read_back(columns: list[str | None]) -> None:
    row = struct.pack("!H", len(columns))
    for column in columns:
        data = None if column is None else column.encode()
        row += struct.pack("!i", -1) if data is None else struct.pack("!i", len(data)) + data
    assert messages.parse_data_row(row) == columns


attributes = st.lists(
    st.sampled_from(
        [b"n", b"y", b"p=tls-server-end-point", b"", b"n=", b"r=abc", b"c=biws", b"p=AA"]
    )
    | st.binary(max_size=20)
).map(b",".join)


@given(attributes, attributes, st.booleans())
def test_garbage_instead_of_scram_from_a_client(first: bytes, final: bytes, bound: bool) -> None:
    mechanism = scram.MECHANISM_PLUS if bound else scram.MECHANISM
    exchange = ServerExchange(mechanism, (VERIFIER,), b"b" * 32 if bound else None)
    with pytest.raises(ScramError):
        exchange.final(final if exchange.first(first) else b"")


@given(attributes | st.binary().map(lambda tail: b"r=nonce" + tail), attributes)
def test_garbage_instead_of_scram_from_a_server(first: bytes, final: bytes) -> None:
    exchange = ClientExchange(nonce=b"nonce")
    with contextlib.suppress(ScramError):
        _, iterations = exchange.challenge(first)
        assert 1 <= iterations <= scram.MAX_ITERATIONS
        exchange.final(scram.ClientKeys(b"c" * 32, b"s" * 32, b"k" * 32, b"salt", 4096))
    with pytest.raises(ScramError):
        exchange.verify(final)


# HMAC fills its key with zero bytes, so they would make no difference at the end of a password. No
# secret holds one.
@given(st.text(characters, min_size=1), texts, st.none() | st.binary(min_size=32, max_size=32))
def test_scram_lets_in_who_knows_the_password(
    password: str, other: str, binding: bytes | None
) -> None:
    verifier = scram.make_verifier(password, b"0123456789abcdef", iterations=1)
    for attempt in (password, other):
        client = ClientExchange(binding)
        server = ServerExchange(client.mechanism, (verifier,), binding)
        salt, iterations = client.challenge(server.first(client.first()))
        final = client.final(scram.ClientKeys.derive(attempt, salt, iterations))
        if saslprep(attempt) == saslprep(password):
            client.verify(server.final(final))
        else:
            with pytest.raises(scram.ProofError):
                server.final(final)


@given(texts, texts, st.binary(min_size=4, max_size=4), st.binary())
def test_md5(user: str, password: str, salt: bytes, garbage: bytes) -> None:
    stored = md5.stored_hash(user, password)
    assert md5.verify(stored, salt, md5.response(stored, salt).encode())
    assert not md5.verify(stored, salt, garbage)
