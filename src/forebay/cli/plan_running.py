"""Reads the figures of a running Forebay twice: its clients, its limit, how they really wait."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from forebay.channel import PoolFigures, ProxyFigures
from forebay.channel.figures import Histogram
from forebay.cli.reaching import printable
from forebay.control import (
    ControlClient,
    FiguresAnswer,
    FiguresRequest,
    PoolsAnswer,
    PoolsRequest,
)
from forebay.plan.formulas import Capacity
from forebay.plan.planning import Waits
from forebay.plan.running import Observed, Reading, observe


class RunningError(Exception):
    """A running Forebay can't be planned with; the text says why."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One proxy at one moment (Unix time, s)."""

    at_s: float
    figures: ProxyFigures
    pools: Sequence[PoolFigures]


def observe_running(
    node: ControlClient,
    name: str | None,
    seconds: float,
    sleep: Callable[[float], object] = time.sleep,
) -> tuple[Observed, Capacity, Waits | None]:
    """What the clients of one proxy do over this time. ``name``: of the proxy, if there are
    several. The waits are None if no client asked for a connection.

    Raises RunningError and ControlError.
    """
    name = _chosen(_figures(node)[1], name)
    before = _look(node, name)
    sleep(seconds)
    after = _look(node, name)
    capacity = _capacity(name, after.figures)
    observed = observe(
        _readings(before.pools),
        _readings(after.pools),
        max(0.001, after.at_s - before.at_s),
        capacity.limit(100),
    )
    return observed, capacity, _waits(observed, before, after)


def _figures(node: ControlClient) -> tuple[float, Mapping[str, ProxyFigures]]:
    found = node.answer_to(FiguresRequest(id=1), FiguresAnswer).figures
    return found.at, found.counted.proxies


def _look(node: ControlClient, name: str) -> _Look:
    at_s, proxies = _figures(node)
    if name not in proxies:
        raise RunningError(f"the proxy {name} is not there any more")
    pools: list[PoolFigures] = []
    for answer in node.ask(PoolsRequest(id=2, proxy=name)):
        if isinstance(answer, PoolsAnswer):
            pools += answer.pools
    return _Look(at_s, proxies[name], pools)


def _chosen(proxies: Mapping[str, ProxyFigures], name: str | None) -> str:
    if name is None and len(proxies) == 1:
        return next(iter(proxies))
    if name is None or name not in proxies:
        raise RunningError(f"which proxy? Name one with --proxy: {', '.join(proxies)}")
    return name


def _capacity(name: str, figures: ProxyFigures) -> Capacity:
    numbers = figures.numbers
    allowed = int(numbers.get("max_database_connections_allowed", 0))
    max_connections = int(numbers.get("server_max_connections", 0))
    if allowed < 1 or max_connections < 1:
        raise RunningError(f"the proxy {name} has not reached its database yet")
    return Capacity(
        name=f"{name} → {figures.target}",
        max_connections=max_connections,
        reserved=int(numbers.get("server_reserved_connections", 0)),
        basis="as the database says",
        allowed=allowed,
    )


def _readings(pools: Sequence[PoolFigures]) -> dict[str, Reading]:
    return {
        printable(f"{pool.database}/{pool.user}"): Reading(
            clients=pool.clients,
            transactions=pool.transactions,
            transaction_us=pool.transaction_us,
            wait_us=pool.wait_us,
        )
        for pool in pools
    }


def _waits(observed: Observed, before: _Look, after: _Look) -> Waits | None:
    """None if no client asked for a connection, or another worker counts by now."""
    borrows = sum(pool.borrows for pool in after.pools) - sum(p.borrows for p in before.pools)
    earlier = before.figures.histograms.get("borrow_wait", Histogram())
    waited = after.figures.histograms.get("borrow_wait", Histogram()) - earlier
    if borrows <= 0 or waited.count < 0:
        return None
    share = min(1.0, waited.count / borrows)
    # Of all borrows, those that took no time come first.
    p99_us = waited.percentile_us(1 - 0.01 / share) if share > 0.01 else 0.0
    return Waits(
        utilisation=observed.utilisation,
        transactions_per_s=observed.transactions_per_s,
        waits_share=share,
        wait_mean_s=observed.wait_mean_s,
        wait_p99_s=p99_us / 1e6,
    )
