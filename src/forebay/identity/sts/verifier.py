"""Whose a token is, as STS says: the verifier ``sts``.

The checks that need no network come first; then STS is asked, once for equal tokens however many
clients log in with them, and its answer is remembered until the token expires.
"""

import asyncio
import functools
import ssl
from collections.abc import Iterable
from typing import Final

import forebay.identity.sts.sending as sending
from forebay.identity.claims import wrong_times
from forebay.identity.principals import PROXY_ID
from forebay.identity.remembered import MAX_REMEMBERED, Remembered
from forebay.identity.sts.endpoints import Endpoint
from forebay.identity.sts.requests import StsRequest, parse
from forebay.identity.threads import BusyError
from forebay.identity.tokens import Reason, Refusal, TokenError, Verified

FAILURE_KEPT_S: Final = 1.0
"""Enough for the clients that come at the same time; who tries again is asked about again."""


class StsVerifier:
    """Verifies presigned requests of GetCallerIdentity that are bound to one proxy.

    For one event loop; `close` it in the end. Its repr shows no token.
    """

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        proxy_id: str,
        *,
        tls_context: ssl.SSLContext | None = None,
        threads: int = sending.MAX_THREADS,
        waiting: int = sending.MAX_WAITING,
        timeout_s: float = sending.TIMEOUT_S,
        remembered: int = MAX_REMEMBERED,
    ) -> None:
        """``endpoints``: those that tokens may be for, and that are asked. ``tls_context``: None
        for one that trusts what this machine trusts. ``threads`` requests are under way at a time
        and ``waiting`` wait for them, each for ``timeout_s`` in all. Raises ValueError without
        endpoints and for a ``proxy_id`` that no proxy can have."""
        self._endpoints = {endpoint.url: endpoint for endpoint in endpoints}
        if not self._endpoints:
            raise ValueError("there must be an endpoint of STS to ask")
        if not PROXY_ID.fullmatch(proxy_id):
            raise ValueError(f"{proxy_id!r} is no proxy id: letters, digits, - and _, at most 64")
        self._sender = sending.Sender(
            proxy_id, tls_context=tls_context, threads=threads, waiting=waiting, timeout_s=timeout_s
        )
        self._verified: Remembered[Verified] = Remembered(remembered)
        self._refused: Remembered[Refusal] = Remembered(remembered)
        self._under_way: dict[bytes, asyncio.Future[str | Refusal]] = {}

    async def check(self, token: bytes, now_s: float) -> Verified | Refusal:
        """Whose token this is and until when that holds, or why it is not valid.

        ``now_s`` is in seconds since 1970. A token is valid as often as it comes, until it expires.
        """
        try:
            request = parse(token, self._endpoints)
        except TokenError as error:
            return error.refusal
        wrong = wrong_times(request.signed_at_s, request.expires_s, now_s)
        if wrong is not None:
            return _refusal(wrong[0], wrong[1], request)
        digest = self._verified.digest(token)
        verified = self._verified.get(digest, now_s)
        if verified is not None:
            return verified
        refused = self._refused.get(digest, now_s)
        if refused is not None:
            return refused
        return await self._ask(digest, request, now_s)

    def close(self) -> None:
        """Gives up what is under way. `check` is not to be called after it."""
        self._sender.close()

    async def _ask(self, digest: bytes, request: StsRequest, now_s: float) -> Verified | Refusal:
        answer = self._under_way.get(digest)
        if answer is None:
            try:
                answer = self._sender.send(request)
            except BusyError:
                sentence = "too many tokens wait for STS already"
                return _refusal(Reason.TOO_MANY, sentence, request)
            self._under_way[digest] = answer
            remember = functools.partial(self._remember, digest, request, now_s)
            answer.add_done_callback(remember)
        # A client that leaves does not take the answer away from others with the same token.
        return _outcome(await asyncio.shield(answer), request)

    def _remember(
        self,
        digest: bytes,
        request: StsRequest,
        now_s: float,
        answer: "asyncio.Future[str | Refusal]",
    ) -> None:
        del self._under_way[digest]
        outcome = _outcome(answer.result(), request)
        if isinstance(outcome, Verified):
            self._verified.put(digest, outcome, 0.0, outcome.ends_at_s)
        else:
            self._refused.put(digest, outcome, now_s, now_s + FAILURE_KEPT_S)


def _outcome(answer: str | Refusal, request: StsRequest) -> Verified | Refusal:
    if isinstance(answer, str):
        return Verified(answer, request.ends_at_s)
    return _refusal(answer.reason, answer.sentence, request)


def _refusal(reason: Reason, sentence: str, request: StsRequest) -> Refusal:
    return Refusal(reason, f"{sentence}; it was {request.claims}")
