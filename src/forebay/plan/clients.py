"""Who connects, and what each client does: hold a connection for a while, then not need one.

A client is whatever has at most one transaction at a time: a connection of an application's own
pool, an instance of a function. Times are means, and taken to be distributed exponentially.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

ASSUMED_HOLD_S: Final = 0.005
ASSUMED_THINK_S: Final = 0.095
MOST_CLIENTS: Final = 100_000
"""More are not computed with: a node allows 100,000 clients."""

_UNITS_S: Final = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(us|µs|ms|s|min|h)")
_COUNT: Final = re.compile(r"(\d{1,9})(?:\s*[x×]\s*(\d{1,9}))?", re.IGNORECASE)
_LONGEST_S: Final = 86_400.0
_SHORTEST_S: Final = 1e-6


class Clients(msgspec.Struct, frozen=True, kw_only=True):
    """Clients of one kind. ``assumed``: which times nobody has given."""

    name: str
    processes: int
    connections: int = 1  # each
    hold_s: float = ASSUMED_HOLD_S
    think_s: float = ASSUMED_THINK_S
    assumed: list[str] = []

    @property
    def count(self) -> int:
        """How many there are at most at once."""
        return self.processes * self.connections

    @property
    def load(self) -> float:
        """In Erlang: how many connections they use at a time if they never wait."""
        return self.count * self.hold_s / (self.hold_s + self.think_s)


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """Clients of several kinds as if they were of one: as many, offering the same load by as many
    transactions."""

    count: int
    hold_s: float
    think_s: float

    @property
    def load(self) -> float:
        """In Erlang, as of Clients."""
        return self.count * self.hold_s / (self.hold_s + self.think_s)


def mix(groups: Sequence[Clients]) -> Mix:
    """All of them together. There is at least one."""
    count = sum(each.count for each in groups)
    load = sum(each.load for each in groups)
    rate = sum(each.count / (each.hold_s + each.think_s) for each in groups)
    return Mix(count=count, hold_s=load / rate, think_s=count / rate - load / rate)


def parse_clients(text: str) -> Clients:
    """Read ``NAME=PROCESSES[xCONNECTIONS][,hold=TIME][,think=TIME]``, as ``web=10x10,hold=5ms``.

    Raises ValueError with what is wrong.
    """
    name, equals, rest = text.partition("=")
    counts, *options = (part.strip() for part in rest.split(","))
    match = _COUNT.fullmatch(counts)
    if not name.strip() or not equals or match is None:
        raise ValueError(
            f"{text!r}: clients are NAME=PROCESSES[xCONNECTIONS][,hold=5ms][,think=95ms]"
        )
    processes, connections = int(match[1]), int(match[2] or 1)
    if not 1 <= processes * connections <= MOST_CLIENTS:
        raise ValueError(f"{text!r}: from 1 to {MOST_CLIENTS} clients")
    times: dict[str, float] = {}
    for option in options:
        key, _, value = option.partition("=")
        if key.strip() not in ("hold", "think") or key.strip() in times:
            raise ValueError(f"{text!r}: {option!r} is neither hold=TIME nor think=TIME")
        times[key.strip()] = parse_duration_s(value)
    if times.get("hold") == 0:
        raise ValueError(f"{text!r}: a hold time of 0 needs no connection")
    return Clients(
        name=name.strip(),
        processes=processes,
        connections=connections,
        hold_s=times.get("hold", ASSUMED_HOLD_S),
        think_s=max(_SHORTEST_S, times.get("think", ASSUMED_THINK_S)),
        assumed=[key for key in ("hold", "think") if key not in times],
    )


def parse_duration_s(text: str) -> float:
    """``5ms`` and the like, in seconds. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r}: a time is a number with us, ms, s, min or h, such as 5ms")
    seconds = float(match[1]) * _UNITS_S[match[2]]
    if seconds > _LONGEST_S or 0 < seconds < _SHORTEST_S:
        raise ValueError(f"{text!r}: from 1us to 24h")
    return seconds
