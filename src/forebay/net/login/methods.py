"""The ways in which a client may prove who it is, by the name that PostgreSQL gives each.

A method is a row of `METHODS`: a class that says what is kept of a user's passwords, and that talks
to the client until it is known whether it has proved itself.
"""

import functools
import hmac
import secrets
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from forebay.identity.tokens import Reason, Refusal
from forebay.protocol import errors, md5, messages, scram
from forebay.protocol.saslprep import saslprep

MOCK_SECRET: Final = secrets.token_bytes(32)
"""Makes the salts of users who do not exist: the same for as long as this process lives."""

_MAC_KEY: Final = secrets.token_bytes(32)
_OFFERED: Final = (scram.MECHANISM,)
_OFFERED_WITH_BINDING: Final = (scram.MECHANISM_PLUS, scram.MECHANISM)
_offer: Final = functools.lru_cache(2)(messages.authentication_sasl)


class Dialogue(Protocol):
    """What a method may do with the client."""

    @property
    def binding(self) -> bytes | None:
        """The hash of the certificate that the client sees; None if nothing can be bound to it."""

    def say(self, message: bytes) -> None:
        """Leaves with the next `answer`, or with AuthenticationOk."""

    async def answer(self) -> bytes:
        """The body of the client's next message of type 'p'."""

    @property
    def is_encrypted(self) -> bool:
        """Whether nobody between here and the client can read what is said."""

    async def long_answer(self) -> bytes:
        """As `answer`, but it may be as long as any token."""

    def refusal(self, token: bytes, user: str) -> Refusal | None:
        """Why this is no valid IAM token of the user's; None if it is one."""


class NotProvedError(Exception):
    """A proof does not hold. `error` is what the client is told, `reason` what only the log is."""

    def __init__(self, error: errors.PgError, reason: str) -> None:
        super().__init__(error.message)
        self.error = error
        self.reason = reason


class Method(Protocol):
    """One way to prove who one is."""

    def derive(self, user: str, passwords: tuple[str, ...]) -> Any:
        """What is kept to hold proofs against; any of the passwords is right. May take long: called
        in a thread."""

    async def prove(self, dialogue: Dialogue, user: str, kept: Any) -> bool:
        """Talks to the client; returns whether it is who it says. `kept` is what `derive` made.

        Raises NotProvedError instead of returning False where "the password is wrong" is not what
        the client is to be told; PgError for what cannot be, and what `dialogue` raises.
        """


