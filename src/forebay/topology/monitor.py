"""Asks servers when the cluster wants them asked, and tells what it makes of the answers."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from forebay.config.addresses import Address
from forebay.net.tasks import spawn
from forebay.topology.prober import Prober
from forebay.topology.reports import Failure, HintKind, Report, Verdict
from forebay.topology.sources.source import Source

LOOK_S: Final = 1.0
"""How often a source is asked to look while there is trouble."""
FALLBACK_S: Final = 5.0
"""How long nobody writes until servers are asked that are configured and not proposed."""

_log = logging.getLogger("forebay.topology")


class Decider(Protocol):
    """`forebay.topology.cluster.Cluster`, as far as it is used here."""

    @property
    def verdict(self) -> Verdict: ...
    def set_hosts(self, hosts: Sequence[Address], now: float) -> None: ...
    def answered(self, address: Address, report: Report, now: float, asked_at: float) -> None: ...
    def failed(self, address: Address, failure: Failure, now: float, asked_at: float) -> None: ...
    def hint(self, address: Address | None, kind: HintKind, now: float) -> None: ...
    def expect(self, now: float) -> None: ...
    def due(self, now: float) -> Iterable[Address]: ...
    def asked(self, address: Address, now: float) -> None: ...
    def next_at(self, now: float) -> float: ...


class Monitor:
    """Of one cluster. ``on_change`` is given each new verdict, in order, in the event loop; the
    first as soon as there is one. It owns ``source`` and ``prober``: `stop` ends them."""

    def __init__(
        self,
        cluster: Decider,
        source: Source,
        prober: Prober,
        on_change: Callable[[Verdict], None],
    ) -> None:
        self._cluster = cluster
        self._source = source
        self._prober = prober
        self._on_change = on_change
        self._told: Verdict | None = None
        self._woken = asyncio.Event()
        self._proposed: tuple[Address, ...] = ()
        self._is_old = False  # it was proposed for other hosts
        self._vouched: Address | None = None  # a writer that they led to
        self._used: tuple[Address, ...] = ()
        self._held_since = 0.0  # or the last time that somebody wrote
        self._look_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._probes: set[asyncio.Task[None]] = set()
        prober.on_hint = self.hint

    @property
    def verdict(self) -> Verdict:
        """What is so now."""
        return self._cluster.verdict

    @property
    def trouble(self) -> str:
        """What is wrong with finding servers, in words; "": nothing."""
        return self._source.trouble

    def start(self) -> None:
        """Begins to ask."""
        if self._task is None:
            self._held_since = self._now()
            self._task = spawn(self._run(), "watch database servers")
            self._source.start(self._take)

    async def stop(self) -> None:
        """Asks nothing any more; no verdict is told afterwards. All connections are closed."""
        tasks = [*self._probes, *([self._task] if self._task is not None else [])]
        self._task = None
        for task in tasks:
            task.cancel()
        await self._source.stop()
        if tasks:
            await asyncio.wait(tasks)
        self._prober.close()

    def hint(self, address: Address | None, kind: HintKind) -> None:
        """Traffic, or an idle control connection, saw something of a server."""
        self._cluster.hint(address, kind, self._now())
        self._wake()

    def expect(self) -> None:
        """A planned switchover is announced."""
        self._cluster.expect(self._now())
        self._wake()

    def set_hosts(self, hosts: Sequence[Address]) -> None:
        """The configured hosts are others, perhaps of another cluster: no writer stays that they do
        not lead to."""
        self._vouched, self._is_old = None, True
        self._source.set_hosts(hosts)

    # ---- Asking ----------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            self._vouch()
            self._use_candidates()
            now = self._now()
            for address in self._cluster.due(now):
                self._cluster.asked(address, now)
                task = spawn(self._probe(address, now), f"probe {address}")
                self._probes.add(task)
                task.add_done_callback(self._probes.discard)
            self._tell()
            self._look_around(now)
            await self._sleep(self._cluster.next_at(now) - now)

    async def _sleep(self, seconds: float) -> None:
        """Until it is time, or something happens; never for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(seconds, LOOK_S))):
                await self._woken.wait()

    async def _probe(self, address: Address, asked_at: float) -> None:
        try:
            found = await self._prober.probe(address)
        except Exception as error:  # noqa: BLE001 - our own fault: it is to be asked again
            _log.exception("%s could not be asked", address)
            found = Failure("other", f"it could not be asked: {type(error).__name__}")
        if isinstance(found, Failure):
            self._cluster.failed(address, found, self._now(), asked_at)
        else:
            self._cluster.answered(address, found, self._now(), asked_at)
        self._wake()

    # ---- What comes of it ------------------------------------------------------------------------

    def _take(self, proposed: Sequence[Address]) -> None:
        self._vouch()
        self._proposed, self._is_old = tuple(proposed), False
        self._use_candidates()
        self._wake()

    def _vouch(self) -> None:
        """Notes a writer that was found by the present hosts: it may stay whoever proposes it."""
        writer = self._cluster.verdict.writer
        if writer in self._used and not self._is_old:
            self._vouched = writer

    def _use_candidates(self) -> None:
        """Has the cluster know those that may be servers, if they are others."""
        candidates = self._candidates()
        if candidates != self._used:
            self._used = candidates
            self._cluster.set_hosts(candidates, self._now())
            self._prober.keep(candidates)

    def _candidates(self) -> tuple[Address, ...]:
        """What is proposed; and, where that is hearsay, a writer that answers, whatever is said of
        it, and those that are configured if nobody writes for long."""
        verdict, more = self._cluster.verdict, list[Address]()
        now = self._now()
        if verdict.state != "HOLD":
            self._held_since = now
        if not self._source.is_final:
            if verdict.state != "HOLD" and verdict.writer is not None:
                if verdict.writer == self._vouched:
                    more.append(verdict.writer)
            elif now - self._held_since >= FALLBACK_S:
                more += self._source.fallback
        return tuple(dict.fromkeys((*self._proposed, *more)))

    def _wake(self) -> None:
        self._tell()
        self._woken.set()

    def _tell(self) -> None:
        verdict = self._cluster.verdict
        if verdict is not self._told and self._task is not None:
            self._told = verdict
            try:
                self._on_change(verdict)
            except Exception:  # noqa: BLE001 - our own fault, no reason to stop
                _log.exception("What is known of the servers could not be told")

    def _look_around(self, now: float) -> None:
        """Who writes may be somebody new."""
        if self._cluster.verdict.state == "UP":
            self._look_at = now  # at once, the next time
        elif now >= self._look_at:
            self._look_at = now + LOOK_S
            self._source.look()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
