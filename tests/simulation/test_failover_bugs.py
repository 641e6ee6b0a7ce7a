"""The simulation of failover finds bugs that are planted, and tells their stories shortly."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from forebay.session.fate import Fate
from forebay.topology.cluster import Cluster
from forebay.topology.watched import Watched
from forebay.topology.writer import Incarnation, Past
from tests.simulation.failover.faults import Fault
from tests.simulation.failover.network import Message
from tests.simulation.failover.plane import Link, Plane
from tests.simulation.failover.run import Simulation
from tests.simulation.failover.shrink import failure_of, shrink, story

# A planted bug is found by one of so many worlds.
TRIES = 200
MOST_FAULTS = 3
KILLS = ["fast stop", "kill of the postmaster"]


@pytest.fixture
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as made:
        yield made


def expect(
    reason: str,
    plane: type[Plane] = Plane,
    kinds: Sequence[str] = (),
    faults: Sequence[Fault] | None = None,
    always: bool = False,
) -> None:
    """Some world goes wrong, for this reason (a regular expression), with few faults. ``kinds``,
    ``faults``: those among which it is looked for, for this to be fast; but see ``always``."""
    if os.environ.get("FOREBAY_TEST_FULL") and not always:
        kinds, faults = (), None
    for seed in range(TRIES):

        def make(given: Sequence[Fault] | None = None, seed: int = seed) -> Simulation:
            return Simulation(seed, faults if given is None else given, plane, kinds)

        found = failure_of(make())
        if found:
            assert re.search(reason, found), found
            if len(shrink(make)) <= MOST_FAULTS:
                return
    raise AssertionError("the planted bug was not found, or takes many faults")


# What a worker could do wrong.


class Replays(Plane):
    """What was sent is sent again: the mistake of many drivers and proxies."""

    def fate(self, link: Link) -> Fate:
        becomes = super().fate(link)
        return Fate.WAITS if becomes is Fate.UNKNOWN else becomes


def test_replay_after_bytes_were_sent() -> None:
    expect("done twice|is not there", Replays, KILLS)


class Denies(Plane):
    """A lost COMMIT is told to be rolled back."""

    def fate(self, link: Link) -> Fate:
        becomes = super().fate(link)
        return Fate.CLOSED if becomes is Fate.UNKNOWN else becomes


def test_an_unknown_outcome_is_told_as_an_abort() -> None:
    expect("though its client was told that it is not", Denies, KILLS)


class RunsOutside(Plane):
    """Who was told 40001 goes on, with a connection on which no transaction is open."""

    def ask(self, client: Any, message: Message) -> None:
        self.aborted.discard(client)
        super().ask(client, message)


def test_a_statement_runs_outside_its_transaction() -> None:
    expect("though its client was told that it is not", RunsOutside)


class Believes(Plane):
    """CommandComplete is taken for the end: the client is told that it is done."""

    def forward(self, link: Link, client: Any, message: Message) -> None:
        super().forward(link, client, message)
        if message[0] == "C" and link.message[0] == "xinsert" and link.client is client:
            client.read(("Z", "I"))


def test_a_command_complete_is_taken_for_an_acknowledgement() -> None:
    expect("was acknowledged, and is not there", Believes)


class KeepsReading(Plane):
    """Connections are left open over a switch: what comes of them still reaches clients."""

    def switch(self, epoch: int) -> None:
        self.epoch = epoch
        for each in list(self.links):
            if each.state != "busy":
                self.cut(each)


def test_an_old_epoch_goes_on_talking() -> None:
    expect("of an old epoch reaches a client|of two epochs are open", KeepsReading)


class OpensFirst(Plane):
    """The new writer's connections are opened, then the old ones are cut."""

    def switch(self, epoch: int) -> None:
        self.epoch = epoch
        self.serve()
        if self.verdict is not None and self.verdict.writer is not None:
            self.open(self.verdict.writer)
        for each in list(self.links):
            if each.epoch < epoch:
                self.cut(each)


def test_opening_before_cutting() -> None:
    expect("of two epochs are open", OpensFirst)


class DropsIdle(Plane):
    """Everybody is thrown out at a switch, as most proxies do."""

    def switch(self, epoch: int) -> None:
        super().switch(epoch)
        for each in self.everybody:
            if epoch > 1 and each.is_connected:
                self.observer.drops(each)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.everybody: list[Any] = []

    def join(self, client: Any) -> None:
        self.everybody.append(client)


def test_idle_clients_are_dropped() -> None:
    expect("an idle client is dropped", DropsIdle)


class Forgets(Plane):
    """A request that waits over a switch is not looked at again."""

    def switch(self, epoch: int) -> None:
        super().switch(epoch)
        if epoch > 1:
            self.queue.clear()


def test_who_waits_is_forgotten() -> None:
    expect("was never answered", Forgets, KILLS)


class WaitsForEver(Plane):
    """The borrow timeout is not kept."""

    def expire(self, waiter: Any) -> None:
        pass


