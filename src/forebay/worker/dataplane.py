"""The data plane of one worker: its proxies, as the node configures them."""

import asyncio
import logging

from forebay.channel import Configure
from forebay.worker.agenda import Agenda
from forebay.worker.evacuation import Evacuator
from forebay.worker.proxy import Proxy


class DataPlane:
    """All proxies of this process. `loop` runs on a Relay."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._agenda = Agenda(loop, loop._selector.poller)  # type: ignore[attr-defined]  # noqa: SLF001
        self._proxies: dict[str, Proxy] = {}
        self.evacuator = Evacuator(self._agenda)

    async def configure(self, message: Configure) -> list[str]:
        """Serve so from now on. Returns in sentences what could not be changed while running.

        Raises ValueError with the reason when the configuration cannot be used.
        """
        _log_in_detail(any(given.settings.debug_logging for given in message.proxies))
        unchanged: list[str] = []
        for given in message.proxies:
            proxy = self._proxies.get(given.name)
            if proxy is None:
                self._proxies[given.name] = await Proxy.start(self._agenda, given, self.evacuator)
            else:
                unchanged += await proxy.reconfigure(given)
        return unchanged

    async def drain(self, timeout_s: float) -> None:
        """Finish transactions and close everything within `timeout_s` seconds."""
        deadline = self._agenda.now() + timeout_s
        await asyncio.gather(*(proxy.drain(deadline) for proxy in self._proxies.values()))

    def stats(self) -> dict[str, dict[str, int | float]]:
        """Counters and gauges by proxy."""
        return {name: dict(proxy.stats()) for name, proxy in self._proxies.items()}


def _log_in_detail(wanted: bool) -> None:
    """``debug_logging``: tell of clients that go, too; else as the log's own level has it."""
    logging.getLogger("forebay").setLevel(logging.DEBUG if wanted else logging.NOTSET)
