"""Connections between Forebay and the hosts of servers.

What is sent on a connection arrives in order or not at all, as TCP has it: what a cut direction
swallows is sent again when it is healed. Nobody learns of a cut, nor of a host that has vanished,
until that host is there again and does not know the connection.
"""

from collections.abc import Callable
from typing import Any, Protocol

from tests.simulation.failover.world import World

# How soon TCP sends again what was lost, and again.
RETRANSMITTED_S = (0.2, 0.4, 0.8, 1.6)

Message = tuple[Any, ...]
EOF = ("eof",)


class Host(Protocol):
    """What is listening at the other end."""

    name: str
    is_vanished: bool

    def accept(self, wire: "Wire") -> str:
        """Returns "", or "refused"."""

    def receive(self, wire: "Wire", message: Message) -> None: ...


class Wire:
    """One connection. ``read``: who gets what the server sends."""

    def __init__(self, network: "Network", host: Host, read: Callable[[Message], None]) -> None:
        self.network = network
        self.host = host
        self.read = read
        self.is_closed = False  # on Forebay's side: nothing more is read
        self.has_ended = False  # ... on the server's: it knows the connection no more
        self.parked: dict[bool, list[Message]] = {True: [], False: []}
        self.arrives_at = {True: 0.0, False: 0.0}

    def send(self, message: Message) -> None:
        """To the server."""
        if not self.is_closed:
            self.network.carry(self, True, message)

    def answer(self, message: Message) -> None:
        """To Forebay."""
        if message == EOF:
            self.has_ended = True
        self.network.carry(self, False, message)

    def close(self) -> None:
        """Hard, from Forebay's side."""
        if not self.is_closed:
            self.is_closed = True
            self.network.carry(self, True, EOF)


class Network:
    """``cuts``: directions that swallow everything, as (host, towards the server)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.chance("network")
        self.cuts: set[tuple[str, bool]] = set()
        self.slow: dict[str, float] = {}
        self.loss: dict[str, float] = {}  # of each packet's, by host
        self._parked: list[tuple[Wire, bool]] = []

    def delay_s(self, host: Host) -> float:
        """Of one packet, until it has come through."""
        delay_s = self.random.uniform(0.0002, 0.002)
        delay_s += self.random.random() * self.slow.get(host.name, 0.0)
        loss = self.loss.get(host.name, 0.0)
        for again_s in RETRANSMITTED_S:
            if self.random.random() >= loss:
                break
            delay_s += again_s
        return delay_s

    def connect(
        self, host: Host, read: Callable[[Message], None], done: Callable[[str], None]
    ) -> Wire:
        """``done`` gets "" or "refused", or nothing is heard of it ever."""
        wire = Wire(self, host, read)
        self.world.later(self.delay_s(host), self._knock, wire, done)
        return wire

    def _knock(self, wire: Wire, done: Callable[[str], None]) -> None:
        host = wire.host
        if host.is_vanished or (host.name, True) in self.cuts or (host.name, False) in self.cuts:
            return
        said = "" if wire.is_closed else host.accept(wire)
        self.world.later(self.delay_s(host), self._knocked, wire, done, said)

    @staticmethod
    def _knocked(wire: Wire, done: Callable[[str], None], said: str) -> None:
        if not wire.is_closed:
            done(said)

    def carry(self, wire: Wire, inward: bool, message: Message) -> None:
        at = max(self.world.now + self.delay_s(wire.host), wire.arrives_at[inward])
        wire.arrives_at[inward] = at
        self.world.at(at, self._arrive, wire, inward, message)

    def _arrive(self, wire: Wire, inward: bool, message: Message) -> None:
        host = wire.host
        if (host.name, inward) in self.cuts or wire.parked[inward]:
            if not wire.parked[inward]:
                self._parked.append((wire, inward))
            wire.parked[inward].append(message)
        elif not inward:
            if not wire.is_closed:
                wire.read(message)
        elif host.is_vanished:
            pass
        elif wire.has_ended:
            if message != EOF:
                self.carry(wire, False, EOF)  # a reset
        else:
            host.receive(wire, message)

    def cut(self, host: str, inward: bool) -> None:
        self.cuts.add((host, inward))

    def heal(self, host: str, inward: bool) -> None:
        """What was swallowed is sent again, soon."""
        if (host, inward) not in self.cuts:
            return
        self.cuts.discard((host, inward))
        again = [each for each in self._parked if (each[0].host.name, each[1]) == (host, inward)]
        self._parked = [each for each in self._parked if each not in again]
        for wire, direction in again:
            messages, wire.parked[direction] = wire.parked[direction], []
            wire.arrives_at[direction] = self.world.now + self.random.uniform(0.01, 0.3)
            for each in messages:
                self.carry(wire, direction, each)
