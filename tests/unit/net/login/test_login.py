"""Logging in, message by message, over socket pairs. With real clients: tests/integration."""

import asyncio
import contextlib
import errno
import os
import ssl
import struct
import time

import pytest

from forebay.identity.tokens import generate_db_auth_token
from forebay.net.login import (
    Credentials,
    LoginFailed,
    Throttle,
    UserEntry,
)
from forebay.net.login.authentication import MAX_AUTH_MESSAGE_BYTES, MAX_PASSWORD_MESSAGE_BYTES
from forebay.net.stream import PeerGoneError
from forebay.net.tls import (
    client_context,
)
from forebay.protocol import md5, messages
from forebay.protocol.startup import CancelRequest
from tests.unit.net.login.doors import (
    KEY,
    SERVER,
    Client,
    Door,
    startup,
)


async def test_plain_scram(door: Door) -> None:
    client = door.open()
    client.send(startup(database="shop", Application_Name="x", options="-c a=b", z="1"))
    assert await client.scram("secret") == ["SCRAM-SHA-256"]
    result = await client.logged_in()
    assert (result.user, result.database, result.application_name) == ("app", "shop", "x")
    assert result.settings == (("a", "b"), ("application_name", "x"), ("z", "1"))
    assert result.protocol_minor == 0
    # AuthenticationOk waits for the greeting, so that both leave in one send.
    assert client.stream.buffered == 0
    result.stream.write(messages.ready_for_query(b"I"))
    await result.stream.drain()
    kind, _ = await client.request()
    assert kind == messages.AUTHENTICATION_SASL_FINAL
    assert await client.request() == (messages.AUTHENTICATION_OK, b"")
    assert await client.stream.read_message(10) == (ord("Z"), b"I")


@pytest.mark.parametrize("first", ["ssl", "gss"])
async def test_encryption_may_be_asked_for_in_any_order(door: Door, first: str) -> None:
    client = door.open(require_tls=True)
    gss = struct.pack("!II", 8, 80877104)
    if first == "gss":
        client.send(gss)
        assert await client.stream.read_exactly(1) == b"N"
    await client.encrypt()
    client.send(startup())
    offered = await client.scram("secret", SERVER.end_point)
    assert offered == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
    assert (await client.logged_in()).stream.tls is not None


async def test_no_tls_configured(door: Door) -> None:
    client = door.open(tls_context=None)
    client.send(messages.ssl_request())
    assert await client.stream.read_exactly(1) == b"N"
    client.send(struct.pack("!II", 8, 80877104))
    assert await client.stream.read_exactly(1) == b"N"
    client.send(startup())
    await client.scram("secret")
    await client.logged_in()


@pytest.mark.parametrize("code", [80877103, 80877104])
async def test_encryption_is_asked_for_once(door: Door, code: int) -> None:
    client = door.open(tls_context=None)
    client.send(struct.pack("!II", 8, code))
    assert await client.stream.read_exactly(1) == b"N"
    client.send(struct.pack("!II", 8, code))
    assert (await client.refused())[0] == "08P01"


async def test_no_tls_inside_tls(door: Door) -> None:
    client = door.open()
    await client.encrypt()
    client.send(messages.ssl_request())
    assert (await client.refused())[0] == "08P01"


@pytest.mark.parametrize("code", [80877103, 80877104])
async def test_bytes_that_come_along_with_the_request_end_the_connection(
    door: Door, code: int
) -> None:
    client = door.open()
    client.send(struct.pack("!II", 8, code) + startup())
    assert await client.refused() == ("08P01", "received unencrypted data after SSL request")


async def test_direct_tls(door: Door) -> None:
    client = door.open(require_tls=True)
    context = client_context("require")
    assert context is not None
    await client.stream.start_tls(context, server_side=False)
    client.send(startup())
    await client.scram("secret", SERVER.end_point)
    await client.logged_in()


async def test_direct_tls_without_its_alpn_protocol(door: Door) -> None:
    client = door.open()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    await client.stream.start_tls(context, server_side=False)
    with pytest.raises(LoginFailed, match="ALPN"):
        await client.login


async def test_direct_tls_where_there_is_none(door: Door) -> None:
    client = door.open(tls_context=None)
    client.send(b"\x16\x03\x01\x00\x05hello")
    assert "without TLS" in await client.closed_without_a_word()


