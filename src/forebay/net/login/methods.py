"""The ways in which a client may prove who it is, by the name that PostgreSQL gives each.

A method is a row of `METHODS`: a class that says what is kept of a user's passwords, and that talks
to the client until it is known whether it has proved itself.
"""

import functools
import secrets
from collections.abc import Mapping
from typing import Any, Final, Protocol

from forebay.protocol import errors, md5, messages, scram

MOCK_SECRET: Final = secrets.token_bytes(32)
"""Makes the salts of users who do not exist: the same for as long as this process lives."""

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


class Method(Protocol):
    """One way to prove who one is."""

    def derive(self, user: str, passwords: tuple[str, ...]) -> Any:
        """What is kept to hold proofs against; any of the passwords is right. May take long: called
        in a thread."""

    async def prove(self, dialogue: Dialogue, user: str, kept: Any) -> bool:
        """Talks to the client; returns whether it is who it says. `kept` is what `derive` made.

        Raises PgError for what the protocol does not allow, and what `dialogue` raises.
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


METHODS: Final[Mapping[str, Method]] = {
    "scram-sha-256": ScramSha256(),
    "md5": Md5(),
}
UNKNOWN_USERS: Final = ScramSha256()
"""What users who do not exist are asked by: what most are, with nothing kept of them."""
