"""The servers are those that are configured."""

from collections.abc import Sequence

from forebay.config.addresses import Address
from forebay.topology.sources.source import Propose


class StaticSource:
    """See `Source`."""

    is_final = True
    fallback: Sequence[Address] = ()
    trouble = ""

    def __init__(self, hosts: Sequence[Address]) -> None:
        self._hosts = tuple(hosts)
        self._propose: Propose | None = None

    def start(self, propose: Propose) -> None:
        self._propose = propose
        propose(self._hosts)

    def look(self) -> None:
        """There is nothing to look at."""

    def set_hosts(self, hosts: Sequence[Address]) -> None:
        self._hosts = tuple(hosts)
        if self._propose is not None:
            self._propose(self._hosts)

    async def stop(self) -> None:
        self._propose = None
