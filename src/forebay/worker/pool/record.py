"""What has happened to one proxy's connections since the worker started."""

from collections.abc import Iterable

from forebay.relay import MicroPool, Tally

# Of so many databases the counts of micro-pools that are gone are kept apart; of others together.
DATABASES_REMEMBERED = 1000
OTHERS = ""


class Record:
    """Counters that never fall. Times are in seconds of the loop's clock.

    ``past``: what micro-pools have counted that are gone, by database. The database can be reached
    from the first connection on, until one can't be opened while there is no other; not while
    requests are held, because it is not known which server writes.
    """

    def __init__(self) -> None:
        self.opened = 0
        self.failed = 0
        self.peak = 0  # the most connections that there have been at once
        self.past: dict[str, Tally] = {}
        self._reached_at: float | None = None  # None: it can't be reached
        self._reached_s = 0.0
        self.switches = 0  # to another server, or to the same that was started anew
        self.last_switch_held_s = 0.0  # for how long requests were held before the last of them
        self._held_at: float | None = None  # None: requests are not held
        self._held_s = 0.0

    def note_held(self, now: float) -> None:
        """Requests are held from now on."""
        if self._held_at is None:
            self._held_at = now
            if self._reached_at is not None:
                self._reached_s += now - self._reached_at

    def note_released(self, now: float) -> None:
        """Requests are served again."""
        if self._held_at is not None:
            self._held_s += now - self._held_at
            self._held_at = None
            if self._reached_at is not None:
                self._reached_at = now

    def note_switch(self, now: float) -> None:
        """Another server writes."""
        self.switches += 1
        self.last_switch_held_s = 0.0 if self._held_at is None else now - self._held_at

    def note_opened(self, connections: int, now: float) -> None:
        """A connection was opened; so many there are now."""
        self.opened += 1
        self.peak = max(self.peak, connections)
        if self._reached_at is None:
            self._reached_at = now

    def note_failed(self, connections: int, now: float) -> None:
        """One could not be opened, while there were so many others."""
        self.failed += 1
        if not connections and self._reached_at is not None:
            if self._held_at is None:
                self._reached_s += now - self._reached_at
            self._reached_at = None

    def keep(self, pool: MicroPool) -> None:
        """What this micro-pool has counted, which goes now."""
        known = pool.database in self.past or len(self.past) < DATABASES_REMEMBERED
        self.past.setdefault(pool.database if known else OTHERS, Tally()).add(pool.tally)

    def tally(self, pools: Iterable[MicroPool]) -> Tally:
        """What these micro-pools have counted, and those that are gone."""
        total = Tally()
        for each in self.past.values():
            total.add(each)
        for pool in pools:
            total.add(pool.tally)
        return total

    @property
    def is_reached(self) -> bool:
        """Whether the database can be reached, as far as it was tried, and is known to write."""
        return self._reached_at is not None and self._held_at is None

    def reached_s(self, now: float) -> float:
        """For how long it could be reached until now."""
        if self._reached_at is None or self._held_at is not None:
            return self._reached_s
        return self._reached_s + now - self._reached_at

    def held_s(self, now: float) -> float:
        """For how long requests were held until now, in all."""
        return self._held_s + (0.0 if self._held_at is None else now - self._held_at)
