"""How long clients waited for a connection, as a histogram of fixed size."""

import math

# Buckets grow by a tenth: percentiles are exact to 5 %.
_PER_BUCKET = math.log(1.1)
_BUCKETS = 240  # up to 1 µs × 1.1^240, more than two hours


class WaitHistogram:
    """Counts of waits, in microseconds."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.sum_us = 0.0

    def note(self, wait_s: float) -> None:
        """Count one wait of `wait_s` seconds."""
        wait_us = wait_s * 1e6
        self.count += 1
        self.sum_us += wait_us
        index = int(math.log(wait_us) / _PER_BUCKET) if wait_us > 1 else 0
        self._counts[min(index, _BUCKETS - 1)] += 1

    def percentile_us(self, fraction: float, at_once: int = 0) -> float:
        """The wait in microseconds that `fraction` (0 to 1) of all borrows did not exceed.

        `at_once`: borrows beside those noted that did not wait at all.
        """
        rank = fraction * (self.count + at_once) - at_once
        if rank <= 0:
            return 0.0
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if seen >= rank:
                return math.exp((index + 0.5) * _PER_BUCKET)
        return 0.0
