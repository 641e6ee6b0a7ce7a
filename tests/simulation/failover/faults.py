"""What goes wrong in a world, and when: a plan that a seed makes, and that can be cut short."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.failover.postgres import Postgres
    from tests.simulation.failover.run import Simulation

FROM_S, UNTIL_S = 1.5, 14.0


@dataclass(frozen=True, slots=True)
class Fault:
    """``victim``: "primary", as it is then, or "standby". ``lasts_s``: until what heals by itself
    does."""

    at: float
    kind: str
    victim: str
    lasts_s: float

    def __str__(self) -> str:
        return f"at {self.at:.3f} s: {self.kind} of the {self.victim}, {self.lasts_s:.3f} s"


def plan(random: Random, kinds: Sequence[str] = ()) -> list[Fault]:
    """Some faults, in order: of all kinds, or of these alone."""
    faults = []
    count = random.randint(1, 6) if random.random() < 0.8 else random.randint(7, 16)
    for _ in range(count):
        kind = random.choice(kinds or sorted(KINDS))
        victim = random.choice(["primary", "primary", "primary", "standby"])
        at, lasts_s = random.uniform(FROM_S, UNTIL_S), random.uniform(0.05, 4.0)
        if random.random() < 0.1:
            lasts_s += 4.0  # longer than anybody may wait
        faults.append(Fault(at, kind, victim, lasts_s))
    return sorted(faults, key=lambda fault: fault.at)


def strike(simulation: "Simulation", fault: Fault) -> None:
    """It happens."""
    servers = simulation.operator.servers
    primary = simulation.operator.authority
    victim = primary
    if fault.victim == "standby":
        victim = next(each for each in servers if each is not primary)
    simulation.world.log("fault", fault.kind, victim.name, fault.lasts_s)
    KINDS[fault.kind](simulation, victim, fault.lasts_s)


Strike = Callable[["Simulation", "Postgres", float], None]


def _stop(how: str) -> Strike:
    def stop(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
        if victim.runs and victim.state == "up":
            getattr(victim, how)()

    return stop


def _stop_for_a_moment(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
    """A restart that is over before anybody asks, perhaps."""
    if victim.runs and victim.state == "up":
        upstream, sync = victim.upstream, victim.sync
        victim.fast_stop()
        victim.start(upstream)
        victim.sync = sync


def _crash(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
    if victim.runs and victim.state == "up":
        victim.crash(lasts_s / 4.0)


def _freeze(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
    if victim.runs:
        life = victim.life
        victim.freeze()
        simulation.world.later(lasts_s, lambda: victim.thaw() if victim.life == life else None)


def _freeze_postmaster(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
    victim.accepts = False
    simulation.world.later(lasts_s, victim.resume_accepting)


def _vanish(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
    victim.vanish()


def _split(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
    """Promoted without stopping the old primary: both take writes."""
    simulation.operator.is_split = True


def _cut(*directions: bool) -> Strike:
    def cut(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
        network = simulation.network
        for each in directions:
            network.cut(victim.name, each)
            simulation.world.later(lasts_s, network.heal, victim.name, each)

    return cut


def _cut_and_split(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
    """The primary is out of our sight, takes writes on, and is replaced."""
    _cut(True, False)(simulation, victim, lasts_s)
    simulation.operator.is_split = True


def _slow(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
    simulation.network.slow[victim.name] = lasts_s / 2.0
    simulation.world.later(lasts_s, simulation.network.slow.pop, victim.name, None)


def _lose(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
    """Packets are dropped, and sent again."""
    simulation.network.loss[victim.name] = 0.3
    simulation.world.later(lasts_s, simulation.network.loss.pop, victim.name, None)


def _terminate(is_control: bool) -> Strike:
    def terminate(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
        victim.terminate(is_control)

    return terminate


def _set(name: str, value: bool) -> Strike:
    def change(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
        setattr(victim, name, value)
        simulation.world.later(lasts_s, setattr, victim, name, not value)

    return change


def _all_untold(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
    for each in simulation.operator.servers:
        _set("tells", False)(simulation, each, lasts_s)


def _announce(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
    """A switchover that is planned: the primary is stopped when it was announced."""
    simulation.control.expect()
    simulation.world.later(lasts_s / 8.0, _stop("fast_stop"), simulation, victim, 0.0)


def _desert(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
    """Nobody promotes or starts anything for a while."""
    operator = simulation.operator
    operator.absent_until = max(operator.absent_until, simulation.world.now + 2.0 * lasts_s)


def _stall(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
    """The node is not run for a while."""
    simulation.control.stall(lasts_s / 2.0)
    simulation.stalls_until = simulation.world.now + lasts_s / 2.0


def _restart(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
    """Of Forebay, whole. Not with strangers among its hosts: it would not know who is its own."""
    if all(each.system_id == victim.system_id for each in simulation.servers.values()):
        simulation.restart()


def _restart_worker(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
    simulation.restart_worker()


def _leave(simulation: "Simulation", victim: "Postgres", lasts_s: float) -> None:
    """A reload takes a host out, and another one puts it back."""
    simulation.take_out(victim.name)
    simulation.world.later(lasts_s, simulation.put_back, victim.name)


KINDS: dict[str, Strike] = {
    "fast stop": _stop("fast_stop"),
    "immediate stop": _stop("immediate_stop"),
    "kill of the postmaster": _stop("kill_postmaster"),
    "restart": _stop_for_a_moment,
    "crash": _crash,
    "freeze": _freeze,
    "freeze of the postmaster": _freeze_postmaster,
    "loss of the host": _vanish,
    "promotion beside": _split,
    "planned switchover": _announce,
    "cut": _cut(True, False),
    "cut towards": _cut(True),
    "cut from": _cut(False),
    "cut and promotion": _cut_and_split,
    "slow network": _slow,
    "lossy network": _lose,
    "termination": _terminate(False),
    "termination of the control session": _terminate(True),
    "read-only": _set("is_read_only", True),
    "rejection of the control user": _set("lets_in", False),
    "untold timelines": _all_untold,
    "absence of the operator": _desert,
    "stall of the node": _stall,
    "restart of Forebay": _restart,
    "restart of the worker": _restart_worker,
    "reload without": _leave,
}
