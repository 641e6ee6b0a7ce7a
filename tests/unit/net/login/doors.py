"""Logins under way over socket pairs, with a client that speaks message by message."""

import asyncio
import socket
from dataclasses import dataclass, replace

import pytest

from forebay.identity.access_keys import AccessKey
from forebay.identity.authorization import Authorization
from forebay.identity.token_check import TokenCheck
from forebay.identity.verifier import KeysVerifier
from forebay.net.login import (
    LoggedIn,
    LoginFailed,
    LoginPolicy,
    log_in,
)
from forebay.net.stream import PeerGoneError, Stream
from forebay.net.tls import (
    client_context,
    self_signed_certificate,
    server_context,
)
from forebay.protocol import messages, scram
from forebay.protocol.errors import PgError
from forebay.protocol.startup import CancelRequest

SERVER = server_context(*self_signed_certificate())
KEY = AccessKey("AKIAFOREBAYTEST00001", "s3cr3t", "s" * 63_000)
VERIFIER = TokenCheck(
    KeysVerifier([KEY], region="us-east-1", hosts=["db:6432"]),
    Authorization(None, region="us-east-1", proxy_id="app", open_without_policies=True),
)
AUTHENTICATION_OK = messages.authentication_ok()


@dataclass
class Client:
    """The other end of a login under way."""

    stream: Stream
    server: Stream
    login: "asyncio.Task[LoggedIn | CancelRequest | None]"
    policy: LoginPolicy

    def send(self, data: bytes) -> None:
        self.stream.write(data)
        self.stream._encrypt()
        self.stream._send_some()

    async def refused(self) -> tuple[str, str]:
        """SQLSTATE and message of the error that ends the login; both sides agree on it."""
        kind, body = await self.stream.read_message(10_000)
        assert kind == ord("E")
        error = PgError.parse(body)
        assert error.severity == "FATAL"
        with pytest.raises(LoginFailed) as caught:
            await self.login
        assert caught.value.sqlstate == error.sqlstate
        assert caught.value.reason.startswith(error.message)
        with pytest.raises(PeerGoneError):
            await self.stream.read_exactly(1)
        return error.sqlstate, error.message

    async def closed_without_a_word(self) -> str:
        """Fails if anything is sent; the reason, as the log would have it."""
        with pytest.raises(PeerGoneError):
            await self.stream.read_exactly(1)
        with pytest.raises(LoginFailed) as caught:
            await self.login
        assert caught.value.sqlstate == "08P01"
        return caught.value.reason

    async def encrypt(self, name: str | None = None, **own: str) -> None:
        self.send(messages.ssl_request())
        assert await self.stream.read_exactly(1) == b"S"
        context = client_context("require", **own)
        assert context is not None
        await self.stream.start_tls(context, server_side=False, server_hostname=name)

    async def request(self) -> tuple[int, bytes]:
        kind, body = await self.stream.read_message(10_000)
        assert kind == ord("R")
        return messages.parse_authentication(body)

    async def scram(self, password: str, binding: bytes | None = None) -> list[str]:
        """Goes through SCRAM up to the last answer; returns the mechanisms offered."""
        kind, data = await self.request()
        assert kind == messages.AUTHENTICATION_SASL
        exchange = scram.ClientExchange(binding)
        self.send(messages.sasl_initial_response(exchange.mechanism, exchange.first()))
        kind, challenge = await self.request()
        assert kind == messages.AUTHENTICATION_SASL_CONTINUE
        salt, iterations = exchange.challenge(challenge)
        assert iterations == 4096
        keys = scram.ClientKeys.derive(password, salt, iterations)
        self.send(messages.sasl_response(exchange.final(keys)))
        return messages.parse_sasl_mechanisms(data)

    async def logged_in(self) -> LoggedIn:
        result = await self.login
        assert isinstance(result, LoggedIn)
        return result


class Door:
    """Opens logins under a policy and closes them after the test."""

    def __init__(self, policy: LoginPolicy) -> None:
        self.policy = policy
        self._clients: list[Client] = []

    def open(self, **changes: object) -> Client:
        policy = replace(self.policy, **changes)  # type: ignore[arg-type]
        ours, theirs = socket.socketpair()
        server = Stream(ours)
        login = asyncio.ensure_future(log_in(server, policy, "192.0.2.1"))
        client = Client(Stream(theirs), server, login, policy)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        for client in self._clients:
            client.stream.close()
            client.login.cancel()
            await asyncio.gather(client.login, return_exceptions=True)
            client.server.close()


def startup(minor: int = 0, **parameters: str) -> bytes:
    return messages.startup_message({"user": "app", **parameters}, minor)
