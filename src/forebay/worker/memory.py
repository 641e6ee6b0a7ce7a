"""Giving memory back to the system when most of what has taken it is gone.

What a client with TLS holds are some fifty pieces on the C heap; the texts that clients prepare lie
there, too. When thousands leave, or a few that have prepared much, their memory is free but stays
with the process, for here and there a piece is still in use; malloc_trim(3) gives back the whole
pages between them.
"""

import ctypes
from collections.abc import Callable
from typing import Final

CLIENTS_AT_LEAST: Final = 1000
"""So many must have left: for fewer it is not worth the milliseconds."""

STATEMENT_BYTES_AT_LEAST: Final = 8 << 20
"""So much of prepared statements must have gone."""


def malloc_trim() -> Callable[[], object] | None:
    """glibc's function, which takes a tenth of a millisecond per MB; None where there is none."""
    function = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return None if function is None else lambda: function(0)


class Ebb:
    """Says when so much has gone of something that memory should be given back: `least` at the
    least."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._most = 0

    def has_come(self, level: int, peak: int = 0) -> bool:
        """Takes how much there is now, and the most there was since the last time, where that is
        known; whether at least half of the most has gone."""
        self._most = max(self._most, level, peak)
        if self._most - level < self._least or level > self._most // 2:
            return False
        self._most = level
        return True
