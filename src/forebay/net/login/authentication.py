"""The proof of who a client is: what is asked, and what its answer is held against."""

import asyncio
import ssl
from typing import Final

from forebay.identity.tokens import Reason, Refusal
from forebay.net.login.certificates import ClientCertificate
from forebay.net.login.kept import NOBODY, Proof, UserAuth
from forebay.net.login.methods import METHODS, NotProvedError
from forebay.net.login.policy import LoginPolicy
from forebay.net.stream import PeerGoneError, Stream
from forebay.protocol import errors

MAX_AUTH_MESSAGE_BYTES: Final = 8192
"""Passwords and SASL messages from a client that is not authenticated yet."""
MAX_PASSWORD_MESSAGE_BYTES: Final = 65_535
"""Of a client that is asked for an IAM token, once TLS is up: PostgreSQL's own limit."""


class Authentication:
    """One client's proof under way; also the `methods.Dialogue` with it.

    `method`: how it is to prove who it is, as `methods.METHODS` calls that. `reason` is why it was
    refused, beyond what the client is told. `has_asked`: whether the client was asked for anything.
    """

    def __init__(self, stream: Stream, policy: LoginPolicy, peer: str) -> None:
        self.reason = ""
        self.has_asked = False
        self.method = ""
        self._stream = stream
        self._policy = policy
        self._peer = peer
        self._database = ""

    async def run(self, user: str, database: str) -> Proof:
        """Returns the proof. AuthenticationOk is left to the caller. Raises PgError with what the
        client is to be told, after the time that a wrong password has to wait."""
        self._database = database
        auth = self._policy.credentials.get(user)
        is_newest = auth is None
        if auth is None:
            auth = await self._newer(user)
        wrong = errors.no_credentials(user) if auth is None else errors.wrong_password(user)
        is_wrong = True
        try:
            proof = await self._prove(user, auth or NOBODY, is_newest=is_newest)
            if proof is not None:
                self._policy.throttle.succeeded(user, self._peer)
                return proof
        except NotProvedError as failure:
            if auth is not None:
                wrong, self.reason = failure.error, failure.reason
                is_wrong = failure.is_wrong
        if is_wrong:
            now_s = asyncio.get_running_loop().time()
            await asyncio.sleep(self._policy.throttle.failed(user, self._peer, now_s))
        raise wrong

    async def _prove(self, user: str, auth: UserAuth, *, is_newest: bool) -> Proof | None:
        credentials = self._policy.credentials
        method = credentials.of_unknown_users if auth is NOBODY else METHODS[auth.method]
        self._demand_certificate(auth)
        check = await method.ask(self, user, auth)
        proof = await check(auth)
        if proof is None and not is_newest:
            newer = await self._newer(user)
            if newer is not None:
                auth = newer
                self._demand_certificate(auth)
                proof = await check(auth)
        self.method = auth.method
        if proof is not None and auth.client_cert == "verify-full":
            certificate = self.certificate()
            if not certificate.is_of(user, auth.cert_names):
                raise NotProvedError(errors.certificate_failed(user), certificate.wrong_name)
        return proof

    async def _newer(self, user: str) -> UserAuth | None:
        return None if self._policy.newer is None else await self._policy.newer(user)

    def _demand_certificate(self, auth: UserAuth) -> None:
        """As PostgreSQL, before anything is asked. Raises PgError."""
        if auth.client_cert:
            self.certificate()

    # ---- What methods ask of it ------------------------------------------------------------------

    @property
    def binding(self) -> bytes | None:
        """See methods.Dialogue, also for all that follows."""
        tls = self._stream.tls
        binding: bytes | None = None if tls is None else getattr(tls.context, "end_point", None)
        return binding

    @property
    def is_encrypted(self) -> bool:
        return self._stream.tls is not None

    def certificate(self) -> ClientCertificate:
        tls = self._stream.tls
        # A certificate that OpenSSL was not told to verify would be worth nothing.
        is_asked_for = tls is not None and tls.context.verify_mode is not ssl.CERT_NONE
        der = tls.getpeercert(binary_form=True) if tls is not None and is_asked_for else None
        if der is None:
            if tls is None:
                self.reason = "the connection is not encrypted, so it has shown none"
            elif not is_asked_for:
                self.reason = "no authority is configured that could vouch for certificates"
            raise errors.certificate_required()
        return ClientCertificate.parse(der)

    def say(self, message: bytes) -> None:
        self._stream.write(message)

    async def refusal(self, token: bytes, user: str) -> Refusal | None:
        if self._policy.verifier is None:
            return Refusal(Reason.NO_VERIFIER, "this proxy verifies no IAM tokens")
        return await self._policy.verifier.check(token, user, self._peer, self._database)

    async def answer(self) -> bytes:
        return await self._answer(MAX_AUTH_MESSAGE_BYTES)

    async def long_answer(self) -> bytes:
        long, short = MAX_PASSWORD_MESSAGE_BYTES, MAX_AUTH_MESSAGE_BYTES
        return await self._answer(long if self.is_encrypted else short)

    async def _answer(self, limit_bytes: int) -> bytes:
        await self._stream.drain()
        self.has_asked = True
        kind, body = await self._stream.read_message(limit_bytes)
        if kind == ord("X"):
            raise PeerGoneError("the client said goodbye")
        if kind != ord("p"):
            raise errors.protocol_violation(f"expected password response, got message type {kind}")
        return body
