"""Watches the database servers of the proxies that have several, and tells the worker which one of
them writes.

Proxies before the same servers share what asks them. The numbers of epochs grow through the life of
a node, whichever proxy they are of and however it is configured: one that is lower is always old.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from forebay.channel import Hint, Route, Routes, RouteServer
from forebay.config.addresses import Address, parse_address
from forebay.config.settings import ProxySettings, TargetSettings
from forebay.net.tasks import spawn
from forebay.node.target_status import TargetStatus, target_status
from forebay.topology.monitor import Monitor
from forebay.topology.reports import Server, Verdict

log = logging.getLogger("forebay.topology")

RETRY_S = 0.1
"""When the worker was too far behind to be told."""

MakeMonitor = Callable[[str, ProxySettings, Callable[[Verdict], None]], Monitor]
"""Makes what watches the servers of the proxy of this name. The function is to be called with each
verdict."""


@dataclass(frozen=True, slots=True)
class Kin:
    """What makes two proxies' servers the same, and how they are asked."""

    topology: str
    patroni: tuple[str, ...]
    hosts: frozenset[str]
    asked: tuple[str | None, ...]

    @classmethod
    def of(cls, target: TargetSettings) -> "Kin":
        asked = (
            *(target.sslmode, target.sslrootcert, target.sslcert, target.sslkey),
            *(target.control_user, target.database, target.region),
        )
        return cls(target.topology, tuple(target.patroni), frozenset(target.hosts), asked)

    def is_like(self, other: "Kin") -> bool:
        """Whether only hosts are others."""
        return replace(self, hosts=other.hosts) == other


class Watch:
    """The servers of some proxies."""

    def __init__(self, kin: Kin, base: int) -> None:
        self.kin = kin
        self.base = base  # of its epochs
        self.proxies: list[str] = []
        self.monitor: Monitor | None = None
        self.verdict: Verdict | None = None

    @property
    def epoch(self) -> int:
        """The number of its epoch in this node."""
        return self.base + (0 if self.verdict is None else self.verdict.epoch)

    def route(self) -> Route:
        """What the worker is to know."""
        verdict = self.verdict
        if verdict is None:
            return Route(epoch=self.base)
        reports = {each.address: each.report for each in verdict.servers}
        standbys = [(each, reports[each]) for each in verdict.standbys]
        return Route(
            epoch=self.epoch,
            state=verdict.state,
            writer="" if verdict.writer is None else str(verdict.writer),
            writer_name="" if verdict.writer is None else verdict.writer.name,
            standbys=[
                RouteServer(
                    address=str(each),
                    name=each.name,
                    weight=report.max_connections,
                    lag_s=report.lag_s,
                )
                for each, report in standbys
                if report is not None
            ],
            lost=[str(each.address) for each in verdict.servers if is_lost(each)],
            servers=len(verdict.servers),
            cause=verdict.cause,
        )


