"""Logging in to a database: the startup message, the proof of who we are, and the greeting.

As libpq does by default, a password is answered in whatever form the server asks for it; a server
that should not see it in clear is one to be reached with sslmode=verify-full. What stands in for a
password (keys, a hash, a token) answers one form only. Unlike libpq, a server that begins a SCRAM
exchange has to finish it: it may not let us in without its own proof.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from forebay.net.conversation import Conversation, Send, Stretch, receive, unexpected
from forebay.protocol import md5, messages, scram
from forebay.protocol.errors import PgError
from forebay.protocol.messages import MalformedMessageError
from forebay.protocol.startup import is_reserved

MAX_MESSAGE_BYTES: Final = 30_000
"""A message from a server during the login; libpq's bound for errors."""
MAX_NOTICES: Final = 100
MAX_LOGIN_MESSAGES: Final = 1000
"""Messages between AuthenticationOk and ReadyForQuery."""


class AuthenticationError(Exception):
    """The server asks for what cannot or will not be given."""


@dataclass(frozen=True, slots=True)
class Md5Hash:
    """The MD5 hash of user and password, as `md5.parse_stored` reads it: as good as the password
    where the server asks for MD5, and nowhere else."""

    stored: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IamToken:
    """A token that the database, or RDS in front of it, verifies. It is sent in clear, so over TLS
    only (with a verified certificate: sslmode=verify-full), and only to a server that asks for a
    password in clear."""

    text: str = field(repr=False)


DatabaseLogin = str | scram.ClientKeys | Md5Hash | IamToken | None
"""What proves who we are: a password, or what stands in for one; None if we have nothing.

`scram.ClientKeys` are those of one salt and number of iterations; a server that has others of the
user is refused."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who logs in. `binding` is the hash of the server's certificate (RFC 5929), None if there is
    no TLS or nothing in the certificate to bind to. `is_encrypted` says whether there is TLS."""

    user: str
    password: DatabaseLogin = field(repr=False)
    binding: bytes | None = None
    is_encrypted: bool = False


@dataclass(slots=True)
class Greeting:
    """What a server says when it has let us in; `cancel_key` is empty if it gave none."""

    parameters: dict[str, str]
    pid: int = 0
    cancel_key: bytes = field(default=b"", repr=False)


def startup_message(user: str, database: str, parameters: Mapping[str, str]) -> bytes:
    """The first message; `parameters` are settings. Raises ValueError for a name that is none."""
    reserved = [name for name in parameters if is_reserved(name)]
    if reserved:
        raise ValueError(f'"{reserved[0]}" cannot be a startup parameter')
    return messages.startup_message({"user": user, "database": database, **parameters})


def log_in(startup: bytes, identity: Identity) -> Conversation[Greeting]:
    """From the startup message to the first ReadyForQuery.

    Raises PgError with the server's refusal, AuthenticationError, ScramError,
    MalformedMessageError.
    """
    yield Send(startup)
    yield from authenticate(identity)
    return (yield from read_greeting())


def authenticate(identity: Identity) -> Conversation[None]:
    """Answers what the server asks after the startup message, up to AuthenticationOk."""
    kind, data = yield from _request()
    if kind == messages.AUTHENTICATION_OK:
        return
    if not identity.password:
        raise AuthenticationError("no password supplied")
    if kind not in _WANTED:
        raise AuthenticationError(f"authentication method {kind} not supported")
    yield from ANSWERS[type(identity.password)](identity, kind, data)
    kind, _ = yield from _request()
    if kind != messages.AUTHENTICATION_OK:
        raise MalformedMessageError("the server asks for a password twice")


def read_greeting() -> Conversation[Greeting]:
    """Reads from AuthenticationOk to ReadyForQuery."""
    greeting = Greeting({})
    for _ in range(MAX_LOGIN_MESSAGES):
        kind, body = yield from receive(MAX_MESSAGE_BYTES)
        match chr(kind):
            case "S":
                name, value = messages.parse_parameter_status(body)
                greeting.parameters[name] = value
            case "K":
                greeting.pid, greeting.cancel_key = messages.parse_backend_key_data(body)
            case "Z":
                if messages.parse_ready_for_query(body) != b"I":
                    raise MalformedMessageError("a new connection is not idle")
                return greeting
            case "E":
                raise PgError.parse(body)
            case "N":
                pass
            case _:
                raise unexpected(kind)
    raise MalformedMessageError("the server's greeting does not end")


# ---- What is answered to each request ------------------------------------------------------------

_WANTED: Final = {
    messages.AUTHENTICATION_CLEARTEXT_PASSWORD: "a password in clear",
    messages.AUTHENTICATION_MD5_PASSWORD: "MD5",
    messages.AUTHENTICATION_SASL: "SCRAM",
}


