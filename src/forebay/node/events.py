"""What has happened lately, for those who look: the latest warnings and news of node and worker."""

import time
from collections import deque

import msgspec

KEPT = 200
TEXT_CHARACTERS = 500


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log, without its fields. ``number`` rises."""

    number: int
    at: float  # Unix time, s
    level: str  # "INFO", "WARNING", "ERROR"
    text: str
    proxy: str = ""


class Events:
    """The latest events, in order; the oldest go."""

    def __init__(self, kept: int = KEPT) -> None:
        self._events: deque[Event] = deque(maxlen=kept)
        self._number = 0

    def add(self, level: str, text: str, proxy: str = "") -> None:
        """Something has happened now."""
        self._number += 1
        self._events.append(
            Event(
                number=self._number,
                at=time.time(),
                level=level,
                text=text[:TEXT_CHARACTERS],
                proxy=proxy,
            )
        )

    def since(self, number: int = 0) -> list[Event]:
        """Those behind the one of this number."""
        return [each for each in self._events if each.number > number]
