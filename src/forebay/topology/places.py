"""Where a server's name leads, also while names can't be looked up."""

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from forebay.net.target import Target
from forebay.topology.sources.resolver import Resolver

MAX_PLACES: Final = 8
"""Addresses of one server that are tried."""
MAX_NAMES: Final = 1_000
"""Names whose addresses are remembered."""


class Places:
    """Looks up a server's name whenever it is connected to, and remembers what it was last."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._last: OrderedDict[str, list[str]] = OrderedDict()

    async def of(self, target: Target, timeout_s: float) -> list[Target]:
        """The target at each of its addresses, in the system's order. ``timeout_s`` bounds the
        lookup; the last addresses serve if it fails. Raises OSError if there are none."""
        if target.is_unix or target.hostaddr:
            return [target]
        try:
            found = await self._resolver.addresses(target.host, timeout_s)
        except OSError:
            if target.host not in self._last:
                raise
            found = self._last[target.host]
        if found == [target.host]:
            return [target]
        self._last[target.host] = found
        self._last.move_to_end(target.host)
        while len(self._last) > MAX_NAMES:
            self._last.popitem(last=False)
        return [replace(target, hostaddr=each) for each in found[:MAX_PLACES]]