def _with_password(identity: Identity, kind: int, data: bytes) -> Conversation[None]:
    assert isinstance(identity.password, str)  # noqa: S101 - for the type checker
    if kind == messages.AUTHENTICATION_CLEARTEXT_PASSWORD:
        yield Send(messages.password_message(identity.password))
    elif kind == messages.AUTHENTICATION_MD5_PASSWORD:
        yield from _md5(md5.stored_hash(identity.user, identity.password), data)
    else:
        yield from _scram(identity, identity.password, data)


def _with_keys(identity: Identity, kind: int, data: bytes) -> Conversation[None]:
    assert isinstance(identity.password, scram.ClientKeys)  # noqa: S101 - as above
    if kind != messages.AUTHENTICATION_SASL:
        raise _cannot(identity, kind, "no more than the SCRAM keys")
    yield from _scram(identity, identity.password, data)


def _with_hash(identity: Identity, kind: int, data: bytes) -> Conversation[None]:
    assert isinstance(identity.password, Md5Hash)  # noqa: S101 - as above
    if kind != messages.AUTHENTICATION_MD5_PASSWORD:
        raise _cannot(identity, kind, "no more than the MD5 hash")
    yield from _md5(identity.password.stored, data)


def _with_token(identity: Identity, kind: int, _: bytes) -> Conversation[None]:
    assert isinstance(identity.password, IamToken)  # noqa: S101 - as above
    if kind != messages.AUTHENTICATION_CLEARTEXT_PASSWORD:
        raise AuthenticationError(
            f"the server asks for {_WANTED[kind]}, and not for the IAM token of user"
            f' "{identity.user}" (RDS asks members of rds_iam for it)'
        )
    if not identity.is_encrypted:
        raise AuthenticationError("an IAM token is sent over TLS only: use sslmode=verify-full")
    yield Send(messages.password_message(identity.password.text))


def _cannot(identity: Identity, kind: int, known: str) -> AuthenticationError:
    return AuthenticationError(
        f"the server asks for {_WANTED[kind]}, and {known} of the password of user"
        f' "{identity.user}" is known: give the password itself'
    )


def _md5(stored: str, salt: bytes) -> Conversation[None]:
    if len(salt) != md5.SALT_BYTES:
        raise MalformedMessageError("MD5 salt has a wrong length")
    yield Send(messages.password_message(md5.response(stored, salt)))


def _scram(
    identity: Identity, known: str | scram.ClientKeys, mechanisms: bytes
) -> Conversation[None]:
    offered = messages.parse_sasl_mechanisms(mechanisms)
    binding = identity.binding
    if binding is not None and scram.MECHANISM_PLUS in offered:
        exchange = scram.ClientExchange(binding)
    elif scram.MECHANISM in offered:
        exchange = scram.ClientExchange(could_bind=binding is not None)
    else:
        raise AuthenticationError("none of the server's SASL mechanisms is supported")
    yield Send(messages.sasl_initial_response(exchange.mechanism, exchange.first()))
    data = yield from _expect(messages.AUTHENTICATION_SASL_CONTINUE)
    salt, iterations = exchange.challenge(data)
    if isinstance(known, str):
        keys: scram.ClientKeys = yield Stretch(known, salt, iterations)
    elif (known.salt, known.iterations) == (salt, iterations):
        keys = known
    else:
        raise AuthenticationError(
            f'the database has another SCRAM verifier of user "{identity.user}" than the one that'
            " the client has proved itself by: let both be the same, or give the password itself"
        )
    yield Send(messages.sasl_response(exchange.final(keys)))
    exchange.verify((yield from _expect(messages.AUTHENTICATION_SASL_FINAL)))


Answer = Callable[[Identity, int, bytes], Conversation[None]]
"""Answers a request for a password, given its kind and what it says; ends before
AuthenticationOk. Raises AuthenticationError for what it cannot answer."""

ANSWERS: Final[Mapping[type, Answer]] = {
    str: _with_password,
    scram.ClientKeys: _with_keys,
    Md5Hash: _with_hash,
    IamToken: _with_token,
}


def _expect(expected: int) -> Conversation[bytes]:
    kind, data = yield from _request()
    if kind != expected:
        raise AuthenticationError("the server did not finish the SCRAM exchange")
    return data


def _request() -> Conversation[tuple[int, bytes]]:
    """The next request for authentication: its kind and what belongs to it."""
    for _ in range(MAX_NOTICES):
        kind, body = yield from receive(MAX_MESSAGE_BYTES)
        if kind == ord("R"):
            return messages.parse_authentication(body)
        if kind == ord("E"):
            raise PgError.parse(body)
        if kind != ord("N"):
            raise unexpected(kind)
    raise MalformedMessageError("too many notices")
