"""Durations, counted."""

class Histogram:
    count: int
    sum_us: float

    def note(self, duration_s: float) -> None: ...
    def filled(self) -> dict[int, int]: ...
