"""What has happened to one proxy's connections since the worker started."""

from collections.abc import Iterable

from forebay.relay import MicroPool, Tally

# Of so many databases the counts of micro-pools that are gone are kept apart; of others together.
DATABASES_REMEMBERED = 1000
OTHERS = ""


class Record:
    """Counters that never fall. Times are in seconds of the loop's clock.

    ``past``: what micro-pools have counted that are gone, by database. The database can be reached
    from the first connection on, until one can't be opened while there is no other.
    """

    def __init__(self) -> None:
        self.opened = 0
        self.failed = 0
        self.peak = 0  # the most connections that there have been at once
        self.past: dict[str, Tally] = {}
        self._reached_at: float | None = None  # None: it can't be reached
        self._reached_s = 0.0

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
        """Whether the database can be reached, as far as it was tried."""
        return self._reached_at is not None

    def reached_s(self, now: float) -> float:
        """For how long it could be reached until now."""
        return self._reached_s + (0.0 if self._reached_at is None else now - self._reached_at)
