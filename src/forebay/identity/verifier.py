"""Whether an IAM token is right: the verifier ``keys``, for access keys that the operator holds.

The signature is computed anew with the access key that the token names, and compared. Pure: time is
an argument. One check costs some 30 µs, so it is done where the login is, in no thread.
"""

import hmac
import secrets
from collections.abc import Iterable
from typing import Final

from forebay.identity.access_keys import AccessKey
from forebay.identity.claims import Wrong, wrong_claim
from forebay.identity.sigv4 import encode, sign
from forebay.identity.tokens import (
    SERVICE,
    Reason,
    Refusal,
    Token,
    TokenError,
    Verified,
    is_token_like,
    parse,
    time_text,
)

MAX_PLAIN_TOKEN_BYTES: Final = 4096
"""More than the longest token without a session token has: 2,500 bytes, most of them the user."""


class KeysVerifier:
    """Verifies tokens that were signed with one of these access keys, for one of these hosts.

    ``hosts`` are what clients connect to, as ``host:port``. Its repr shows no key.
    """

    def __init__(self, keys: Iterable[AccessKey], *, region: str, hosts: Iterable[str]) -> None:
        self._keys = {
            key.access_key_id: (
                key,
                None if key.session_token is None else encode(key.session_token),
            )
            for key in keys
        }
        self._region = region
        self._hosts = frozenset(host.lower() for host in hosts)
        session_tokens = (token for _, token in self._keys.values() if token is not None)
        self._max_bytes = MAX_PLAIN_TOKEN_BYTES + max(map(len, session_tokens), default=0)
        # Stands in for a key that is not there, so that looking for one costs the same.
        self._stranger = AccessKey("", secrets.token_urlsafe(30)), None

    def check(self, token: bytes, user: str, now_s: float) -> Verified | Refusal:
        """Whose token this is and until when that holds, or why it is no valid token of this user's
        at this time.

        ``now_s`` is in seconds since 1970. A token is valid as often as it comes, until it expires.
        """
        if len(token) > self._max_bytes and is_token_like(token):  # not to be read for long
            return Refusal(Reason.MALFORMED, "it is longer than tokens of iam.access_keys can be")
        try:
            parsed = parse(token)
        except TokenError as error:
            return error.refusal
        is_signed = self._is_signed(parsed)
        found = self._wrong_claim(parsed, user, now_s) or self._wrong_key(parsed, now_s)
        if found is None and not is_signed:
            found = (
                Reason.WRONG_SIGNATURE,
                "its signature is wrong: it was changed, or signed with another secret access key",
            )
        if found is None:
            key, _ = self._keys[parsed.access_key_id]
            ends_at_s = parsed.ends_at_s
            if key.expires_at_s is not None:
                ends_at_s = min(ends_at_s, key.expires_at_s)
            return Verified(key.owner_arn, ends_at_s)
        reason, sentence = found
        return Refusal(reason, f"{sentence}; it was {parsed.claims}")

    def _is_signed(self, token: Token) -> bool:
        """Takes as long for a key that is not known."""
        key, _ = self._keys.get(token.access_key_id, self._stranger)
        signature = sign(
            key.secret_access_key,
            host=token.signed_host,
            query=token.query,
            date=token.date,
            region=token.region,
            service=SERVICE,
        )
        return hmac.compare_digest(signature, token.signature)

    def _wrong_claim(self, token: Token, user: str, now_s: float) -> Wrong | None:
        """What the token says of itself that does not fit."""
        found = wrong_claim(token, user, now_s, hosts=self._hosts, hosts_key="iam.hosts")
        if token.region != self._region and (found is None or found[0] is not Reason.WRONG_HOST):
            return Reason.WRONG_REGION, f"the token is for another region than {self._region}"
        return found

    def _wrong_key(self, token: Token, now_s: float) -> Wrong | None:
        """What is wrong with the access key that the token names."""
        known = self._keys.get(token.access_key_id)
        if known is None:
            return Reason.UNKNOWN_KEY, "the access key is not among iam.access_keys"
        key, session_token = known
        given = token.encoded_session_token
        if session_token is None and given is not None:
            sentence = "the token has a session token, and the access key in iam.access_keys none"
            return Reason.WRONG_SESSION_TOKEN, sentence
        if session_token is not None and not hmac.compare_digest(session_token, given or ""):
            sentence = "the token's session token is not that of iam.access_keys"
            return Reason.WRONG_SESSION_TOKEN, sentence
        if key.expires_at_s is not None and now_s >= key.expires_at_s:
            sentence = f"the access key in iam.access_keys expired at {time_text(key.expires_at_s)}"
            return Reason.KEY_EXPIRED, sentence
        return None
