"""Where one proxy's connections lead: to the first of its hosts, or, if they are watched, to the
one that writes, as the node has told.
"""

from dataclasses import replace

from forebay.channel import Route
from forebay.config.addresses import Address, parse_address
from forebay.config.settings import TargetSettings

UNTOLD = "it is not known yet which server writes"


class Course:
    """Of one proxy."""

    def __init__(self, target: TargetSettings, route: Route | None) -> None:
        self._target = target
        self.route = route if target.is_watched else None

    @property
    def is_watched(self) -> bool:
        """Whether the node tells which server it is."""
        return self._target.is_watched

    @property
    def address(self) -> Address:
        """Where connections are opened now; while that is not known, none may be opened."""
        if self.route is None or not self.route.writer:
            return self._target.addresses()[0]
        address = parse_address(self.route.writer, wildcard=False)
        return replace(address, name=self.route.writer_name)

    @property
    def obstacle(self) -> str:
        """In words, why nobody may be lent a connection now; empty if nothing stands in the way."""
        if not self.is_watched:
            return ""
        if self.route is None:
            return UNTOLD
        return "" if self.route.state == "UP" else self.route.cause or UNTOLD

    @property
    def standbys(self) -> list[Address]:
        """Servers of which one may be the next to write."""
        if self.route is None:
            return []
        found = [
            (each, parse_address(each.address, wildcard=False)) for each in self.route.standbys
        ]
        return [replace(address, name=each.name) for each, address in found]

    def take(self, route: Route) -> bool:
        """This is the route from now on, unless it is an old one. Returns whether connections from
        before are of no use: they lead to another server, or to the same before it was started
        anew."""
        before = self.route
        if not self.is_watched or (before is not None and route.epoch < before.epoch):
            return False
        self.route = route
        return before is not None and 0 < before.epoch < route.epoch
