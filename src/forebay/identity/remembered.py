"""What was found out of tokens, until they expire. No token is kept, only a hash of each.

Time is an argument, in seconds since 1970.
"""

import hmac
import secrets
from collections import OrderedDict
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MAX_REMEMBERED: Final = 10_000
"""Entries; several times the clients that can log in within a token's life without new ones."""


class Remembered(Generic[T]):
    """Values by hashes of secret texts, each until its end; of too many, the least recently used
    are forgotten. The key of the hash is this object's own: they are of no use to anybody else."""

    def __init__(self, most: int = MAX_REMEMBERED) -> None:
        self._most = most
        self._key = secrets.token_bytes(32)
        self._found: OrderedDict[bytes, tuple[T, float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def digest(self, *parts: bytes) -> bytes:
        """By what a text is known here; of several parts, the parts with their lengths."""
        mac = hmac.new(self._key, digestmod="sha256")
        for part in parts:
            mac.update(len(part).to_bytes(8, "big"))
            mac.update(part)
        return mac.digest()

    def get(self, digest: bytes, now_s: float) -> T | None:
        """What is remembered, or None. A clock that was set back since makes it forgotten."""
        known = self._found.get(digest)
        if known is None:
            return None
        value, begins_at_s, ends_at_s = known
        if not begins_at_s <= now_s < ends_at_s:
            del self._found[digest]
            return None
        self._found.move_to_end(digest)
        return value

    def put(self, digest: bytes, value: T, begins_at_s: float, ends_at_s: float) -> None:
        """Remember a value that holds from then to then."""
        self._found[digest] = value, begins_at_s, ends_at_s
        self._found.move_to_end(digest)
        while len(self._found) > self._most:
            self._found.popitem(last=False)

    def forget(self, digest: bytes) -> None:
        """As if it had never been put."""
        self._found.pop(digest, None)
