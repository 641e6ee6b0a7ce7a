"""The verifier ``database``: RDS tokens that the database itself verifies.

Nobody but AWS can compute the signature of a token whose access key is not at hand, and RDS and
Aurora let AWS do so. So a token is presented to the database: if it lets the user in, the token is
right. Here stands what is decided without the database: what a token says of itself, which ones it
has accepted, and how many logins may ask it. Pure: time is an argument, in seconds since 1970.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from forebay.identity.claims import wrong_claim
from forebay.identity.remembered import MAX_REMEMBERED, Remembered
from forebay.identity.tokens import Reason, Refusal, Token, TokenError, is_token_like, parse

MAX_TOKEN_BYTES: Final = 16_384
"""With a session token of 4 kB, percent-encoded thrice as long, and the longest user's name."""
MAX_USERS: Final = 1_000
"""Of so many users the newest token is kept: more than RDS Proxy has secrets."""


def read_presented(
    token: bytes, user: str, now_s: float, *, hosts: Iterable[str]
) -> Token | Refusal:
    """What this text claims, if a database of ``hosts`` (``host:port``) could accept it as this
    user's token at this time; else why not. Nothing of it is verified."""
    if len(token) > MAX_TOKEN_BYTES and is_token_like(token):
        return Refusal(Reason.MALFORMED, f"it is longer than {MAX_TOKEN_BYTES} bytes")
    try:
        parsed = parse(token)
    except TokenError as error:
        return error.refusal
    lowered = {host.lower() for host in hosts}
    found = wrong_claim(parsed, user, now_s, hosts=lowered, hosts_key="target.hosts")
    if found is None:
        return parsed
    return Refusal(found[0], f"{found[1]}; it was {parsed.claims}")


@dataclass(frozen=True, slots=True)
class _Newest:
    """A token that the database has accepted, to open further connections with."""

    token: bytes = field(repr=False)
    ends_at_s: float


class AcceptedTokens:
    """The tokens that the database has accepted, by hash until they expire; of each user the one
    that lasts longest as it is, to open further connections for its pool with.

    Bounded: the tokens and users that were not used for longest are forgotten. Its repr shows none.
    """

    def __init__(self, *, tokens: int = MAX_REMEMBERED, users: int = MAX_USERS) -> None:
        self._accepted: Remembered[float] = Remembered(tokens)
        self._newest: OrderedDict[str, _Newest] = OrderedDict()
        self._users = users

    def accept(self, token: bytes, user: str, ends_at_s: float) -> None:
        """The database has let this user in with this token, which expires then."""
        self._accepted.put(self._digest(token, user), ends_at_s, 0.0, ends_at_s)
        known = self._newest.get(user)
        if known is None or known.ends_at_s <= ends_at_s:
            self._newest[user] = _Newest(token, ends_at_s)
        self._newest.move_to_end(user)
        while len(self._newest) > self._users:
            self._newest.popitem(last=False)

    def is_accepted(self, token: bytes, user: str, now_s: float) -> bool:
        """Whether the database has accepted this token of this user's, and it has not expired."""
        return self._accepted.get(self._digest(token, user), now_s) is not None

    def newest(self, user: str, now_s: float) -> bytes | None:
        """The user's accepted token that lasts longest, while it lasts."""
        known = self._newest.get(user)
        if known is None:
            return None
        if now_s >= known.ends_at_s:
            del self._newest[user]
            return None
        self._newest.move_to_end(user)
        return known.token

    def reject(self, token: bytes, user: str) -> None:
        """The database does not accept this token any more: the user has lost its rights, say."""
        self._accepted.forget(self._digest(token, user))
        known = self._newest.get(user)
        if known is not None and known.token == token:
            del self._newest[user]

    def _digest(self, token: bytes, user: str) -> bytes:
        return self._accepted.digest(token, user.encode("utf-8", "surrogateescape"))


class VerifyingLimit:
    """How many logins may have the database verify a token: so many at a time, and so many a
    second (after a pause, as many at once). RDS refuses tokens that come faster than it verifies
    them, and each costs a connection."""

    def __init__(self, *, at_a_time: int = 20, per_second: float = 100.0) -> None:
        self._at_a_time = at_a_time
        self._per_second = per_second
        self._under_way = 0
        self._left = per_second
        self._counted_at_s: float | None = None

    def begin(self, now_s: float) -> Refusal | None:
        """A login wants to verify: why it may not now, or None; then `end` must be called."""
        if self._counted_at_s is not None:
            passed_s = max(0.0, now_s - self._counted_at_s)
            self._left = min(self._per_second, self._left + passed_s * self._per_second)
        self._counted_at_s = now_s
        if self._under_way >= self._at_a_time:
            sentence = f"{self._under_way} logins have the database verify their tokens already"
            return Refusal(Reason.TOO_MANY, sentence)
        if self._left < 1.0:
            sentence = f"more than {self._per_second:g} logins a second have tokens verified"
            return Refusal(Reason.TOO_MANY, sentence)
        self._left -= 1.0
        self._under_way += 1
        return None

    def end(self) -> None:
        """The database has answered a login, or the login has ended."""
        self._under_way -= 1
