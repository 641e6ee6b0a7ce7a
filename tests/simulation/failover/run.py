"""One world from its seed to its end."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from forebay.config.addresses import Address
from forebay.topology.reports import HintKind, Verdict
from tests.simulation.failover import faults as faulty
from tests.simulation.failover.clients import Client, Kind
from tests.simulation.failover.control import Control
from tests.simulation.failover.faults import Fault
from tests.simulation.failover.network import Network
from tests.simulation.failover.observer import Observer
from tests.simulation.failover.operator import Operator
from tests.simulation.failover.plane import TIMEOUT_S, Plane
from tests.simulation.failover.postgres import Postgres
from tests.simulation.failover.world import World

HEALED_AT_S = 15.0
ENDS_AT_S = 26.0
# What the reference demands: a healthy writer is found, and a dead one is given up, within these.
FOUND_S = 5.0
GIVEN_UP_S = 2.6
# Whoever is in reach for so long has been asked, whatever was under way.
HEARD_S = 1.5
TICK_S = 0.1
SYSTEM_ID, OTHER_SYSTEM_ID = "7100", "9900"
CLIENTS: list[Kind] = ["idle"] * 3 + ["autocommit"] * 4 + ["transactions"] * 3


@dataclass
class Summary:
    """Of a world in which nothing went wrong."""

    hash: str
    lines: int
    done: int
    epochs: int
    errors: dict[str, int]


class Simulation:
    """``faults``: None: what the seed plans, of ``kinds`` alone if there are any. ``plane``: its
    class, which a planted bug changes."""

    def __init__(
        self,
        seed: int,
        faults: Sequence[Fault] | None = None,
        plane: Callable[..., Plane] = Plane,
        kinds: Sequence[str] = (),
    ) -> None:
        world = self.world = World(seed)
        random = world.chance("world")
        if faults is None:
            faults = faulty.plan(world.chance("faults"), kinds)
        self.faults = list(faults)
        self.network = Network(world)
        names = ["a", "b", "c"][: random.choice([2, 2, 3])]
        servers = [Postgres(world, self.network, each, SYSTEM_ID) for each in names]
        self.operator = Operator(world, servers)
        if random.random() < 0.2:  # a host that does not belong here
            stranger = Postgres(world, self.network, "x", OTHER_SYSTEM_ID)
            stranger.timeline = 50
            stranger.state = "down"
            servers = [*servers, stranger]
            world.later(random.uniform(2.0, 6.0), stranger.start, None)
        self.servers = {Address(each.name, 5432): each for each in servers}
        self.observer = Observer(world, SYSTEM_ID)
        self.observer.authority = lambda: self.operator.authority
        for each in servers:
            each.on_double = self.observer.doubled
        self.make_plane = plane
        self.is_retryable = random.random() < 0.5
        self.out: list[str] = []
        self.clients: list[Client] = []
        self.start()
        numbers = itertools.count(1)
        self.clients = [
            Client(world, self.plane, f"{kind} {number}", kind, numbers, self.observer.told)
            for number, kind in enumerate(CLIENTS)
        ]
        self.stalls_until = 0.0
        self.well = ("", 0)  # a life of a server
        self.well_since = 0.0
        self.fit = ("", 0, 0)  # ... and its timeline
        self.fit_since = 0.0
        self.dead_since = 0.0
        self.dead_writer: Address | None = None
        for each_fault in self.faults:
            world.later(each_fault.at, faulty.strike, self, each_fault)
        world.later(HEALED_AT_S, self.heal)
        world.later(TICK_S, self.tick)

    def start(self) -> None:
        """Forebay starts."""
        self.start_worker()
        hosts = [each for each in self.servers if each.host not in self.out]
        self.control = Control(
            self.world, self.network, self.servers, hosts, lambda verdict: self.tell(verdict)
        )
        self.control.on_report = self.observer.saw

    def start_worker(self) -> None:
        self.plane = self.make_plane(
            self.world, self.network, self.servers, self.observer, self.is_retryable
        )
        self.plane.hint = self.tell_hint
        for each in self.clients:
            each.proxy = self.plane

    def restart(self) -> None:
        """Forebay is killed and started: what it knew is gone, and so are its clients."""
        self.control.close()
        self.stop_worker()
        self.observer.seen.clear()
        self.start()
        self.control.run()

    def restart_worker(self) -> None:
        """The worker alone; its successor is told what is so."""
        self.stop_worker()
        self.start_worker()
        self.tell(self.control.cluster.verdict)

    def stop_worker(self) -> None:
        self.plane.close()
        self.observer.verdict = None
        for each in self.clients:
            if each.is_connected:
                each.dropped()

    def run(self) -> Summary:
        """Raises WrongError when something happens that must not."""
        self.control.run()
        self.world.run(ENDS_AT_S, self.check)
        self.check_end()
        errors: dict[str, int] = {}
        for each in self.clients:
            for code, count in each.errors.items():
                errors[code] = errors.get(code, 0) + count
        done = sum(list(each.results.values()).count("ok") for each in self.clients)
        world = self.world
        return Summary(world.hash, world.lines, done, self.control.cluster.verdict.epoch, errors)

    def tell(self, verdict: Verdict) -> None:
        """The node tells the worker."""
        self.check_choice(verdict)
        self.plane.apply(verdict)

    def tell_hint(self, address: Address, kind: HintKind) -> None:
        """The worker tells the node."""
        delay_s = self.plane.random.uniform(0.0002, 0.003)
        self.world.later(delay_s, lambda: self.control.hint(address, kind))

    # Reloads.

    def take_out(self, name: str) -> None:
        self.out.append(name)
        self.set_hosts()

    def put_back(self, name: str) -> None:
        if name in self.out:
            self.out.remove(name)
            self.set_hosts()

    def set_hosts(self) -> None:
        self.control.set_hosts([each for each in self.servers if each.host not in self.out])

    def heal(self) -> None:
        """Nothing goes wrong from here on, and what did is mended."""
        self.world.log("heals")
        for name, inward in sorted(self.network.cuts):
            self.network.heal(name, inward)
        self.network.slow.clear()
        self.network.loss.clear()
        self.operator.heal()
        self.out = []
        self.set_hosts()
        for each in self.clients:
            each.stops_at = ENDS_AT_S - TIMEOUT_S - 1.0

    # What must hold.

    def check(self) -> None:
        """After every event."""
        queue = self.plane.queue
        if queue and min(each.since for each in queue) < self.world.now - TIMEOUT_S - 0.001:
            self.observer.wrong("a client waits longer than the borrow timeout")

    def tick(self) -> None:
        """What takes time to be so."""
        verdict = self.control.cluster.verdict
        now = self.world.now
        self.check_found(verdict, now)
        self.check_given_up(verdict, now)
        self.world.later(TICK_S, self.tick)

    def is_reachable(self, server: Postgres) -> bool:
        """Whether it answers at all."""
        cut = {(server.name, True), (server.name, False)} & self.network.cuts
        return server.runs and server.state == "up" and not cut

    def check_found(self, verdict: Verdict, now: float) -> None:
        """A writer that was well and in reach for so long is known."""
        server = self.operator.authority
        slow = any(each > 0.2 for each in self.network.slow.values()) or self.network.loss
        is_well = self.is_reachable(server) and server.accepts and server.lets_in and not slow
        is_well = is_well and not server.is_read_only and server.name not in self.out
        # Who does not tell its timeline may be a former writer.
        is_well = is_well and server.tells and now > self.stalls_until
        if not is_well or self.fit != (server.name, server.life, server.timeline):
            self.fit, self.fit_since = (server.name, server.life, server.timeline), now
        writer = verdict.writer.host if verdict.writer else ""
        is_found = verdict.state == "UP" and writer == server.name
        if not is_well or is_found or self.well != (server.name, server.life):
            self.well_since, self.well = now, (server.name, server.life)
        elif now - self.well_since > FOUND_S:
            self.observer.wrong(f"{server.name} is well, and {writer} is {verdict.state}")

    def check_choice(self, verdict: Verdict) -> None:
        """Nobody is chosen beside one on a higher timeline that was in reach all the time."""
        before = self.observer.verdict
        is_new = before is None or before.epoch != verdict.epoch
        if verdict.state != "UP" or verdict.writer is None or not is_new:
            return
        writer, best = self.servers[verdict.writer], self.operator.authority
        is_fit = self.fit == (best.name, best.life, best.timeline)
        is_fit = is_fit and self.world.now > self.fit_since + HEARD_S
        if is_fit and writer.timeline < best.timeline:
            self.observer.wrong(f"{writer.name} was chosen, though {best.name} was in reach")

    def check_given_up(self, verdict: Verdict, now: float) -> None:
        """A writer that does not answer is not used for longer than this."""
        address = verdict.writer
        is_dead = address is not None and not self.is_reachable(self.servers[address])
        is_dead = is_dead and now > self.stalls_until
        if not is_dead or address is None or address != self.dead_writer:
            self.dead_since, self.dead_writer = now, address
            return
        # What was on its way when it fell silent may come much later.
        heard_at = self.control.heard_at.get(address, 0.0)
        if now - max(self.dead_since, heard_at) > GIVEN_UP_S and verdict.state != "HOLD":
            self.observer.wrong(f"a writer that is dead is {verdict.state} still")

    def check_end(self) -> None:
        """Everything was healed for a while: all was answered, and is where it was said to be."""
        rows = self.operator.authority.rows
        if len(rows) != len(set(rows)):
            self.observer.wrong("something is written twice")
        for each in self.clients:
            if each.waits_for or each.rows:
                self.observer.wrong(f"{each.name} was never answered ({each.waits_for})")
            if not each.is_connected:
                self.observer.wrong(f"{each.name} was not let in again")
            for row, result in each.results.items():
                self.observer.told([row], result)
