"""Verifiers of IAM tokens that ask somebody else: the database, or the node (which asks STS)."""

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from forebay.channel import CallError, DatabaseLogin, Verified, VerifyToken
from forebay.identity.presented import AcceptedTokens, VerifyingLimit, read_presented
from forebay.identity.tokens import Reason, Refusal
from forebay.net.connector import ConnectError, IamToken
from forebay.protocol.errors import PgError
from forebay.worker.asking import AskNode
from forebay.worker.identities import Attempt

NODE_TIMEOUT_S: Final = 20.0
"""Longer than the node waits for STS; a login's own timeout mostly comes first."""

TryLogin = Callable[[Attempt, str], Awaitable[None]]
"""Logs in to a database (the second argument). Raises PgError or ConnectError."""


class ByDatabase:
    """Presents a token to the database that it was signed for: if that lets the user in, it is
    right. ``hosts``: the database's names, as ``host:port``."""

    def __init__(
        self,
        hosts: Iterable[str],
        accepted: AcceptedTokens,
        limit: VerifyingLimit,
        log_in: TryLogin,
    ) -> None:
        self._hosts = tuple(hosts)
        self._accepted = accepted
        self._limit = limit
        self._log_in = log_in

    async def check(self, token: bytes, user: str, _: str, database: str) -> Refusal | None:
        """As forebay.net.login.TokenVerifier's."""
        now_s = time.time()
        if self._accepted.is_accepted(token, user, now_s):
            return None
        read = read_presented(token, user, now_s, hosts=self._hosts)
        if isinstance(read, Refusal):
            return read
        too_many = self._limit.begin(now_s)
        if too_many is not None:
            return too_many
        try:
            text = token.decode("ascii")  # or it would not have been read
            await self._log_in(Attempt(user, IamToken(text), DatabaseLogin(user, "")), database)
        except PgError as error:
            return Refusal(Reason.NOT_ACCEPTED, f"the database says: {error.message}")
        except ConnectError as error:
            return Refusal(Reason.DATABASE_FAILED, f"the database can't verify it: {error}")
        finally:
            self._limit.end()
        self._accepted.accept(token, user, read.ends_at_s)
        return None


class ByNode:
    """Has the node verify tokens, and look into the policies."""

    def __init__(self, proxy: str, ask: AskNode) -> None:
        self._proxy = proxy
        self._ask = ask

    async def check(self, token: bytes, user: str, peer: str, _: str) -> Refusal | None:
        """As forebay.net.login.TokenVerifier's."""
        request = VerifyToken(proxy=self._proxy, user=user, peer=peer, token=token)
        try:
            answer: Verified = await self._ask(request, Verified, NODE_TIMEOUT_S)
        except CallError as error:
            return Refusal(Reason.STS_FAILED, f"it can't be verified: {error}")
        return Refusal(Reason(answer.reason), answer.sentence) if answer.reason else None
