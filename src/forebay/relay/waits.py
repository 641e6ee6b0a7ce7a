"""How long clients waited for a connection, as a histogram of fixed size.

Written in Cython's pure mode (types in waits.pxd).
"""

# Below _FINE µs each has a bucket of its own; then there are _FINE for every doubling, so that
# percentiles are exact to 3 %.
_FINE = 16
_DOUBLINGS = 33  # up to 16 µs × 2^33, more than a day


class WaitHistogram:
    """Counts of waits, in microseconds."""

    def __init__(self):
        self.counts = [0] * (_FINE * (_DOUBLINGS + 1))
        self.count = 0
        self.sum_us = 0.0

    def note(self, wait_s):
        """Count one wait of `wait_s` seconds."""
        wait_us = max(0.0, wait_s * 1e6)
        self.count += 1
        self.sum_us += wait_us
        index = 0
        while wait_us >= 2 * _FINE and index < _FINE * (_DOUBLINGS - 1):
            wait_us /= 2
            index += _FINE
        index += int(min(wait_us, 2 * _FINE - 1))
        self.counts[index] += 1

    def percentile_us(self, fraction, at_once=0):
        """The wait in microseconds that `fraction` (0 to 1) of all borrows did not exceed.

        `at_once`: borrows beside those noted that did not wait at all.
        """
        rank = fraction * (self.count + at_once) - at_once
        if rank <= 0:
            return 0.0
        seen = 0
        for index, count in enumerate(self.counts):
            seen += count
            if seen >= rank:
                return _middle_us(index)
        return 0.0


def _middle_us(index):
    """The middle of a bucket."""
    doublings = max(0, index // _FINE - 1)
    return (index - doublings * _FINE + 0.5) * 2.0**doublings
