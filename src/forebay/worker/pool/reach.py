"""For how long the database could be reached."""


class Reach:
    """Whether a database server can be reached, as far as it was tried. Times are in seconds of the
    loop's clock."""

    def __init__(self) -> None:
        self._reached_at: float | None = None  # None: it can't be reached
        self._total_s = 0.0

    def found(self, now: float) -> None:
        """A connection was opened."""
        if self._reached_at is None:
            self._reached_at = now

    def lost(self, now: float) -> None:
        """None could be opened, and there is no other one."""
        if self._reached_at is not None:
            self._total_s += now - self._reached_at
            self._reached_at = None

    @property
    def is_reached(self) -> bool:
        return self._reached_at is not None

    def total_s(self, now: float) -> float:
        """For how long it could be reached until now."""
        return self._total_s + (0.0 if self._reached_at is None else now - self._reached_at)