def test_the_borrow_timeout_is_not_kept() -> None:
    faults = [
        Fault(3.0, "absence of the operator", "primary", 4.0),
        Fault(3.0, "fast stop", "primary", 1.0),
    ]
    expect("waits longer than the borrow", WaitsForEver, faults=faults)


class Hurries(Plane):
    """Suspicion is no reason to wait."""

    def serve(self) -> None:
        verdict = self.verdict
        if verdict is not None and verdict.state == "SUSPECT":
            self.verdict = replace(verdict, state="UP")
        super().serve()
        self.verdict = verdict


def test_something_is_begun_in_suspicion() -> None:
    expect("nobody is known to write", Hurries)


class Trusts(Plane):
    """A connection that is open is not asked whether it leads to a server that writes."""

    def check(self, link: Link) -> None:
        link.state = "idle"
        self.idle.append(link)


def test_connections_are_trusted() -> None:
    """The server comes back as a standby while the node does not look."""
    faults = [
        Fault(2.8, "stall of the node", "primary", 6.0),
        Fault(2.8, "loss of the host", "primary", 1.0),
    ]
    expect("told that its server is read-only", Trusts, faults=faults, always=True)


# What the node could decide wrong.


def test_no_fencing(patch: pytest.MonkeyPatch) -> None:
    """The present writer is kept as long as it answers, whatever timeline there is."""
    patch.setattr(Past, "highest", lambda *_: 0)
    expect("had been seen|is not there|is well, and")


def test_the_highest_timeline_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """... when its server dies: the former writer is taken again."""

    def best_now(self: Cluster, held_since: float) -> bool:
        self._past.timelines = {self._past.system_id: 0}
        return true_find(self, held_since)

    true_find = Cluster._find_writer
    patch.setattr(Cluster, "_find_writer", best_now)
    faults = [
        Fault(3.0, "promotion beside", "primary", 1.0),
        Fault(3.3, "kill of the postmaster", "primary", 1.0),
    ]
    expect("had been seen|is not there", faults=faults)


def test_the_epoch_stays_over_a_restart(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Incarnation, "goes_on_in", lambda self, address, report: address == self.address)
    expect(
        "former life of the server|was never answered",
        kinds=["loss of the host", "absence of the operator", "cut"],
    )


def test_any_cluster_is_ours(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Past, "is_ours", lambda *_: True)
    expect("goes to another cluster")


def test_silence_is_no_death(patch: pytest.MonkeyPatch) -> None:
    true_failed = Watched.failed

    def failed(self: Watched, failure: Any, now: float, quiet_s: float) -> None:
        if failure.kind != "timeout":
            true_failed(self, failure, now, quiet_s)

    patch.setattr(Watched, "failed", failed)
    expect("a writer that is dead is")


def test_a_hint_is_never_refuted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Watched, "_refute", lambda *_: None)
    expect("is well, and . is SUSPECT")


def test_a_stranger_is_ours_when_the_others_leave(patch: pytest.MonkeyPatch) -> None:
    """A bug that there was, found by this simulation: it takes a stranger, and two reloads."""
    true_set_hosts = Cluster.set_hosts

    def set_hosts(self: Cluster, hosts: Any, now: float) -> None:
        known = [each for each in hosts if each in self._watched and each.host != "x"]
        if self._past.is_known and not any(self._watched[each].report for each in known):
            self._past.forget()
        true_set_hosts(self, hosts, now)

    patch.setattr(Cluster, "set_hosts", set_hosts)
    expect("goes to another cluster", kinds=["reload without"], always=True)


def test_the_first_that_answers_is_the_writer(patch: pytest.MonkeyPatch) -> None:
    """... though there are two that write, and nothing was seen yet."""
    patch.setattr(Cluster, "_all_heard", lambda *_: True)
    faults = [
        Fault(2.5, "promotion beside", "primary", 1.0),
        Fault(4.3, "restart of Forebay", "primary", 1.0),
    ]
    expect("was chosen, though", faults=faults, always=True)


def test_a_world_that_goes_wrong_tells_its_story() -> None:
    faults = [
        Fault(2.0, "slow network", "standby", 0.1),
        Fault(3.0, "loss of the host", "primary", 1.0),
        Fault(9.0, "crash", "standby", 0.1),
    ]

    def make(given: Sequence[Fault] | None = None) -> Simulation:
        return Simulation(3, faults if given is None else given, Forgets)

    assert [each.kind for each in shrink(make)] == ["loss of the host"]
    told = story(make)
    needed = r"    at 3\.000 s: loss of the host of the primary, [\d.]+ s"
    assert re.match(rf".* \(seed 3, at [\d.]+ s\)\nFaults that it takes:\n{needed}\nLast", told)
    assert '"result"' in told


def test_a_world_that_goes_well_has_none() -> None:
    with pytest.raises(ValueError, match="nothing goes wrong"):
        shrink(partial(Simulation, 3))