class Md5:
    """md5(md5(password + user) + salt): weak, for users that are still set so."""

    def derive(self, user: str, passwords: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(md5.stored_hash(user, password) for password in passwords)

    async def prove(self, dialogue: Dialogue, _: str, kept: tuple[str, ...]) -> bool:
        salt = secrets.token_bytes(md5.SALT_BYTES)
        dialogue.say(messages.authentication_md5_password(salt))
        answer = messages.parse_password(await dialogue.answer())
        if not answer:
            raise errors.unsupported_authentication()
        return any(md5.verify(stored, salt, answer) for stored in kept)


class ScramSha256:
    """SCRAM-SHA-256, with channel binding where it can be.

    Users who do not exist go through a whole exchange, too (`kept` is None): who exists is not told
    before the password.
    """

    def derive(self, _: str, passwords: tuple[str, ...]) -> tuple[scram.Verifier, ...]:
        salt = secrets.token_bytes(scram.SALT_BYTES)
        return tuple(scram.make_verifier(password, salt) for password in passwords)

    async def prove(
        self, dialogue: Dialogue, user: str, kept: tuple[scram.Verifier, ...] | None
    ) -> bool:
        binding = dialogue.binding
        offered = _OFFERED if binding is None else _OFFERED_WITH_BINDING
        dialogue.say(_offer(offered))
        body = await dialogue.answer()
        try:
            mechanism, first = messages.parse_sasl_initial_response(body)
            if mechanism not in offered:
                raise errors.unsupported_authentication()
            verifiers = kept or (scram.mock_verifier(user, MOCK_SECRET),)
            exchange = scram.ServerExchange(mechanism, verifiers, binding)
            dialogue.say(messages.authentication_sasl_continue(exchange.first(first)))
            final = exchange.final(await dialogue.answer())
        except scram.ProofError:
            return False
        except scram.ScramError as error:
            raise errors.protocol_violation(str(error)) from None
        if kept is None:
            return False
        dialogue.say(messages.authentication_sasl_final(final))
        return True


class IamToken:
    """An IAM token, sent as the password, over TLS only. Passwords do not count."""

    def derive(self, _: str, __: tuple[str, ...]) -> None:
        return None

    async def prove(self, dialogue: Dialogue, user: str, _: None) -> bool:
        if not dialogue.is_encrypted:
            raise errors.iam_requires_tls()
        dialogue.say(messages.authentication_cleartext_password())
        token = messages.parse_password(await dialogue.long_answer())
        refusal = dialogue.refusal(token, user)
        if refusal is not None:
            raise NotProvedError(errors.iam_failed(user), refusal.sentence)
        return True


class _Passwords(NamedTuple):
    """What passwords that are sent as they are are held against."""

    macs: tuple[bytes, ...]
    limit_bytes: int  # nothing longer is one of them

    @classmethod
    def of(cls, passwords: tuple[str, ...]) -> "_Passwords":
        prepared = [saslprep(password) for password in passwords]
        # Preparing takes a millisecond for some hundred characters, so a long answer is not. One
        # that is written in another of Unicode's forms is not many times as long as the password.
        longest_bytes = max(map(len, prepared), default=0)
        return cls(tuple(map(_mac, prepared)), 64 + 4 * longest_bytes)

    def have(self, answer: bytes) -> bool:
        """Whether it is one of them; the time tells nothing about how much of it is right."""
        if len(answer) > self.limit_bytes:
            return False
        mac = _mac(saslprep(answer.decode("utf-8", "surrogateescape")))
        return any(hmac.compare_digest(mac, each) for each in self.macs)


def _mac(password: bytes) -> bytes:
    """Of one length for all passwords, and of no use to anybody outside this process."""
    return hmac.digest(_MAC_KEY, password, "sha256")


class IamTokenOrPassword:
    """Either, in the same message: over TLS the client is asked for its password as it is, since
    it cannot be told to choose. Without TLS a password is proved as `without_tls` does."""

    def __init__(self, without_tls: Method) -> None:
        self._without_tls = without_tls

    def derive(self, user: str, passwords: tuple[str, ...]) -> tuple[_Passwords, Any]:
        return _Passwords.of(passwords), self._without_tls.derive(user, passwords)

    async def prove(self, dialogue: Dialogue, user: str, kept: tuple[_Passwords, Any]) -> bool:
        passwords, without_tls = kept
        if not dialogue.is_encrypted:
            return await self._without_tls.prove(dialogue, user, without_tls)
        dialogue.say(messages.authentication_cleartext_password())
        answer = messages.parse_password(await dialogue.long_answer())
        if not answer:
            raise errors.unsupported_authentication()
        if passwords.have(answer):
            return True
        refusal = dialogue.refusal(answer, user)
        if refusal is not None and refusal.reason is not Reason.NOT_A_TOKEN:
            raise NotProvedError(errors.iam_failed(user), refusal.sentence)
        return refusal is None


_SCRAM: Final = ScramSha256()
_MD5: Final = Md5()

METHODS: Final[Mapping[str, Method]] = {
    "scram-sha-256": _SCRAM,
    "md5": _MD5,
    "iam": IamToken(),
    "iam-or-scram-sha-256": IamTokenOrPassword(_SCRAM),
    "iam-or-md5": IamTokenOrPassword(_MD5),
}
UNKNOWN_USERS: Final = _SCRAM
"""What users who do not exist are mostly asked by, with nothing kept of them."""
