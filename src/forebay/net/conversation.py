"""Conversations with a PostgreSQL server, apart from who carries the bytes.

A conversation is a generator: it yields what it needs next (`Send`, `Receive`, `Stretch`), is given
what came of it, and returns its result or raises what went wrong. It knows no socket and no clock.
`forebay.net.connector` carries one over a Stream, `forebay.net.blocking` over a blocking socket.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from forebay.protocol.messages import MalformedMessageError, Message
from forebay.protocol.scram import ClientKeys

_T = TypeVar("_T")

MAX_KEPT_KEYS: Final = 1024

# Keys by password, salt and iterations. The password is in the key because a server chooses the
# salt: with the salt alone it could be answered with another user's keys.
_kept_keys: OrderedDict[bytes, ClientKeys] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Send:
    """These bytes are to leave now. Nothing is given back."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Receive:
    """The next message is needed, with a body of at most this length. Gives a Message."""

    limit_bytes: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A password's keys are needed, which takes milliseconds to compute. Gives ClientKeys."""

    password: str = field(repr=False)
    salt: bytes
    iterations: int

    def kept(self) -> ClientKeys | None:
        """The keys, if they have been computed before: further connections cost no PBKDF2."""
        return _kept_keys.get(self._name())

    def compute(self) -> ClientKeys:
        """Slow: outside of an event loop, or in a thread."""
        return ClientKeys.derive(self.password, self.salt, self.iterations)

    def keep(self, keys: ClientKeys) -> None:
        """Has the keys at hand for the next one who needs them."""
        _kept_keys[self._name()] = keys
        if len(_kept_keys) > MAX_KEPT_KEYS:
            _kept_keys.popitem(last=False)

    def _name(self) -> bytes:
        secret = self.password.encode("utf-8", "surrogatepass")
        head = b"%d,%d," % (self.iterations, len(self.salt))
        return hashlib.sha256(head + self.salt + secret).digest()


Step = Send | Receive | Stretch
Conversation = Generator[Step, Any, _T]


def receive(limit_bytes: int) -> Conversation[Message]:
    """The next message."""
    message: Message = yield Receive(limit_bytes)
    return message


def unexpected(kind: int) -> MalformedMessageError:
    """The error for a message that has no place where it came."""
    name = repr(chr(kind)) if 0x20 < kind < 0x7F else f"0x{kind:02x}"
    return MalformedMessageError(f"unexpected message of type {name} from the server")
