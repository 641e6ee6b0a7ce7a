"""How often servers are asked, and how long they may keep silent."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds. ``chance`` gives numbers from 0 to 1, for ``jitter``: a test gives its own.

    Detection: a writer that falls silent is suspected after ``probe_s`` + ``timeout_s``, and held
    back after ``silence_s`` without a word.
    """

    probe_s: float = 0.5
    jitter: float = 0.1  # a share of probe_s: nodes do not ask in step
    timeout_s: float = 1.0  # what a probe may take, its login included
    trouble_s: float = 0.1  # between probes of one server while something is wrong
    after_s: float = 30.0  # for so long it goes on at that pace when a writer is confirmed
    silence_s: float = 2.0
    rejected_s: float = 1.0  # between logins of a control user that is turned away
    # A hint that a probe refuted makes others of that server count for less, for so long: whoever
    # may run SQL can cause them.
    quiet_s: float = 1.0
    chance: Callable[[], float] = random.random

    def pace(self, in_trouble: bool, is_rejected: bool) -> float:
        """How long after one probe of a server began the next one does."""
        if is_rejected:
            return self.rejected_s
        if in_trouble:
            return self.trouble_s
        return self.probe_s * (1.0 + self.jitter * (2.0 * self.chance() - 1.0))