class Watching:
    """Of one node. ``tell`` sends to the worker: it returns False if there is none, or if it is far
    behind. ``switched`` is called with the proxies whose connections lead to another server by
    now."""

    def __init__(
        self,
        make_monitor: MakeMonitor,
        tell: Callable[[Routes], bool],
        switched: Callable[[list[str]], None],
    ) -> None:
        self._make_monitor = make_monitor
        self._tell = tell
        self._switched = switched
        self._watches: list[Watch] = []
        self._retry: asyncio.TimerHandle | None = None
        self._epoch = 0  # the highest of all

    def use(self, proxies: Mapping[str, ProxySettings]) -> None:
        """These are the proxies from now on. Where only hosts are others, what is known stays."""
        watched = {name: each for name, each in proxies.items() if each.target.is_watched}
        wanted: dict[Kin, list[str]] = {}
        for name, proxy in watched.items():
            wanted.setdefault(Kin.of(proxy.target), []).append(name)
        before, self._watches = self._watches, []
        for kin, names in wanted.items():
            found = _heir(kin, names, before)
            if found is None or found.monitor is None:
                found = Watch(kin, self._epoch)
                self._start(found, names[0], watched[names[0]])
            else:
                before.remove(found)
                if found.kin != kin:
                    found.monitor.set_hosts(watched[names[0]].target.addresses())
            found.kin, found.proxies = kin, names
            self._watches.append(found)
        for each in before:
            if each.monitor is not None:
                spawn(each.monitor.stop(), "watch servers no more")
        self.tell()

    def _start(self, watch: Watch, name: str, proxy: ProxySettings) -> None:
        watch.monitor = self._make_monitor(name, proxy, lambda verdict: self._take(watch, verdict))
        watch.monitor.start()

    async def close(self) -> None:
        """Watch nothing any more."""
        watches, self._watches = self._watches, []
        if self._retry is not None:
            self._retry.cancel()
        for each in watches:
            if each.monitor is not None:
                await each.monitor.stop()

    # ---- what is known ----

    def routes(self) -> Routes:
        """All routes."""
        return Routes(
            routes={name: route for each in self._watches for name, route in _routes(each)}
        )

    def statuses(self) -> dict[str, TargetStatus]:
        """What is told of the servers, by proxy."""
        return {
            name: target_status(each.verdict, each.epoch, each.monitor.trouble)
            for each in self._watches
            if each.monitor is not None
            for name in each.proxies
        }

    def is_watched(self, proxy: str) -> bool:
        """Whether its servers are asked who writes."""
        return self._watch(proxy) is not None

    def _watch(self, proxy: str) -> Watch | None:
        return next((each for each in self._watches if proxy in each.proxies), None)

    # ---- what happens ----

    def hear(self, hint: Hint) -> None:
        """A worker saw something."""
        watch = self._watch(hint.proxy)
        if watch is None or watch.monitor is None:
            return
        try:
            address: Address | None = parse_address(hint.address, wildcard=False)
        except ValueError:
            address = None
        watch.monitor.hint(address, hint.kind)

    def expect(self, proxy: str) -> None:
        """A planned switchover of this proxy's servers is about to happen."""
        watch = self._watch(proxy)
        if watch is not None and watch.monitor is not None:
            watch.monitor.expect()

    def _take(self, watch: Watch, verdict: Verdict) -> None:
        before, watch.verdict = watch.verdict, verdict
        self._epoch = max(self._epoch, watch.epoch)
        if watch not in self._watches:
            return  # it is just being begun with, or not any more
        self.tell()
        _log_change(watch.proxies, before, verdict)
        if before is not None and 0 < before.epoch < verdict.epoch:
            self._switched(watch.proxies)

    def tell(self) -> None:
        """Let the worker know how things stand."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._watches and not self._tell(self.routes()):
            self._retry = asyncio.get_running_loop().call_later(RETRY_S, self.tell)


def is_lost(server: Server) -> bool:
    """Whether a server is taken to be dead, or out of reach: nothing of what was asked of it is to
    be waited for."""
    return server.health == "UNAVAILABLE" and server.reason in ("UNREACHABLE", "CONNECTION_FAILED")


def _routes(watch: Watch) -> Iterable[tuple[str, Route]]:
    route = watch.route()
    return ((name, route) for name in watch.proxies)


def _heir(kin: Kin, names: list[str], before: list[Watch]) -> Watch | None:
    """Which of these watches the same servers, or did before the configuration was changed."""
    same = (each for each in before if each.kin == kin)
    like = (each for each in before if each.kin.is_like(kin) and set(each.proxies) & set(names))
    return next(same, None) or next(like, None)


def _log_change(proxies: list[str], before: Verdict | None, now: Verdict) -> None:
    """What people are to be woken for is a warning: requests that wait, and another writer."""
    fields = {"proxies": ", ".join(proxies), "state": now.state, "epoch": now.epoch}
    state, epoch = ("HOLD", 0) if before is None else (before.state, before.epoch)
    if now.state != "UP":
        if before is None or state != now.state:
            level = logging.INFO if now.state == "SUSPECT" or before is None else logging.WARNING
            log.log(level, "%s: %s", now.state, now.cause, extra={"fields": fields})
    elif epoch != now.epoch:
        level = logging.WARNING if epoch else logging.INFO
        log.log(level, "%s writes", now.writer, extra={"fields": fields})
    elif state != "UP":
        log.info("%s writes as before", now.writer, extra={"fields": fields})
