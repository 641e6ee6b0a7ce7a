"""Proving to a database who we are: SCRAM with channel binding, MD5, cleartext, trust.

As libpq does by default, a password is answered in whatever form the server asks for it; a server
that should not see it in clear is one to be reached with sslmode=verify-full. Unlike libpq, a
server that begins a SCRAM exchange has to finish it: it may not let us in without its own proof.
"""

import hashlib
from collections import OrderedDict
from typing import Final

from forebay.net.stream import Stream
from forebay.net.tasks import in_crypto_thread
from forebay.net.tls import end_point_hash
from forebay.protocol import md5, messages, scram
from forebay.protocol.errors import PgError
from forebay.protocol.messages import MalformedMessageError

MAX_MESSAGE_BYTES: Final = 30_000
"""A message from a server during the login; libpq's bound for errors."""
MAX_NOTICES: Final = 100
MAX_KEPT_KEYS: Final = 1024

# Keys by password, salt and iterations. The password is in the key because a server chooses the
# salt: with the salt alone it could be answered with another user's keys.
_kept_keys: OrderedDict[bytes, scram.ClientKeys] = OrderedDict()


class AuthenticationError(Exception):
    """The server asks for what cannot or will not be given."""


async def authenticate(stream: Stream, user: str, password: str | None) -> None:
    """Answers what the server asks after the startup packet, up to AuthenticationOk.

    Raises PgError with the server's refusal, AuthenticationError, ScramError,
    MalformedMessageError, or what the stream raises.
    """
    kind, data = await _authentication_request(stream)
    if kind == messages.AUTHENTICATION_OK:
        return
    if not password:
        raise AuthenticationError("no password supplied")
    if kind == messages.AUTHENTICATION_SASL:
        await _scram(stream, password, messages.parse_sasl_mechanisms(data))
    elif kind == messages.AUTHENTICATION_MD5_PASSWORD:
        if len(data) != md5.SALT_BYTES:
            raise MalformedMessageError("MD5 salt has a wrong length")
        answer = md5.response(md5.stored_hash(user, password), data)
        stream.write(messages.password_message(answer))
    elif kind == messages.AUTHENTICATION_CLEARTEXT_PASSWORD:
        stream.write(messages.password_message(password))
    else:
        raise AuthenticationError(f"authentication method {kind} not supported")
    await stream.drain()
    kind, _ = await _authentication_request(stream)
    if kind != messages.AUTHENTICATION_OK:
        raise MalformedMessageError("the server asks for a password twice")


async def _scram(stream: Stream, password: str, offered: list[str]) -> None:
    binding = _channel_binding(stream)
    if binding is not None and scram.MECHANISM_PLUS in offered:
        exchange = scram.ClientExchange(binding)
    elif scram.MECHANISM in offered:
        exchange = scram.ClientExchange(could_bind=binding is not None)
    else:
        raise AuthenticationError("none of the server's SASL mechanisms is supported")
    stream.write(messages.sasl_initial_response(exchange.mechanism, exchange.first()))
    await stream.drain()
    data = await _expect(stream, messages.AUTHENTICATION_SASL_CONTINUE)
    salt, iterations = exchange.challenge(data)
    keys = await _client_keys(password, salt, iterations)
    stream.write(messages.sasl_response(exchange.final(keys)))
    await stream.drain()
    exchange.verify(await _expect(stream, messages.AUTHENTICATION_SASL_FINAL))


def _channel_binding(stream: Stream) -> bytes | None:
    certificate = stream.tls.getpeercert(binary_form=True) if stream.tls else None
    if certificate is None:
        return None
    try:
        return end_point_hash(certificate)
    except ValueError:
        return None


async def _client_keys(password: str, salt: bytes, iterations: int) -> scram.ClientKeys:
    """Derived in a thread once, then kept: further connections cost no PBKDF2."""
    secret = password.encode("utf-8", "surrogatepass")
    key = hashlib.sha256(b"%d,%d," % (iterations, len(salt)) + salt + secret).digest()
    keys = _kept_keys.get(key)
    if keys is None:
        keys = await in_crypto_thread(scram.ClientKeys.derive, password, salt, iterations)
        _kept_keys[key] = keys
        if len(_kept_keys) > MAX_KEPT_KEYS:
            _kept_keys.popitem(last=False)
    return keys


async def _expect(stream: Stream, expected: int) -> bytes:
    kind, data = await _authentication_request(stream)
    if kind != expected:
        raise AuthenticationError("the server did not finish the SCRAM exchange")
    return data


async def _authentication_request(stream: Stream) -> tuple[int, bytes]:
    for _ in range(MAX_NOTICES):
        kind, body = await stream.read_message(MAX_MESSAGE_BYTES)
        if kind == ord("R"):
            return messages.parse_authentication(body)
        if kind == ord("E"):
            raise PgError.parse(body)
        if kind != ord("N"):
            raise unexpected(kind)
    raise MalformedMessageError("too many notices")


def unexpected(kind: int) -> MalformedMessageError:
    """The error for a message that has no place where it came."""
    name = repr(chr(kind)) if 0x20 < kind < 0x7F else f"0x{kind:02x}"
    return MalformedMessageError(f"unexpected message of type {name} from the server")
