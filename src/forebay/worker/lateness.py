"""By how much later than planned the worker's loop does what is due: how long traffic, or anything
else in this thread, has kept it.
"""

from forebay.relay import Histogram
from forebay.worker.agenda import Agenda

TICK_S = 0.1


class Lateness:
    """Sets itself a time again and again, and counts by how much it was missed."""

    def __init__(self, agenda: Agenda) -> None:
        self.histogram = Histogram()
        self._agenda = agenda

    def start(self) -> None:
        """Look from now on, for as long as the process lives."""
        self._wait()

    def _wait(self) -> None:
        self._agenda.later(TICK_S, self._tick, self._agenda.now() + TICK_S)

    def _tick(self, due_at: float) -> None:
        self.histogram.note(self._agenda.now() - due_at)
        self._wait()
