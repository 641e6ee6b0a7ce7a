"""What drives the Cluster: a control connection per server, kept open, and a probe when one is due.

In short what `forebay.topology.monitor` and `prober` do, with virtual time and network.
"""

from collections.abc import Callable
from dataclasses import dataclass

from forebay.config.addresses import Address
from forebay.topology.cluster import Cluster
from forebay.topology.reports import Failure, FailureKind, HintKind, Report, Verdict
from forebay.topology.timing import Timing
from tests.simulation.failover.network import EOF, Message, Network, Wire
from tests.simulation.failover.postgres import Postgres
from tests.simulation.failover.world import World

TIMEOUT_S = 1.0
_KINDS: dict[str, FailureKind] = {
    "57P01": "lost",
    "57P02": "lost",
    "57P03": "starting",
    "28P01": "auth",
    "53300": "too_many",
}


@dataclass(eq=False)
class Probe:
    """Under way since ``asked_at``."""

    address: Address
    asked_at: float
    is_over: bool = False


class Control:
    """``tell`` gets each new verdict, a moment later."""

    def __init__(
        self,
        world: World,
        network: Network,
        servers: dict[Address, Postgres],
        hosts: list[Address],
        tell: Callable[[Verdict], None],
    ) -> None:
        self.world, self.network, self.servers, self.tell = world, network, servers, tell
        self.random = world.chance("control")
        self.cluster = Cluster(hosts, Timing(chance=world.chance("jitter").random), world.now)
        self.wires: dict[Address, Wire] = {}
        self.probes: dict[Address, Probe] = {}
        self.notices: dict[Address, str] = {}
        self.told: Verdict | None = None
        self.tells_at = 0.0
        self.wakes_at = 0.0
        self.stalled_until = 0.0
        self.is_over = False
        self.heard_at: dict[Address, float] = {}
        self.on_report: Callable[[Report], None] = lambda report: None

    def close(self) -> None:
        """Nothing is asked or told any more."""
        self.is_over = True
        self.probes.clear()
        for each in self.wires.values():
            each.close()
        self.wires.clear()

    def run(self) -> None:
        """Asks whom it is time to ask. Called whenever something may have changed."""
        if self.is_over or self.world.now < self.stalled_until:
            return
        now = self.world.now
        for address in self.cluster.due(now):
            self.cluster.asked(address, now)
            self._probe(Probe(address, now))
        self._tell()
        wakes_at = self.cluster.next_at(now)
        # Another wake-up that comes sooner looks again.
        if wakes_at < self.wakes_at or self.wakes_at <= now:
            self.wakes_at = wakes_at
            if wakes_at < 1e9:
                self.world.at(wakes_at, self._wake, wakes_at)

    def _wake(self, at: float) -> None:
        if at == self.wakes_at:
            self.wakes_at = 0.0
            self.run()

    def stall(self, duration_s: float) -> None:
        """The node is not run for a while: probes end when it is again."""
        self.stalled_until = self.world.now + duration_s
        self.wakes_at = self.stalled_until + 1e-6
        self.world.later(duration_s + 1e-6, self._wake, self.wakes_at)

    def set_hosts(self, hosts: list[Address]) -> None:
        self.cluster.set_hosts(hosts, self.world.now)
        for each in list(self.wires):
            if each not in hosts:
                self.wires.pop(each).close()
        self.run()

    def hint(self, address: Address, kind: HintKind) -> None:
        """Told by traffic, or by a control connection that ended."""
        self.world.log("hint", address.host, kind)
        self.cluster.hint(address, kind, self.world.now)
        self.run()

    def expect(self) -> None:
        """A switchover is announced."""
        self.cluster.expect(self.world.now)
        self.run()

    def _tell(self) -> None:
        verdict = self.cluster.verdict
        if verdict is self.told:
            return
        self.told = verdict
        writer = verdict.writer.host if verdict.writer else ""
        self.world.log("verdict", verdict.state, verdict.epoch, writer, verdict.cause)
        at = max(self.tells_at, self.world.now + self.random.uniform(0.0002, 0.003))
        self.tells_at = at
        self.world.at(at, self._arrive, verdict)

    def _arrive(self, verdict: Verdict) -> None:
        if not self.is_over:
            self.tell(verdict)

    # One probe.

    def _probe(self, probe: Probe) -> None:
        before = self.probes.get(probe.address)
        if before is not None:  # given up: its connection goes with it, and what comes of it late
            before.is_over = True
            if wire := self.wires.pop(probe.address, None):
                wire.close()
        self.probes[probe.address] = probe
        self.world.later(TIMEOUT_S, self._time_out, probe)
        if wire := self.wires.get(probe.address):
            wire.send(("ask", 0))
            return
        address = probe.address
        host = self.servers[address]
        made: list[Wire] = []
        made.append(
            self.network.connect(
                host,
                lambda message: self._read(made[0], address, message),
                lambda said: self._connected(made[0], probe, said),
            )
        )
        self.wires[address] = made[0]

    def _connected(self, wire: Wire, probe: Probe, said: str) -> None:
        if said:
            self._fail(probe.address, "refused")
        else:
            wire.send(("login", "control"))
            wire.send(("ask", 0))

    def _time_out(self, probe: Probe) -> None:
        if self.probes.get(probe.address) is probe and not probe.is_over:
            if self.world.now < self.stalled_until:
                delay_s = self.stalled_until - self.world.now + 0.001
                self.world.later(delay_s, self._time_out, probe)
                return
            self._fail(probe.address, "timeout")

    def _read(self, wire: Wire, address: Address, message: Message) -> None:
        if self.world.now < self.stalled_until:
            delay_s = self.stalled_until - self.world.now + 0.0005
            self.world.later(delay_s, self._read, wire, address, message)
            return
        if self.wires.get(address) is not wire:
            return
        self.heard_at[address] = self.world.now
        probe = self.probes.get(address)
        if message[0] == "report":
            self.on_report(message[1])
            if probe is not None:
                self.probes.pop(address)
                probe.is_over = True
                now = self.world.now
                self.cluster.answered(address, message[1], now, probe.asked_at)
                self.run()
        elif message[0] in ("E", "N"):
            self.notices[address] = message[1]
        elif message == EOF:
            code = self.notices.pop(address, "")
            if probe is not None:
                self._fail(address, _KINDS.get(code, "lost"))
            else:
                self.wires.pop(address).close()
                self.hint(address, "terminated" if code == "57P01" else "lost")

    def _fail(self, address: Address, kind: FailureKind) -> None:
        if wire := self.wires.pop(address, None):
            wire.close()
        self.notices.pop(address, None)
        probe = self.probes.pop(address, None)
        if probe is not None:
            probe.is_over = True
            failure = Failure(kind, "")
            self.cluster.failed(address, failure, self.world.now, probe.asked_at)
            self.run()
