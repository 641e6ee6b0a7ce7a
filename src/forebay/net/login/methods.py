"""The ways in which a client may prove who it is, by the name that PostgreSQL gives each.

A method is a row of `METHODS`: it asks the client, and returns what holds the client's answer
against what is kept of a user. So one answer can be held against newer credentials, too.
"""

import functools
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from forebay.identity.tokens import Reason, Refusal
from forebay.net.login.certificates import ClientCertificate
from forebay.net.login.kept import MOCK_SECRET, NOBODY, Proof, UserAuth
from forebay.protocol import errors, md5, messages, scram

_OFFERED: Final = (scram.MECHANISM,)
_OFFERED_WITH_BINDING: Final = (scram.MECHANISM_PLUS, scram.MECHANISM)
NOT_VERIFIED: Final = frozenset({Reason.STS_FAILED, Reason.DATABASE_FAILED})
"""A token that is refused so may be right: its clients are not slowed down."""
_offer: Final = functools.lru_cache(2)(messages.authentication_sasl)


class Dialogue(Protocol):
    """What a method may do with the client."""

    @property
    def binding(self) -> bytes | None:
        """The hash of the certificate that the client sees; None if nothing can be bound to it."""

    @property
    def is_encrypted(self) -> bool:
        """Whether nobody between here and the client can read what is said."""

    def certificate(self) -> ClientCertificate:
        """The client's certificate, which is valid. Raises PgError if it has shown none."""

    def say(self, message: bytes) -> None:
        """Leaves with the next `answer`, or with AuthenticationOk."""

    async def answer(self) -> bytes:
        """The body of the client's next message of type 'p'."""

    async def long_answer(self) -> bytes:
        """As `answer`, but it may be as long as any token."""

    async def refusal(self, token: bytes, user: str) -> Refusal | None:
        """Why this is no valid IAM token of the user's; None if it is one."""


class NotProvedError(Exception):
    """A proof does not hold. `error` is what the client is told, `reason` what only the log is.

    `is_wrong` is False where it could not be held against anything.
    """

    def __init__(self, error: errors.PgError, reason: str, *, is_wrong: bool = True) -> None:
        super().__init__(error.message)
        self.error = error
        self.reason = reason
        self.is_wrong = is_wrong


Check = Callable[[UserAuth], Awaitable[Proof | None]]
"""Holds the answer that a client has given against what is kept of a user (NOBODY: of none).

Returns None if it does not hold. Raises NotProvedError instead where "the password is wrong" is not
what the client is to be told, and PgError for what is no answer."""


class Method(Protocol):
    """One way to prove who one is."""

    async def ask(self, dialogue: Dialogue, user: str, auth: UserAuth) -> Check:
        """Asks the client until it has answered. `auth` is what it is asked for, NOBODY for a user
        who does not exist. Raises PgError for what cannot be, and what `dialogue` raises."""


class Md5:
    """md5(md5(password + user) + salt): weak, for users that are still set so."""

    async def ask(self, dialogue: Dialogue, _: str, __: UserAuth) -> Check:
        salt = secrets.token_bytes(md5.SALT_BYTES)
        dialogue.say(messages.authentication_md5_password(salt))
        answer = messages.parse_password(await dialogue.answer())
        if not answer:
            raise errors.unsupported_authentication()

        async def check(auth: UserAuth) -> Proof | None:
            right = any(md5.verify(stored, salt, answer) for stored in auth.kept.hashes)
            return Proof() if right else None

        return check


class ScramSha256:
    """SCRAM-SHA-256, with channel binding where it can be.

    Users who do not exist go through a whole exchange, too: who exists is not told before the
    password.
    """

    async def ask(self, dialogue: Dialogue, user: str, auth: UserAuth) -> Check:
        binding = dialogue.binding
        offered = _OFFERED if binding is None else _OFFERED_WITH_BINDING
        dialogue.say(_offer(offered))
        mechanism, first = messages.parse_sasl_initial_response(await dialogue.answer())
        if mechanism not in offered:
            raise errors.unsupported_authentication()
        verifiers = auth.kept.verifiers or (scram.mock_verifier(user, MOCK_SECRET),)
        try:
            exchange = scram.ServerExchange(mechanism, verifiers, binding)
            dialogue.say(messages.authentication_sasl_continue(exchange.first(first)))
        except scram.ScramError as error:
            raise errors.protocol_violation(str(error)) from None
        answer = await dialogue.answer()

        async def check(auth: UserAuth) -> Proof | None:
            try:
                final = exchange.final(answer, auth.kept.verifiers)
            except scram.ProofError:
                return None
            except scram.ScramError as error:
                raise errors.protocol_violation(str(error)) from None
            dialogue.say(messages.authentication_sasl_final(final))
            return Proof(exchange.client_keys)

        return check


