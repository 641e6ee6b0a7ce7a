"""Who says whether an IAM token is right."""

import time
from typing import Protocol

from forebay.identity.tokens import Refusal
from forebay.identity.verifier import KeysVerifier


class TokenVerifier(Protocol):
    """Verifies what clients send as their IAM tokens."""

    async def check(self, token: bytes, user: str, peer: str) -> Refusal | None:
        """Why this text is no valid token of this user's; None if it is one.

        `peer` is the client's address without its port. A Refusal of Reason.NOT_A_TOKEN says that
        it may be a password, one of Reason.TOO_MANY that nothing was verified. Bounded in time by
        the login's timeout. Raises nothing.
        """


class ByKeys:
    """Tokens that were signed with access keys which the operator holds. Takes some 30 µs, so it
    is done here and not in a thread."""

    def __init__(self, verifier: KeysVerifier) -> None:
        self._verifier = verifier

    async def check(self, token: bytes, user: str, _: str) -> Refusal | None:
        """As TokenVerifier's."""
        return self._verifier.check(token, user, time.time())
