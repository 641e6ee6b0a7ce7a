"""PgBouncer's PAUSE, RESUME, RECONNECT and KILL, as a node carries them out.

What is paused is part of what should be so: the worker is told, and each worker that takes its
place. It is not part of the configuration: a reload leaves it, a node that is started anew knows
nothing of it.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from forebay.channel import PoolAction
from forebay.net.tasks import spawn

log = logging.getLogger("forebay.node")

EVERYTHING = ""
"""Instead of a database's name: all databases of the proxy."""


class PausingError(Exception):
    """It can't be done as things stand; the text is PgBouncer's where it has one."""


class Brought(Protocol):
    """Who brings about what should be so (`forebay.node.reconciler.Reconciler`)."""

    paused: Mapping[str, frozenset[str]]

    async def pause(self, proxy: str, databases: frozenset[str]) -> None:
        """Of this proxy these are paused, and no others. Raises WorkerUnavailableError."""


class Asked(Protocol):
    """Who asks the worker (`forebay.node.observer.Observer`)."""

    async def command(self, proxy: str, action: PoolAction, database: str) -> int:
        """Returns how many connections are left. Raises WorkerUnavailableError."""


class Pausing:
    """What is paused in one node's proxies. ``database``: EVERYTHING for all of them. ``expect`` is
    called with a proxy whose servers are about to switch over."""

    def __init__(
        self, brought: Brought, asked: Asked, expect: Callable[[str], None] = lambda _: None
    ) -> None:
        self._brought = brought
        self._asked = asked
        self._expect = expect
        # What is paused until another server writes, by proxy.
        self._until_switchover: dict[str, set[str]] = {}

    def of(self, proxy: str) -> frozenset[str]:
        """The databases that are paused."""
        return self._brought.paused.get(proxy, frozenset())

    async def do(
        self, proxy: str, action: PoolAction, database: str, *, until_switchover: bool = False
    ) -> int:
        """Carry out a command; returns how many connections a pause is still to wait for.
        ``until_switchover``: a pause ends by itself when another server writes, or the same after
        it was started anew.

        Raises PausingError, and WorkerUnavailableError."""
        paused = self.of(proxy)
        log.info(
            "%s", action.upper(), extra={"fields": {"proxy": proxy, "database": database or "all"}}
        )
        match action:
            case "pause":
                _demand_not_paused(paused)
                if until_switchover:
                    self._until_switchover.setdefault(proxy, set()).add(database)
                await self._brought.pause(proxy, paused | {database})
                return await self.left(proxy, database)
            case "kill":
                _demand_not_paused(paused)
                await self._brought.pause(proxy, paused | {database})
                await self._asked.command(proxy, "kill", database)
            case "resume":
                await self._resume(proxy, database, paused)
            case "reconnect":
                await self._asked.command(proxy, "reconnect", database)
        return 0

    async def left(self, proxy: str, database: str) -> int:
        """How many connections a pause is still to wait for. Raises PausingError if the pause was
        ended meanwhile, and WorkerUnavailableError."""
        if not self.of(proxy) & {database, EVERYTHING}:
            raise PausingError("it was resumed before it had come to a pause")
        if proxy in self._until_switchover:
            self._expect(proxy)
        return await self._asked.command(proxy, "pause", database)

    def switched(self, proxies: Iterable[str]) -> None:
        """Connections of these proxies lead to another server by now: what was paused until then
        goes on."""
        for proxy in proxies:
            databases = self._until_switchover.pop(proxy, set()) & self.of(proxy)
            if databases:
                fields = {"proxy": proxy}
                log.info("RESUME: another server writes", extra={"fields": fields})
                rest = self.of(proxy) - databases
                spawn(self._brought.pause(proxy, rest), f"resume {proxy} behind a switchover")

    async def undo(self, proxy: str, database: str) -> None:
        """Whoever paused this has left before it had come to that."""
        if database in self.of(proxy):
            try:
                await self._brought.pause(proxy, self.of(proxy) - {database})
            except Exception as error:  # noqa: BLE001 - nobody is there to be told
                log.error("PAUSE could not be undone: %s", error)

    async def _resume(self, proxy: str, database: str, paused: frozenset[str]) -> None:
        self._until_switchover.get(proxy, set()).discard(database)
        if database == EVERYTHING:
            self._until_switchover.pop(proxy, None)
            if not paused:
                raise PausingError("pooler is not paused/suspended")
            await self._brought.pause(proxy, frozenset())
        elif database in paused:
            await self._brought.pause(proxy, paused - {database})
        else:
            raise PausingError(f"database {database} is not paused")


def _demand_not_paused(paused: frozenset[str]) -> None:
    if EVERYTHING in paused:
        raise PausingError("already suspended/paused")