async def test_a_broken_handshake(door: Door) -> None:
    client = door.open()
    client.send(messages.ssl_request())
    assert await client.stream.read_exactly(1) == b"S"
    client.send(b"nonsense!")
    with pytest.raises(LoginFailed, match="TLS handshake failed"):
        await client.login
    assert client.stream.buffered == 0


async def test_tls_required(door: Door) -> None:
    client = door.open(require_tls=True)
    client.send(startup())
    assert await client.refused() == ("28000", "This RDS Proxy requires TLS connections.")


@pytest.mark.parametrize("require_tls", [False, True])
async def test_cancel_requests_need_no_tls(door: Door, require_tls: bool) -> None:
    client = door.open(require_tls=require_tls)
    client.send(messages.cancel_request(7, b"12345678"))
    assert await client.login == CancelRequest(7, b"12345678")


async def test_cancel_request_with_tls(door: Door) -> None:
    client = door.open()
    await client.encrypt()
    client.send(messages.cancel_request(7, b"1234"))
    assert await client.login == CancelRequest(7, b"1234")


@pytest.mark.parametrize(
    ("parameters", "sqlstate", "text"),
    [
        ({"user": ""}, "28000", "A user name is missing"),
        ({"replication": "database"}, "0A000", "streaming replication mode"),
        ({"options": "-e"}, "0A000", "the option -e"),
        ({"options": "-c x"}, "42601", "-c x requires a value"),
    ],
)
async def test_what_is_refused_before_a_password_is_asked_for(
    door: Door, parameters: dict[str, str], sqlstate: str, text: str
) -> None:
    client = door.open()
    client.send(startup(**parameters))
    state, message = await client.refused()
    assert state == sqlstate
    assert text in message


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x00\x00\x00\x08\x00\x03\x00\x00",
        b"\x00\x00\x00\x09\x00\x03\x00\x00x",
    ],
)
async def test_nonsense(door: Door, nonsense: bytes) -> None:
    client = door.open()
    client.send(nonsense)
    assert (await client.refused())[0] == "08P01"


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\x00\x00\x04",
        b"\x00\x01\x00\x00",
        b"\xff" * 100,
        struct.pack("!III", 12, 80877102, 1),  # a cancel request without a key
    ],
)
async def test_a_packet_of_a_bad_length_gets_no_answer(
    door: Door, first: bytes, encrypted: bool
) -> None:
    client = door.open()
    if encrypted:
        await client.encrypt()
    client.send(first)
    assert "invalid length of " in await client.closed_without_a_word()


@pytest.mark.parametrize("encrypted", [False, True])
async def test_who_says_goodbye_first_gets_no_answer(door: Door, encrypted: bool) -> None:
    client = door.open()
    if encrypted:
        await client.encrypt()
    client.send(messages.message(b"X", b""))
    with pytest.raises(PeerGoneError):
        await client.stream.read_exactly(1)
    assert await client.login is None  # nothing to warn of


async def test_http_is_named(door: Door) -> None:
    client = door.open()
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(LoginFailed, match="HTTP request"):
        await client.login


async def test_other_versions(door: Door) -> None:
    client = door.open()
    client.send(struct.pack("!II", 8, 2 << 16))
    assert (await client.refused())[0] == "0A000"
    newer = door.open()
    newer.send(startup(minor=9999, **{"_pq_.x": "1"}))
    assert await newer.stream.read_message(100) == (
        ord("v"),
        struct.pack("!II", 0x30002, 1) + b"_pq_.x\0",
    )
    await newer.scram("secret")
    result = await newer.logged_in()
    assert (result.protocol_minor, result.settings) == (2, ())


@pytest.mark.parametrize("minor", [0, 1, 2])
async def test_a_client_that_knows_more_options_keeps_its_version(door: Door, minor: int) -> None:
    """libpq refuses to be "downgraded" to a version beyond the one it asked for."""
    client = door.open()
    client.send(startup(minor=minor, **{"_pq_.x": "1"}))
    assert await client.stream.read_message(100) == (
        ord("v"),
        struct.pack("!II", 3 << 16 | minor, 1) + b"_pq_.x\0",
    )
    await client.scram("secret")
    assert (await client.logged_in()).protocol_minor == minor


