"""Puts capacity and clients together: what fits, how long clients wait, what would suffice."""

from collections.abc import Sequence
from typing import Final

import msgspec

from forebay.plan.clients import Clients, Mix, mix
from forebay.plan.formulas import Capacity
from forebay.plan.queueing import FiniteSource, connections_needed
from forebay.plan.simulation import simulate

# A difference between formula and simulation that is worth a word.
_NOTABLE: Final = 0.1
_NOTABLE_WAIT_S: Final = 0.001
_LIVELY: Final = 0.9  # utilisation beyond which little more load means much longer waits


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted: a share of the connections, at most so many of them, and waits that 99 % of
    the transactions keep to."""

    percent: int = 100
    max_connections: int | None = None  # the pool's: the lower of the two holds
    wait_p99_s: float = 0.01
    borrow_timeout_s: float = 120.0


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """What clients meet in the long run, predicted or simulated. Times of all transactions."""

    utilisation: float
    transactions_per_s: float
    waits_share: float
    wait_mean_s: float
    wait_p99_s: float


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What one database means for the clients.

    ``limit``: the connections that a proxy holds. ``measured``: what a running one has counted.
    ``fits_without_proxy``: each client could have one. ``suffices``: the goal is kept.
    ``percent_needed``: the least with which it would be; None if no percentage does. ``burst_s``:
    how long the last one waits, on average, if all clients ask at the same moment.
    """

    capacity: Capacity
    limit: int
    fits_without_proxy: bool
    predicted: Waits
    simulated: Waits
    measured: Waits | None = None
    suffices: bool
    percent_needed: int | None
    burst_s: float
    warnings: list[str]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All of it: what --json prints. Times in seconds; ``load`` in Erlang.

    ``demand``: connections without a proxy. ``connections_needed``: with one, for the goal.
    """

    goal: Goal
    clients: list[Clients]
    together: Mix
    demand: int
    load: float
    connections_needed: int
    outlooks: list[Outlook]
    warnings: list[str] = []


def plan(
    groups: Sequence[Clients],
    capacities: Sequence[Capacity],
    goal: Goal,
    measured: Waits | None = None,
) -> Plan:
    """There is at least one of each. ``measured``: by the proxy that runs."""
    together = mix(groups)
    needed = connections_needed(together.count, together.hold_s, together.think_s, goal.wait_p99_s)
    return Plan(
        goal=goal,
        clients=list(groups),
        together=together,
        demand=together.count,
        load=together.load,
        connections_needed=needed,
        outlooks=[
            msgspec.structs.replace(
                _outlook(each, groups, together, needed, goal),
                measured=None if each.allowed is None else measured,
            )
            for each in capacities
        ],
    )


def percent_for(connections: int, usable: int) -> int | None:
    """The least ``max_connections_percent`` that allows so many; None if not all would suffice."""
    if connections > usable:
        return None
    return max(1, -(-connections * 100 // usable))


def _outlook(
    capacity: Capacity, groups: Sequence[Clients], together: Mix, needed: int, goal: Goal
) -> Outlook:
    limit = capacity.limit(goal.percent)
    if goal.max_connections is not None and capacity.allowed is None:
        limit = min(limit, goal.max_connections)
    queue = FiniteSource(together.count, together.hold_s, together.think_s, limit)
    predicted = msgspec.convert(queue.predict(), Waits, from_attributes=True)
    simulated = msgspec.convert(simulate(groups, limit), Waits, from_attributes=True)
    burst_s = max(0, together.count - limit) * together.hold_s / limit
    outlook = Outlook(
        capacity=capacity,
        limit=limit,
        fits_without_proxy=together.count <= capacity.usable,
        predicted=predicted,
        simulated=simulated,
        suffices=limit >= needed,
        percent_needed=percent_for(needed, capacity.usable),
        burst_s=burst_s,
        warnings=[],
    )
    warnings = [*capacity.warnings, *_warnings(outlook, together, goal)]
    return msgspec.structs.replace(outlook, warnings=warnings)


def _warnings(outlook: Outlook, together: Mix, goal: Goal) -> list[str]:
    found = []
    limit, predicted = outlook.limit, outlook.predicted
    if together.load >= limit:
        slower = together.load / max(predicted.transactions_per_s * together.hold_s, 1e-9)
        found.append(
            f"Overloaded: clients would use {together.load:.1f} connections at a time, there are"
            f" {limit}, in use for {predicted.utilisation:.0%} of the time. Clients get on"
            f" {slower:.1f} times slower."
        )
    elif predicted.utilisation > _LIVELY:
        found.append(
            f"Connections are in use for {predicted.utilisation:.0%} of the time: with a little"
            " more load waits become much longer."
        )
    if max(predicted.wait_p99_s, outlook.simulated.wait_p99_s) > goal.borrow_timeout_s:
        found.append(
            "More than 1 % of the transactions wait beyond the borrow timeout"
            f" ({goal.borrow_timeout_s:g} s) and fail (08000)."
        )
    elif outlook.burst_s > goal.borrow_timeout_s:
        found.append(
            "If all clients ask at once, the last of them wait beyond the borrow timeout"
            f" ({goal.borrow_timeout_s:g} s) and fail (08000)."
        )
    if _differ(predicted, outlook.simulated):
        found.append(
            "The simulation, in which each kind of client keeps its own times, comes to other waits"
            " than the formula, which takes all clients for one kind: go by the simulation."
        )
    return found


def _differ(predicted: Waits, simulated: Waits) -> bool:
    difference_s = abs(predicted.wait_mean_s - simulated.wait_mean_s)
    return difference_s > max(_NOTABLE_WAIT_S, 2 * _NOTABLE * predicted.wait_mean_s)
