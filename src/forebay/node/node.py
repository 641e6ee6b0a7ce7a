"""The node: it holds the listening sockets, configuration and credentials, and keeps a worker
running that serves with them.

    async with Node(config) as node:
        host, port = node.endpoints["app"]
        print(await node.stats())

States: start → running (a worker is up, or being replaced) → draining → ended.
"""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from forebay import logs
from forebay.config.addresses import Address
from forebay.config.settings import Config
from forebay.net.tasks import spawn
from forebay.node.answers import AnswerConsole
from forebay.node.errors import WorkerUnavailableError
from forebay.node.history import History
from forebay.node.notify import notify, reloading
from forebay.node.observer import Observer
from forebay.node.pausing import Pausing
from forebay.node.reconciler import Reconciler
from forebay.node.reloads import Reload, refused, tell
from forebay.node.report import Limits, limits_in, start_fields, start_line
from forebay.node.standing import warnings_of
from forebay.node.status import State, Status, WorkerStatus, describe, full_source
from forebay.node.surroundings import inherited

log = logging.getLogger("forebay.node")

WORKER_COMMAND = (sys.executable, "-m", "forebay.worker")

DAY_S = 86_400.0
# How long the start line waits for the limits; afterwards it says that they aren't known yet.
LIMITS_TIMEOUT_S = 3.0
LIMITS_INTERVAL_S = 0.05
# Beyond the drain's own timeout: what a worker may take to end before it is killed.
DRAIN_GRACE_S = 4.0


