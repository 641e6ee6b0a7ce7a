"""Logging in to servers that are scripts."""

import pytest

from forebay.net import server_login
from forebay.net.server_login import (
    AuthenticationError,
    DatabaseLogin,
    IamToken,
    Identity,
    Md5Hash,
    log_in,
    startup_message,
)
from forebay.protocol import md5, messages, scram
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.messages import MalformedMessageError
from tests.unit.net.servers import OK, READY, Script

APP = Identity("app", "secret")
STARTUP = startup_message("app", "shop", {"application_name": "x"})
NOTICE = messages.message(b"N", b"SNOTICE\0C00000\0Mhello\0\0")


def test_trust() -> None:
    key, status = messages.backend_key_data(7, b"key!"), messages.parameter_status("a", "b")
    script = Script(NOTICE, OK, status, NOTICE, key, READY)
    greeting = script.play(log_in(STARTUP, Identity("app", None)))
    assert (greeting.parameters, greeting.pid, greeting.cancel_key) == ({"a": "b"}, 7, b"key!")
    assert script.sent == [STARTUP]
    assert "key!" not in repr(greeting)


def test_cleartext() -> None:
    script = Script(messages.authentication_cleartext_password(), OK, READY)
    script.play(log_in(STARTUP, APP))
    assert script.sent[1] == messages.password_message("secret")


def test_md5() -> None:
    script = Script(messages.authentication_md5_password(b"salt"), OK, READY)
    script.play(log_in(STARTUP, APP))
    answer = messages.parse_password(script.sent[1][5:])
    assert md5.verify(md5.stored_hash("app", "secret"), b"salt", answer)


@pytest.mark.parametrize("binding", [None, b"hash"])
@pytest.mark.parametrize("known", ["secret", "other"])
def test_scram(binding: bytes | None, known: str) -> None:
    """The server has to know the password, too."""
    mechanism = scram.MECHANISM if binding is None else scram.MECHANISM_PLUS
    exchange = scram.ServerExchange(mechanism, (scram.make_verifier("secret"),), binding)

    def first(said: bytes) -> bytes:
        _, client_first = messages.parse_sasl_initial_response(said[5:])
        return messages.authentication_sasl_continue(exchange.first(client_first))

    def final(said: bytes) -> bytes:
        proof = exchange.final(said[5:])
        return messages.authentication_sasl_final(
            proof if known == "secret" else b"v=" + b"A" * 43 + b"="
        )

    script = Script(messages.authentication_sasl([mechanism]), first, final, OK, READY)
    conversation = log_in(STARTUP, Identity("app", "secret", binding))
    if known == "secret":
        script.play(conversation)
        assert script.is_over
    else:
        with pytest.raises(scram.ProofError, match="incorrect server signature"):
            script.play(conversation)


@pytest.mark.parametrize(
    ("offered", "binding", "header"),
    [
        ([scram.MECHANISM], None, b"n,,"),
        ([scram.MECHANISM], b"hash", b"y,,"),
        ([scram.MECHANISM_PLUS, scram.MECHANISM], None, b"n,,"),
        ([scram.MECHANISM_PLUS, scram.MECHANISM], b"hash", b"p=tls-server-end-point,,"),
    ],
)
def test_the_certificate_is_bound_to_where_both_can(
    offered: list[str], binding: bytes | None, header: bytes
) -> None:
    script = Script(messages.authentication_sasl(offered))
    with pytest.raises(EOFError):
        script.play(log_in(STARTUP, Identity("app", "secret", binding)))
    _, first = messages.parse_sasl_initial_response(script.sent[1][5:])
    assert first.startswith(header)


def test_a_server_that_lets_in_without_its_own_proof() -> None:
    script = Script(messages.authentication_sasl([scram.MECHANISM]), OK, READY)
    with pytest.raises(AuthenticationError, match="did not finish the SCRAM exchange"):
        script.play(log_in(STARTUP, APP))


@pytest.mark.parametrize(
    ("password", "request_for", "text"),
    [
        (None, messages.authentication_md5_password(b"salt"), "no password supplied"),
        ("", messages.authentication_cleartext_password(), "no password supplied"),
        ("x", messages.message(b"R", b"\0\0\0\7"), "authentication method 7 not supported"),
        ("x", messages.authentication_sasl(["OAUTHBEARER"]), "none of the server's SASL"),
        ("x", messages.authentication_sasl([scram.MECHANISM_PLUS]), "none of the server's SASL"),
    ],
)
def test_what_cannot_be_answered(password: str | None, request_for: bytes, text: str) -> None:
    script = Script(request_for)
    with pytest.raises(AuthenticationError, match=text):
        script.play(log_in(STARTUP, Identity("app", password)))
    assert script.sent == [STARTUP]


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ([messages.authentication_md5_password(b"toolong")], "MD5 salt"),
        ([messages.authentication_cleartext_password()] * 2, "asks for a password twice"),
        ([NOTICE] * (server_login.MAX_NOTICES + 1), "too many notices"),
        ([OK, *[NOTICE] * (server_login.MAX_LOGIN_MESSAGES + 1)], "does not end"),
        ([OK, messages.ready_for_query(b"T")], "not idle"),
        ([READY], "unexpected message of type 'Z'"),
        ([OK, OK], "unexpected message of type 'R'"),
        ([OK, messages.message(b"S", b"x" * 40_000)], "invalid message length"),
    ],
)
def test_nonsense(answers: list[bytes], text: str) -> None:
    with pytest.raises(MalformedMessageError, match=text):
        Script(*answers).play(log_in(STARTUP, APP))


