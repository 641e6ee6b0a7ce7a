"""What was counted one and two periods ago, for averages."""

import asyncio
from collections.abc import Callable, Mapping

from forebay.control.console.stats import Sample, sample_of
from forebay.control.looking import Observed
from forebay.node import WorkerUnavailableError

# PgBouncer's stats_period.
PERIOD_S = 60.0


class Samples:
    """Of the proxies that somebody may ask about: ``names`` tells which these are."""

    def __init__(self, observed: Observed, names: Callable[[], list[str]]) -> None:
        self._observed = observed
        self._names = names
        self._newer: Mapping[str, Sample] = {}
        self._older: Mapping[str, Sample] = {}

    def before(self, proxy: str) -> Sample | None:
        """The one that averages begin with: the last but one, if there is one."""
        return self._older.get(proxy) or self._newer.get(proxy)

    async def run(self) -> None:
        """Take samples until cancelled."""
        while True:
            await self.take()
            await asyncio.sleep(PERIOD_S)

    async def take(self) -> None:
        """Take one, unless there is nobody to be asked, or nobody who asks."""
        names = self._names()
        if not names:
            return
        try:
            figures = await self._observed.figures(pools=True)
        except WorkerUnavailableError:
            return
        self._older = self._newer
        self._newer = {
            name: sample_of(figures.counted.proxies[name], figures.at, figures.counted.started_at)
            for name in names
            if name in figures.counted.proxies
        }
