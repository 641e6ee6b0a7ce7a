"""What finds the servers of a cluster."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from forebay.config.addresses import Address

Propose = Callable[[Sequence[Address]], None]
"""Is given all servers there may be, each time that they may be others."""

MAX_SERVERS: Final = 100
"""Of one cluster, whoever lists them."""


class Source(Protocol):
    """Proposes servers; each is asked itself what it is, so that a source can't make a writer.

    What was proposed stays until something else is: a source that fails says so in ``trouble``, and
    takes nothing back. ``is_final``: a server that it does not name is gone, whatever it is. Where
    it only passes on what others say, a writer that answers stays, and ``fallback`` are servers to
    ask as well when no writer is found among those proposed.
    """

    @property
    def is_final(self) -> bool: ...

    @property
    def fallback(self) -> Sequence[Address]: ...

    @property
    def trouble(self) -> str:
        """Why it does not know what it should, in words; "": it does."""

    def start(self, propose: Propose) -> None:
        """Begins to propose."""

    def look(self) -> None:
        """There is trouble: looks at once. It may be called often."""

    def set_hosts(self, hosts: Sequence[Address]) -> None:
        """The configured hosts are others."""

    async def stop(self) -> None:
        """Ends; proposes nothing afterwards."""
