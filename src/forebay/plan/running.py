"""What two readings of a running proxy's figures tell of its clients, and how they really wait."""

from collections.abc import Mapping
from typing import Final

import msgspec

from forebay.plan.clients import ASSUMED_HOLD_S, Clients

_SHORTEST_S: Final = 1e-6


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One pool of connections: how many clients it has now, and what was counted until now.

    Times are sums, in microseconds: in transactions, and waiting for a connection.
    """

    clients: int = 0
    transactions: int = 0
    transaction_us: float = 0.0
    wait_us: float = 0.0


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What went on in between. ``wait_mean_s``: of all transactions; ``notes``: what the estimates
    rest on."""

    seconds: float
    clients: list[Clients]
    transactions_per_s: float
    wait_mean_s: float
    utilisation: float
    notes: list[str]


def observe(
    before: Mapping[str, Reading], after: Mapping[str, Reading], seconds: float, connections: int
) -> Observed:
    """By the names of the pools. ``connections``: how many there may be in all.

    A client either thinks, waits or holds: so the mean time to think is what is left of all
    clients' time, divided by their transactions.
    """
    clients: list[Clients] = []
    notes: list[str] = []
    transactions, wait_us, held_us = 0, 0.0, 0.0
    for name, now in after.items():
        change = _change(before.get(name, Reading()), now)
        transactions += change.transactions
        wait_us += change.wait_us
        held_us += change.transaction_us
        if now.clients:
            clients.append(_clients(name, now.clients, change, seconds, notes))
    return Observed(
        seconds=seconds,
        clients=sorted(clients, key=lambda each: -each.load),
        transactions_per_s=transactions / seconds,
        wait_mean_s=wait_us / 1e6 / transactions if transactions else 0.0,
        utilisation=held_us / 1e6 / seconds / max(1, connections),
        notes=notes,
    )


def _change(before: Reading, now: Reading) -> Reading:
    """What was counted in between. Where it is less than before, another worker counts."""
    if now.transactions < before.transactions:
        before = Reading()
    return Reading(
        clients=now.clients,
        transactions=now.transactions - before.transactions,
        transaction_us=max(0.0, now.transaction_us - before.transaction_us),
        wait_us=max(0.0, now.wait_us - before.wait_us),
    )


def _clients(name: str, count: int, change: Reading, seconds: float, notes: list[str]) -> Clients:
    """All clients of a pool."""
    if not change.transactions:
        notes.append(f"{name}: no transaction ended; less than one in {count * seconds:.0f} s")
        return Clients(name=name, processes=count, hold_s=ASSUMED_HOLD_S, think_s=count * seconds)
    hold_s = max(_SHORTEST_S, change.transaction_us / 1e6 / change.transactions)
    wait_s = change.wait_us / 1e6 / change.transactions
    cycle_s = count * seconds / change.transactions
    return Clients(
        name=name,
        processes=count,
        hold_s=hold_s,
        think_s=max(_SHORTEST_S, cycle_s - hold_s - wait_s),
    )
