"""Process ids and cancel keys of clients.

A process id begins with the number of its worker, and its key is a MAC over the proxy and the id
with a secret of the node's. So no key has to be kept, and one whose client was another worker's,
or another proxy's, fits nobody here.
"""

import hashlib
import hmac
import secrets
from collections.abc import Container

from forebay.channel import Begin

# Cancel keys: four bytes in protocol 3.0, up to 256 in 3.2.
SHORT_KEY_BYTES = 4
LONG_KEY_BYTES = 32
# A process id is a positive number of 31 bits: ten for the worker, the others for its client.
CLIENT_BITS = 21
WORKERS = 1 << 10


class CancelKeys:
    """Those of one proxy's clients in one worker."""

    def __init__(self, begin: Begin, proxy: str) -> None:
        self._prefix = begin.worker_number % WORKERS << CLIENT_BITS
        self._secret = hmac.digest(begin.cancel_secret, proxy.encode(), hashlib.sha256)
        self._next = secrets.randbelow(1 << CLIENT_BITS)

    def new_process_id(self, taken: Container[int]) -> int:
        """A number that none of `taken` has; not reused before two million others. Never 0."""
        while True:
            number = self._prefix | self._next
            self._next = (self._next + 1) % (1 << CLIENT_BITS)
            if number and number not in taken:
                return number

    def key(self, process_id: int, protocol_minor: int) -> bytes:
        """The secret that a cancel request for this client must show."""
        length = LONG_KEY_BYTES if protocol_minor >= 2 else SHORT_KEY_BYTES
        number = process_id.to_bytes(4, "big")
        return hmac.digest(self._secret, number, hashlib.sha256)[:length]
