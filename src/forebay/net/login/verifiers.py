"""Who says whether an IAM token is right."""

from typing import Protocol

from forebay.identity.tokens import Refusal


class TokenVerifier(Protocol):
    """Verifies what clients send as their IAM tokens."""

    async def check(self, token: bytes, user: str, peer: str, database: str) -> Refusal | None:
        """Why this text is no valid token of this user's; None if it is one.

        `peer` is the client's address without its port, `database` the one that it asks for. A
        Refusal of Reason.NOT_A_TOKEN says that it may be a password, one of Reason.TOO_MANY that
        nothing was verified. Bounded in time by the login's timeout. Raises nothing.
        """