@pytest.mark.parametrize("before", [[], [OK], [messages.authentication_cleartext_password()]])
def test_a_refusal_is_the_servers_own(before: list[bytes]) -> None:
    refusal = PgError(Severity.FATAL, "28P01", "no").encode()
    with pytest.raises(PgError) as caught:
        Script(*before, refusal).play(log_in(STARTUP, APP))
    assert caught.value.raw == refusal[5:]


@pytest.mark.parametrize("name", ["user", "database", "replication", "options", "_pq_.x"])
def test_reserved_parameters(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a startup parameter"):
        startup_message("app", "shop", {name: "x"})


def test_secrets_are_not_printed() -> None:
    for login in ("s3cret", Md5Hash("s3cret"), IamToken("s3cret")):
        assert "s3cret" not in repr(Identity("app", login)) + repr(login) * (login != "s3cret")


# ---- What stands in for a password ---------------------------------------------------------------

KEYS = scram.ClientKeys.derive("secret", b"the salt", 10)


def scram_server(verifier: scram.Verifier, *, forges: bool = False) -> Script:
    exchange = scram.ServerExchange(scram.MECHANISM, (verifier,))

    def first(said: bytes) -> bytes:
        _, client_first = messages.parse_sasl_initial_response(said[5:])
        return messages.authentication_sasl_continue(exchange.first(client_first))

    def final(said: bytes) -> bytes:
        proof = exchange.final(said[5:])
        return messages.authentication_sasl_final(b"v=" + b"A" * 43 + b"=" if forges else proof)

    return Script(messages.authentication_sasl([scram.MECHANISM]), first, final, OK, READY)


def test_scram_keys() -> None:
    script = scram_server(scram.make_verifier("secret", b"the salt", 10))
    script.play(log_in(STARTUP, Identity("app", KEYS)))
    assert script.is_over


def test_the_server_has_to_know_the_verifier() -> None:
    script = scram_server(scram.make_verifier("secret", b"the salt", 10), forges=True)
    with pytest.raises(scram.ProofError, match="incorrect server signature"):
        script.play(log_in(STARTUP, Identity("app", KEYS)))


@pytest.mark.parametrize(("salt", "iterations"), [(b"the salt", 11), (b"another", 10)])
def test_keys_for_another_verifier(salt: bytes, iterations: int) -> None:
    script = scram_server(scram.make_verifier("secret", salt, iterations))
    with pytest.raises(AuthenticationError, match='another SCRAM verifier of user "app"'):
        script.play(log_in(STARTUP, Identity("app", KEYS)))
    assert len(script.sent) == 2, "no proof is sent"


def test_an_md5_hash() -> None:
    script = Script(messages.authentication_md5_password(b"salt"), OK, READY)
    script.play(log_in(STARTUP, Identity("app", Md5Hash(md5.stored_hash("app", "secret")))))
    answer = messages.parse_password(script.sent[1][5:])
    assert md5.verify(md5.stored_hash("app", "secret"), b"salt", answer)


def test_a_token() -> None:
    script = Script(messages.authentication_cleartext_password(), OK, READY)
    script.play(log_in(STARTUP, Identity("app", IamToken("token"), is_encrypted=True)))
    assert script.sent[1] == messages.password_message("token")


CLEAR = messages.authentication_cleartext_password()
SALTED = messages.authentication_md5_password(b"salt")
SASL = messages.authentication_sasl([scram.MECHANISM])


@pytest.mark.parametrize(
    ("login", "request_for", "is_encrypted", "text"),
    [
        (KEYS, CLEAR, True, "asks for a password in clear, and no more than the SCRAM keys"),
        (KEYS, SALTED, True, "asks for MD5, and no more than the SCRAM keys"),
        (Md5Hash("x"), CLEAR, True, "asks for a password in clear, and no more than the MD5 hash"),
        (Md5Hash("x"), SASL, True, "asks for SCRAM, and no more than the MD5 hash"),
        (IamToken("token"), CLEAR, False, "over TLS only: use sslmode=verify-full"),
        (IamToken("token"), SALTED, True, "asks for MD5, and not for the IAM token"),
        (IamToken("token"), SASL, True, "asks for SCRAM, and not for the IAM token"),
        (IamToken("token"), messages.message(b"R", b"\0\0\0\7"), True, "method 7 not supported"),
    ],
)
def test_what_it_is_not_sent_for(
    login: DatabaseLogin, request_for: bytes, is_encrypted: bool, text: str
) -> None:
    script = Script(request_for)
    with pytest.raises(AuthenticationError, match=text):
        script.play(log_in(STARTUP, Identity("app", login, is_encrypted=is_encrypted)))
    assert script.sent == [STARTUP]