class Node:
    """A running Forebay. Handles no signals: that is for the process it lives in.

    ``reload_from`` gives the new configuration at `reload` (None: only secrets and certificates are
    read again). ``worker_command`` gets the channel's descriptor as its last argument.
    """

    def __init__(
        self,
        config: Config,
        *,
        reload_from: Callable[[], Config] | None = None,
        environ: Mapping[str, str] | None = None,
        worker_command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._reload_from = reload_from
        self._environ = dict(os.environ if environ is None else environ)
        self._reconciler = Reconciler(config, self._environ, worker_command, self._worker_environ)
        self._supervising: asyncio.Task[None] | None = None
        self._reloading = asyncio.Lock()
        self._draining = False
        self._drain_deadline = float("inf")
        self._teller: asyncio.Task[None] | None = None
        self._daily: asyncio.Task[None] | None = None
        self._last_reload: Reload | None = None
        self.source = full_source(config)
        self.started_at = time.time()
        self.observer = Observer(self._reconciler, self.started_at)
        self.history = History(self.observer.figures)
        self.watching = self._reconciler.watching
        self.pausing = Pausing(self._reconciler, self.observer, self.watching.expect)
        self._reconciler.on_switch = self.pausing.switched

    # --- what it is now -----------------------------------------------------------------------

    @property
    def config(self) -> Config:
        """What is in force: after a reload, what could not change is still the old."""
        return self._reconciler.config

    @property
    def addresses(self) -> dict[str, list[Address]]:
        """Where each proxy listens, with the real ports."""
        opened = self._reconciler.doors.by_proxy
        return {name: [each.address for each in own] for name, own in opened.items()}

    @property
    def endpoints(self) -> dict[str, tuple[str, int]]:
        """A (host, port) to connect to for each proxy; a Unix socket's host is its directory."""
        firsts = {name: own[0] for name, own in self.addresses.items()}
        return {name: (each.host or "127.0.0.1", each.port) for name, each in firsts.items()}

    @property
    def worker_pid(self) -> int | None:
        """The worker's process id, None while there is none."""
        worker = self._reconciler.supervisor.worker
        return worker.pid if worker is not None else None

    @property
    def restarts(self) -> int:
        """How many workers were started because another had died."""
        return self._reconciler.supervisor.restarts

    def users_of(self, proxy: str) -> list[str]:
        """Who may log in to a proxy, as far as that is known without asking the database."""
        material = self._reconciler.materials.get(proxy)
        return [] if material is None else [each.username for each in material.credentials]

    def use_console(self, answer: AnswerConsole) -> None:
        """From now on this answers the clients of the proxies' admin databases."""
        self._reconciler.answers.console = answer

    def certificate_pem(self, proxy: str) -> str:
        """The certificate (chain) that a proxy shows: a root to trust when it is self-made."""
        return self._reconciler.materials[proxy].certificates[0].certificate_pem

    async def stats(self) -> dict[str, dict[str, int | float]]:
        """Counters and gauges by proxy, as `observer` tells them. Raises WorkerUnavailableError."""
        counted = (await self.observer.figures()).counted
        return {name: proxy.numbers for name, proxy in counted.proxies.items()}

    def _warnings(self) -> dict[str, list[str]]:
        secrets, now = self._reconciler.kept.figures(), datetime.now(UTC)
        return {
            name: warnings_of(
                self.config.proxies[name],
                material.certificates,
                secrets,
                self._reconciler.kept.error_of,
                now,
            )
            for name, material in self._reconciler.materials.items()
        }

    @property
    def state(self) -> State:
        if self._draining:
            return "draining"
        return "starting" if self._supervising is None else "serving"

    async def status(self) -> Status:
        """What it is and does now. Takes some seconds at most."""
        figures: dict[str, dict[str, int | float]] = {}
        silence = ""
        if self.state != "starting":  # a worker that is being configured does not answer
            try:
                figures = await self.stats()
            except WorkerUnavailableError as error:
                silence = str(error)
        worker = self._reconciler.supervisor.worker
        return describe(
            self.config,
            self.addresses,
            figures,
            silence,
            state=self.state,
            configuration=self.source,
            started_at=self.started_at,
            worker=WorkerStatus(pid=worker.pid, started_at=worker.started_at) if worker else None,
            worker_restarts=self.restarts,
            reload=self._last_reload,
            warnings=self._warnings(),
            paused=self._reconciler.paused,
            servers=self.watching.statuses(),
        )

    # --- start --------------------------------------------------------------------------------

    async def __aenter__(self) -> "Node":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain()

    async def start(self) -> None:
        """Open the sockets, start the worker, and return when it serves. Raises NodeError."""
        await self._reconciler.start()
        self._supervising = spawn(self._reconciler.supervisor.run(), "supervisor")
        notify("READY=1", self._environ)
        self._teller = spawn(self._tell_start(), "start line")
        self._daily = spawn(self._tell_daily(), "what is to be told each day")
        self.history.start()

    async def _tell_start(self) -> None:
        limits = await self._await_limits()
        fields = start_fields(self.addresses, limits, self.worker_pid)
        log.info("%s", start_line(self.config, self.addresses, limits), extra={"fields": fields})

    async def _tell_daily(self) -> None:
        """A certificate may come close to its end while nothing else happens."""
        while True:
            await asyncio.sleep(DAY_S)
            self._reconciler.tell_concerns()

    def _worker_environ(self) -> dict[str, str]:
        environ = inherited(self._environ)
        level = logging.getLogger("forebay").getEffectiveLevel()
        environ.setdefault(logs.ENV_LEVEL, logs.level_name(level))
        return environ

    async def _await_limits(self) -> dict[str, Limits]:
        """The pools' limits, as far as the worker has learnt them from the databases in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LIMITS_TIMEOUT_S
        limits: dict[str, Limits] = {}
        while loop.time() < deadline and not self._draining:
            try:
                limits = limits_in(await self.stats())
            except WorkerUnavailableError:
                return {}
            if limits.keys() >= self.config.proxies.keys():
                break
            await asyncio.sleep(LIMITS_INTERVAL_S)
        return limits

    # --- reload -------------------------------------------------------------------------------

    async def reload(self) -> Reload:
        """Read configuration, secrets and certificates again and put them in force.

        When something is wrong with the new ones, the old ones stay. Everything is logged: what
        changed, what can't change while running, what is wrong.
        """
        async with self._reloading:
            if self._draining:
                return refused(["it is stopping"])
            notify(reloading(), self._environ)
            try:
                self._last_reload = answer = await self._reconciler.change(self._new_config)
                tell(answer, log)
                return answer
            finally:
                notify("READY=1", self._environ)

    def _new_config(self) -> Config:
        return self.config if self._reload_from is None else self._reload_from()

    # --- the end ------------------------------------------------------------------------------

    async def drain(self, timeout_s: float | None = None) -> bool:
        """Accept nobody, let transactions finish, end. False if the worker had to be killed.

        ``timeout_s`` defaults to node.drain_timeout. Called again while it is under way, it hurries
        the worker up: ``drain(0)`` ends it at once.
        """
        timeout_s = self.config.node.drain_timeout if timeout_s is None else timeout_s
        loop = asyncio.get_running_loop()
        self._drain_deadline = min(self._drain_deadline, loop.time() + timeout_s + DRAIN_GRACE_S)
        if not self._draining:
            self._draining = self._reconciler.supervisor.is_ending = True
            notify("STOPPING=1", self._environ)
            log.info("Draining", extra={"fields": {"timeout_s": timeout_s}})
            self._reconciler.doors.close()
            self.history.stop()
            for task in (self._teller, self._daily):
                if task is not None:
                    task.cancel()
            await self._reconciler.close()
        worker = self._reconciler.supervisor.worker
        if worker is None:
            if self._supervising is not None:
                self._supervising.cancel()
            return True
        worker.drain(timeout_s)
        return await self._reconciler.supervisor.end(lambda: self._drain_deadline)
