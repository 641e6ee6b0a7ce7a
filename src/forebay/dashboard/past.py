"""What has been: samples column by column, as charts want them, and events. Pure."""

from collections.abc import Sequence

import msgspec

from forebay.node.events import Event
from forebay.node.history import Sample

DIGITS = 4


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """One proxy's samples: when, and each figure at these moments (see `ProxySample`)."""

    at: list[float]
    columns: dict[str, list[float]]


class EventList(msgspec.Struct, frozen=True, kw_only=True):
    """Events in order."""

    events: list[Event]


def past_of(proxy: str, samples: Sequence[Sample]) -> Past:
    """Moments at which the proxy was not known are left out."""
    at: list[float] = []
    columns: dict[str, list[float]] = {}
    for sample in samples:
        if (own := sample.proxies.get(proxy)) is None:
            continue
        at.append(sample.at)
        for name, value in msgspec.structs.asdict(own).items():
            columns.setdefault(name, []).append(round(value, DIGITS))
    return Past(at=at, columns=columns)


def events_of(events: Sequence[Event]) -> EventList:
    """All of them."""
    return EventList(events=list(events))