class IamToken:
    """An IAM token, sent as the password, over TLS only. Passwords do not count."""

    async def ask(self, dialogue: Dialogue, user: str, _: UserAuth) -> Check:
        if not dialogue.is_encrypted:
            raise errors.iam_requires_tls()
        dialogue.say(messages.authentication_cleartext_password())
        token = messages.parse_password(await dialogue.long_answer())

        async def check(auth: UserAuth) -> Proof | None:
            if auth is NOBODY:  # no verifier is troubled, which may be far away
                return None
            refusal = await dialogue.refusal(token, user)
            if refusal is not None:
                raise _refused(user, refusal)
            return Proof()

        return check


class IamTokenOrPassword:
    """Either, in the same message: over TLS the client is asked for its password as it is, since
    it cannot be told to choose. Without TLS a password is proved as `without_tls` does."""

    def __init__(self, without_tls: Method) -> None:
        self._without_tls = without_tls

    async def ask(self, dialogue: Dialogue, user: str, auth: UserAuth) -> Check:
        if not dialogue.is_encrypted:
            return await self._without_tls.ask(dialogue, user, auth)
        dialogue.say(messages.authentication_cleartext_password())
        answer = messages.parse_password(await dialogue.long_answer())
        if not answer:
            raise errors.unsupported_authentication()

        async def check(auth: UserAuth) -> Proof | None:
            passwords = auth.kept.clear
            if passwords is None:  # it is to be proved in another way
                return None
            proof = passwords.find(user, answer)
            if proof is not None:
                return proof
            refusal = await dialogue.refusal(answer, user)
            if refusal is None:
                return Proof()
            if refusal.reason is not Reason.NOT_A_TOKEN:
                raise _refused(user, refusal)
            return await passwords.find_verifier(answer)

        return check


def _refused(user: str, refusal: Refusal) -> NotProvedError:
    if refusal.reason is Reason.TOO_MANY:
        return NotProvedError(errors.iam_too_many(), refusal.sentence, is_wrong=False)
    is_wrong = refusal.reason not in NOT_VERIFIED
    return NotProvedError(errors.iam_failed(user), refusal.sentence, is_wrong=is_wrong)


class Certificate:
    """The client's certificate, which has to be issued to the user, or to a name that stands for
    it. No password is asked for."""

    async def ask(self, dialogue: Dialogue, user: str, _: UserAuth) -> Check:
        certificate = dialogue.certificate()

        async def check(auth: UserAuth) -> Proof | None:
            if auth is NOBODY:
                return None
            if certificate.is_of(user, auth.cert_names):
                return Proof()
            raise NotProvedError(errors.certificate_failed(user), certificate.wrong_name)

        return check


class Trust:
    """No proof: whoever can connect may log in as any user that there is."""

    async def ask(self, _: Dialogue, __: str, ___: UserAuth) -> Check:
        async def check(auth: UserAuth) -> Proof | None:
            return None if auth is NOBODY else Proof()

        return check


_SCRAM: Final = ScramSha256()
_MD5: Final = Md5()

METHODS: Final[Mapping[str, Method]] = {
    "scram-sha-256": _SCRAM,
    "md5": _MD5,
    "iam": IamToken(),
    "iam-or-scram-sha-256": IamTokenOrPassword(_SCRAM),
    "iam-or-md5": IamTokenOrPassword(_MD5),
    "cert": Certificate(),
    "trust": Trust(),
}
UNKNOWN_USERS: Final = _SCRAM
"""What users who do not exist are mostly asked by, with nothing kept of them."""
TELLING_NOTHING: Final = frozenset({"iam", "cert", "trust"})
"""What they are asked by instead where all others are asked by it."""
