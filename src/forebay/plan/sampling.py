"""What a database's own list of sessions (pg_stat_activity), looked at again and again, tells of
the clients: how many, how long they hold a transaction, how long they think. Pure."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from forebay.plan.clients import ASSUMED_HOLD_S, Clients

MOST_GROUPS: Final = 50
OTHERS: Final = "others"
_BUSY: Final = ("active", "idle in transaction", "idle in transaction (aborted)")
_BUSY_TOO: Final = "fastpath function call"
# So large a share of intervals that show a change says: there are more than can be seen.
_SATURATED: Final = 0.9
# What is never met in n looks has a share of less than 3 / n, with 95 % certainty.
_MISSED: Final = 3.0


class Sight(NamedTuple):
    """One session at one look. ``transaction`` and ``change``: when its transaction began, and its
    state changed, by the database's clock; empty if it has none, or it may not be seen."""

    session: str
    user: str
    application: str
    state: str
    transaction: str
    change: str


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen. ``states``: sessions by state, on average; ``hidden``: sessions whose state
    this user may not see; ``notes``: what the estimates rest on."""

    looks: int
    seconds: float
    states: dict[str, float]
    hidden: float
    transactions_per_s: float | None
    clients: list[Clients]
    notes: list[str]


@dataclass(slots=True)
class _Group:
    most: int = 0  # sessions at one look
    seen: int = 0  # sights of all sessions
    busy: int = 0  # ... in a transaction
    # From one look at a session to the next, by what it did at the first: idle, or in a
    # transaction; and how many of these have ended by the second look.
    intervals: list[int] = field(default_factory=lambda: [0, 0])
    ended: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def busy_share(self) -> float:
        return self.busy / self.seen


@dataclass(slots=True)
class Sampler:
    """Takes looks one after the other, and tells what they come to."""

    _groups: dict[str, _Group] = field(default_factory=lambda: defaultdict(_Group))
    _last: dict[str, Sight] = field(default_factory=dict)
    _states: Counter[str] = field(default_factory=Counter)
    _looks: int = 0
    _first_s: float = 0.0
    _latest_s: float = 0.0

    def look(self, at_s: float, sights: Iterable[Sight]) -> None:
        """One look, by the database's clock."""
        self._first_s = at_s if not self._looks else self._first_s
        self._latest_s = at_s
        self._looks += 1
        present: Counter[str] = Counter()
        last, self._last = self._last, {}
        for sight in sights:
            self._states[sight.state or "hidden"] += 1
            self._last[sight.session] = sight
            if not sight.state:
                continue
            name = self._name(sight)
            group = self._groups[name]
            present[name] += 1
            group.seen += 1
            group.busy += is_busy(sight)
            before = last.get(sight.session)
            if before is not None and before.state:
                was_busy = is_busy(before)
                group.intervals[was_busy] += 1
                group.ended[was_busy] += _has_ended(before, sight)
        for name, count in present.items():
            self._groups[name].most = max(self._groups[name].most, count)

    def _name(self, sight: Sight) -> str:
        name = f"{sight.user}/{sight.application}" if sight.application else sight.user
        name = "".join(c if c.isprintable() else "?" for c in name)[:100]
        return name if name in self._groups or len(self._groups) < MOST_GROUPS else OTHERS

    def result(self, transactions_per_s: float | None) -> Sample:
        """``transactions_per_s``: of the whole database server, by its own count; None if it is not
        known. Estimates of how often short transactions come rest on it."""
        seconds = self._latest_s - self._first_s
        states = {
            name: count / self._looks
            for name, count in sorted(self._states.items())
            if name != "hidden"
        }
        groups = [(name, group) for name, group in self._groups.items() if group.most]
        rates = _rates([group for _, group in groups], self._looks, seconds, transactions_per_s)
        notes: list[str] = []
        clients = [
            _clients(name, group, rate, seconds, notes)
            for (name, group), rate in zip(groups, rates, strict=True)
        ]
        return Sample(
            looks=self._looks,
            seconds=seconds,
            states=states,
            hidden=self._states["hidden"] / self._looks if self._looks else 0.0,
            transactions_per_s=transactions_per_s,
            clients=sorted(clients, key=lambda each: -each.load),
            notes=notes,
        )


def is_busy(sight: Sight) -> bool:
    """Whether a pool would have to keep a connection for it."""
    return sight.state in _BUSY or sight.state == _BUSY_TOO


def _has_ended(before: Sight, now: Sight) -> bool:
    """Whether what a session did at one look, think or hold, has ended by the next."""
    if is_busy(before):
        return not is_busy(now) or before.transaction != now.transaction
    return is_busy(now) or before.change != now.change


def _rates(
    groups: Sequence[_Group], looks: int, seconds: float, in_all: float | None
) -> list[float]:
    """Transactions per second and session of each group.

    Where nearly each interval shows that there were some, looks tell too little: such groups share
    what the database counts beyond the others.
    """
    interval_s = seconds / max(1, looks - 1)
    rates, is_saturated = [], []
    for group in groups:
        rate, share = _rate(group, interval_s)
        rates.append(rate)
        is_saturated.append(share > _SATURATED)
    if in_all is None:
        return rates
    weights = [group.seen / looks for group in groups]  # sessions on average
    known = zip(rates, weights, is_saturated, strict=True)
    rest = in_all - sum(rate * weight for rate, weight, more in known if not more)
    sharing = sum(weight for weight, more in zip(weights, is_saturated, strict=True) if more)
    return [
        max(rate, rest / sharing) if more else rate
        for rate, more in zip(rates, is_saturated, strict=True)
    ]


def _rate(group: _Group, interval_s: float) -> tuple[float, float]:
    """Transactions per second and session, and in which share of the intervals that could be seen.

    A time that is distributed exponentially, mean T, ends within an interval with the probability
    1 - exp(-interval / T). Taken is the time, thinking or holding, that more looks have met.
    """
    by = group.intervals[True] > group.intervals[False]
    share = group.ended[by] / (group.intervals[by] + 1)
    if not interval_s:
        return 0.0, 0.0
    spent = group.busy_share if by else 1 - group.busy_share
    return spent * -math.log1p(-share) / interval_s, share


def _clients(name: str, group: _Group, rate: float, seconds: float, notes: list[str]) -> Clients:
    busy = group.busy_share
    if rate == 0 and group.busy:
        notes.append(f"{name}: in a transaction all the time; it may be a longer one")
        hold_s, think_s = max(seconds, ASSUMED_HOLD_S), ASSUMED_HOLD_S
    elif rate == 0:
        watched_s = max(1.0, group.seen * seconds / max(1, group.seen // group.most))
        notes.append(f"{name}: no transaction was seen; less than one in {watched_s:.0f} s")
        hold_s, think_s = ASSUMED_HOLD_S, watched_s
    else:
        if not group.busy:
            busy = min(0.5, _MISSED / group.seen)
            notes.append(f"{name}: too short to be met; planned with what so many looks may miss")
        hold_s = busy / rate
        think_s = max(1e-6, (1 - busy) / rate)
    return Clients(name=name, processes=group.most, hold_s=hold_s, think_s=think_s)
