"""Whether a client may log in with a token: whose it is, and whether that one may be the user."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from forebay.identity.authorization import Authorization
from forebay.identity.tokens import Refusal
from forebay.identity.verifier import KeysVerifier

if TYPE_CHECKING:  # a worker that verifies by keys has no need of it
    from forebay.identity.sts import StsVerifier

UNIX_PEER: Final = "unix:"
"""How the address of a client on a Unix socket begins; it is none that a policy could mean."""


class TokenCheck:
    """A verifier, and the policies behind it."""

    def __init__(
        self,
        verifier: "KeysVerifier | StsVerifier",
        authorization: Authorization,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._verifier = verifier
        self._authorization = authorization
        self._now_s = now_s

    async def check(self, token: bytes, user: str, peer: str, database: str = "") -> Refusal | None:
        """Why this text does not let the client be this user; None if it does.

        ``peer``: the client's address without its port, or ``unix:…``; which
        ``database`` it asks for does not matter. What is remembered of a
        token is whose it is; the policies are asked at each login.
        """
        if isinstance(self._verifier, KeysVerifier):
            found = self._verifier.check(token, user, self._now_s())
        else:
            found = await self._verifier.check(token, self._now_s())
        if isinstance(found, Refusal):
            return found
        source_ip = None if peer.startswith(UNIX_PEER) else peer
        return self._authorization.decide(found.principal_arn, user, source_ip, self._now_s())