async def test_cancelled_while_a_client_that_does_not_read_is_refused(door: Door) -> None:
    client = door.open()
    await asyncio.sleep(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            client.server._sock.send(b"." * 65_536)
    client.send(struct.pack("!II", 8, 2 << 16))
    await asyncio.sleep(0.05)
    assert not client.login.done()
    client.login.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.login
    assert client.server.fileno() == -1


async def test_a_connection_that_the_network_gave_up(door: Door) -> None:
    """ETIMEDOUT is a TimeoutError to Python, but the login has not lasted too long."""
    client = door.open()
    client.send(startup())
    await client.request()
    client.server._end(OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
    assert await client.login is None
    assert client.server.fileno() == -1


async def test_wrong_password(door: Door) -> None:
    client = door.open()
    client.send(startup())
    await client.scram("wrong")
    text = "The password that was provided for the role app is wrong."
    assert await client.refused() == ("28P01", text)
    assert door.policy.throttle.wrong_passwords == 1


async def test_unknown_users_go_through_the_whole_exchange(door: Door) -> None:
    client = door.open()
    client.send(startup(user="ghost"))
    await client.scram("secret")
    state, text = await client.refused()
    assert (state, text[:52]) == ("28000", "This RDS proxy has no credentials for the role ghost")


async def test_md5(door: Door) -> None:
    for password, right in (("secret", True), ("wrong", False)):
        client = door.open()
        client.send(startup(user="old"))
        kind, salt = await client.request()
        assert kind == messages.AUTHENTICATION_MD5_PASSWORD
        answer = md5.response(md5.stored_hash("old", password), salt)
        client.send(messages.password_message(answer))
        if right:
            assert (await client.logged_in()).user == "old"
        else:
            assert (await client.refused())[0] == "28P01"


@pytest.mark.parametrize(
    ("answer", "sqlstate"),
    [
        (messages.password_message("secret"), "08P01"),
        (messages.sasl_initial_response("SCRAM-SHA-256", b""), "08P01"),
        (messages.sasl_initial_response("SCRAM-SHA-256-PLUS", b"p=tls-unique,,n=,r=x"), "28000"),
        (messages.sasl_initial_response("GSSAPI", b"n,,n=,r=x"), "28000"),
        (messages.query("select 1"), "08P01"),
        (b"p\xff\xff\xff\xff", "08P01"),
        (b"p\x00\x00\x00\x00", "08P01"),
        (b"p" + struct.pack("!I", 8193 + 4), "08P01"),
    ],
)
async def test_wrong_answers(door: Door, answer: bytes, sqlstate: str) -> None:
    client = door.open()
    client.send(startup())
    await client.request()
    client.send(answer)
    assert (await client.refused())[0] == sqlstate


async def test_an_empty_md5_answer(door: Door) -> None:
    client = door.open()
    client.send(startup(user="old"))
    await client.request()
    client.send(messages.password_message(""))
    assert (await client.refused())[0] == "28000"


@pytest.mark.parametrize("sent", [b"", b"\0\0", startup(), startup() + messages.terminate()])
async def test_a_client_that_leaves_is_no_failure(door: Door, sent: bytes) -> None:
    client = door.open()
    client.send(sent)
    await asyncio.sleep(0)
    client.stream.close()
    assert await client.login is None


async def test_silence_is_ended(door: Door) -> None:
    client = door.open(login_timeout_s=0.01)
    assert await client.refused() == ("57014", "canceling authentication due to timeout")


async def test_silence_in_the_middle_of_a_handshake_is_ended_without_a_word(door: Door) -> None:
    client = door.open(login_timeout_s=0.05)
    client.send(messages.ssl_request())
    with pytest.raises(LoginFailed, match="timeout"):
        await client.login
    assert await client.stream.read_exactly(1) == b"S"
    with pytest.raises(PeerGoneError):
        await client.stream.read_exactly(1)


async def test_a_cancelled_login_closes_the_connection(door: Door) -> None:
    client = door.open()
    await asyncio.sleep(0)
    client.login.cancel()
    with pytest.raises(PeerGoneError):
        await client.stream.read_exactly(1)


# ---- IAM tokens ----------------------------------------------------------------------------------


def token(user: str, *, at_s: float | None = None, region: str = "us-east-1") -> str:
    now_s = time.time() if at_s is None else at_s
    return generate_db_auth_token("db", 6432, user, region, KEY, now_s)


async def send_plain(client: Client, user: str, password: str) -> None:
    """Answers the request for a password with the password as it is, over TLS."""
    await client.encrypt()
    client.send(startup(user=user))
    assert await client.request() == (messages.AUTHENTICATION_CLEARTEXT_PASSWORD, b"")
    client.stream.write(messages.password_message(password))
    await client.stream.drain()


@pytest.mark.parametrize("user", ["lambda", "both"])
async def test_a_token_as_long_as_any(door: Door, user: str) -> None:
    client = door.open(require_tls=True)
    await send_plain(client, user, token(user))
    assert (await client.logged_in()).user == user
    assert len(token(user)) > 60_000


async def test_either_token_or_password(door: Door) -> None:
    client = door.open()
    await send_plain(client, "both", "secret")
    assert (await client.logged_in()).user == "both"
    client = door.open()
    await send_plain(client, "both", "wrong")
    assert (await client.refused())[1] == (
        "The password that was provided for the role both is wrong."
    )
    client = door.open()
    client.send(startup(user="both"))
    assert await client.scram("secret") == ["SCRAM-SHA-256"]
    assert (await client.logged_in()).user == "both"


@pytest.mark.parametrize("user", ["lambda", "both"])
@pytest.mark.parametrize(
    ("changes", "said"),
    [({"at_s": 1e9}, "the token has expired"), ({"region": "eu-west-1"}, "another region")],
)
async def test_the_reason_is_for_the_log(
    door: Door, user: str, changes: dict[str, float], said: str
) -> None:
    client = door.open()
    sent = token(user, **changes)  # type: ignore[arg-type]
    await send_plain(client, user, sent)
    sqlstate, message = await client.refused()
    assert sqlstate == "28P01"
    assert message == (
        f"The IAM authentication failed for the role {user}."
        " Check the IAM token for this role and try again."
    )
    with pytest.raises(LoginFailed) as caught:
        await client.login
    assert said in caught.value.reason
    assert f'signed for user "{user}" at host db:6432' in caught.value.reason
    assert not any(part in caught.value.reason for part in ("sss", "s3cr3t", sent[-64:]))
    assert door.policy.throttle.wrong_passwords == 1
    assert len(door.policy.throttle) == 1


async def test_wrong_tokens_are_slowed_until_a_right_one(door: Door) -> None:
    throttle = Throttle(first_delay_s=0, max_delay_s=0)
    for right, entries in ((False, 1), (False, 1), (True, 0)):
        client = door.open(throttle=throttle)
        await send_plain(client, "lambda", token("lambda" if right else "both"))
        await (client.logged_in() if right else client.refused())
        assert len(throttle) == entries
    assert throttle.wrong_passwords == 2


async def test_tokens_need_tls(door: Door) -> None:
    client = door.open()
    client.send(startup(user="lambda"))
    assert await client.refused() == (
        "28000",
        "IAM authentication is allowed only with SSL connections.",
    )
    assert door.policy.throttle.wrong_passwords == 0  # nothing was tried


@pytest.mark.parametrize("right", [True, False])
async def test_unknown_users_are_asked_as_all_others_are(door: Door, right: bool) -> None:
    credentials = await Credentials.derive([UserEntry("lambda", ("secret",), "iam")])
    throttle = Throttle(first_delay_s=0, max_delay_s=0)
    client = door.open(credentials=credentials, throttle=throttle)
    await send_plain(client, "ghost", token("ghost" if right else "other"))
    state, text = await client.refused()
    assert (state, text[:52]) == ("28000", "This RDS proxy has no credentials for the role ghost")
    assert throttle.wrong_passwords == 1
    client = door.open(credentials=credentials)
    client.send(startup(user="ghost"))
    assert (await client.refused())[1] == (
        "IAM authentication is allowed only with SSL connections."
    )


async def test_without_a_verifier_no_token_is_right(door: Door) -> None:
    client = door.open(verifier=None)
    await send_plain(client, "lambda", token("lambda"))
    assert (await client.refused())[0] == "28P01"


@pytest.mark.parametrize(
    ("user", "limit_bytes"),
    [("lambda", MAX_PASSWORD_MESSAGE_BYTES), ("app", MAX_AUTH_MESSAGE_BYTES)],
)
async def test_how_long_answers_may_be(door: Door, user: str, limit_bytes: int) -> None:
    for too_many in (0, 1):
        client = door.open()
        await client.encrypt()
        client.send(startup(user=user))
        await client.request()
        client.stream.write(messages.message(b"p", b"x" * (limit_bytes - 1 + too_many) + b"\0"))
        with contextlib.suppress(OSError):
            await client.stream.drain()
        sqlstate, message = await client.refused()
        assert (message == "invalid message length") is bool(too_many)
        assert not too_many or sqlstate == "08P01"
