"""Giving memory back to the system when most clients have left.

What a client with TLS holds are some fifty pieces on the C heap. When thousands leave, their memory
is free but stays with the process, for here and there a piece is still in use; malloc_trim(3) gives
back the whole pages between them.
"""

import ctypes
from collections.abc import Callable
from typing import Final

LEFT_AT_LEAST: Final = 1000
"""Clients that must have left: for fewer it is not worth the milliseconds."""


def malloc_trim() -> Callable[[], object] | None:
    """glibc's function, which takes a tenth of a millisecond per MB; None where there is none."""
    function = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return None if function is None else lambda: function(0)


class Ebb:
    """Says when so many clients have left that memory should be given back."""

    def __init__(self) -> None:
        self._most = 0

    def has_come(self, clients: int) -> bool:
        """Takes how many clients there are now; whether at least half of the most have left."""
        self._most = max(self._most, clients)
        if self._most - clients < LEFT_AT_LEAST or clients > self._most // 2:
            return False
        self._most = clients
        return True
