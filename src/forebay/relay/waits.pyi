"""How long clients waited for a connection."""

class WaitHistogram:
    counts: list[int]
    count: int
    sum_us: float

    def note(self, wait_s: float) -> None: ...
    def percentile_us(self, fraction: float, at_once: int = 0) -> float: ...
