"""What a token says of itself against what it must say: host, region, user and times.

Pure: time is an argument, in seconds since 1970.
"""

from collections.abc import Collection
from typing import Final

from forebay.identity.sigv4 import encode
from forebay.identity.tokens import MAX_EXPIRES_S, Reason, Token, time_text

MAX_CLOCK_SKEW_S: Final = 300.0
"""How far a client's clock may be ahead of this one: AWS's own tolerance for signatures."""

Wrong = tuple[Reason, str]
"""What is wrong, as a reason and as a sentence."""


def wrong_claim(
    token: Token, user: str, now_s: float, *, hosts: Collection[str], hosts_key: str
) -> Wrong | None:
    """What of host, user and times is not as it must be; None if all is.

    ``hosts``: the accepted ``host:port`` in lower case; ``hosts_key``: where they are configured.
    """
    if token.host not in hosts:
        accepted = ", ".join(sorted(hosts))
        sentence = f"the token is for another host than {hosts_key} has ({accepted})"
        return Reason.WRONG_HOST, sentence
    if token.encoded_user != encode(user):
        return Reason.WRONG_USER, "the token is for another user than the one who logs in"
    return wrong_times(token.signed_at_s, token.expires_s, now_s)


def wrong_times(signed_at_s: float, expires_s: int, now_s: float) -> Wrong | None:
    """Whether something signed then, for so long, is valid for too long, not yet, or no more."""
    if expires_s > MAX_EXPIRES_S:
        return Reason.TOO_LONG_LIVED, f"the token is valid for longer than {MAX_EXPIRES_S} s"
    if signed_at_s > now_s + MAX_CLOCK_SKEW_S:
        sentence = f"the token is from the future: here it is {time_text(now_s)}"
        return Reason.FROM_THE_FUTURE, sentence
    if now_s >= signed_at_s + expires_s:
        return Reason.EXPIRED, f"the token has expired: here it is {time_text(now_s)}"
    return None
