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

import msgspec

from forebay import logs
from forebay.channel import Configure, WorkerProxy
from forebay.config.addresses import Address
from forebay.config.errors import ConfigError
from forebay.config.settings import Config
from forebay.net.tasks import spawn
from forebay.node.certificates import Certificates
from forebay.node.changes import compare, compare_materials
from forebay.node.errors import NodeError, WorkerUnavailableError
from forebay.node.evacuations import Evacuations
from forebay.node.listeners import Listener, ListenError, open_listeners
from forebay.node.materials import (
    Material,
    MaterialError,
    concerns,
    gather,
    secret_variables,
)
from forebay.node.notify import notify, reloading
from forebay.node.reloads import Reload, refused, reloaded, tell
from forebay.node.report import Limits, limits_in, start_fields, start_line
from forebay.node.status import State, Status, WorkerStatus, describe, full_source
from forebay.node.worker_process import WorkerError, WorkerProcess

log = logging.getLogger("forebay.node")

WORKER_COMMAND = (sys.executable, "-m", "forebay.worker")

# Deriving 200 SCRAM verifiers takes a second or two on a slow machine.
CONFIGURE_TIMEOUT_S = 60.0
STATS_TIMEOUT_S = 5.0
# How long the start line waits for the limits; afterwards it says that they aren't known yet.
LIMITS_TIMEOUT_S = 3.0
LIMITS_INTERVAL_S = 0.05
# Beyond the drain's own timeout: what a worker may take to end before it is killed.
DRAIN_GRACE_S = 4.0
# How soon a drain notices that another one brought its deadline forward.
DEADLINE_CHECK_S = 0.2

# A worker that dies at once must not be restarted in a spin; one that had run well, at once.
RESTART_DELAY_S = 0.1
RESTART_DELAY_MAX_S = 10.0
RAN_WELL_S = 30.0


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
        self._config = config
        self._reload_from = reload_from
        self._environ = dict(os.environ if environ is None else environ)
        self._worker_command = worker_command
        self._certificates = Certificates()
        self._materials: dict[str, Material] = {}
        self._listeners: dict[str, list[Listener]] = {}
        self._worker: WorkerProcess | None = None
        self._evacuations = Evacuations()
        self._generation = 0
        self._reloading = asyncio.Lock()
        self._draining = False
        self._drain_deadline = float("inf")
        self._supervisor: asyncio.Task[None] | None = None
        self._teller: asyncio.Task[None] | None = None
        self._last_reload: Reload | None = None
        self.source = full_source(config)
        self.started_at = time.time()
        self.restarts = 0  # workers started because another had died

    # --- what it is now -----------------------------------------------------------------------

    @property
    def config(self) -> Config:
        """What is in force: after a reload, what could not change is still the old."""
        return self._config

    @property
    def addresses(self) -> dict[str, list[Address]]:
        """Where each proxy listens, with the real ports."""
        return {name: [each.address for each in own] for name, own in self._listeners.items()}

    @property
    def endpoints(self) -> dict[str, tuple[str, int]]:
        """A (host, port) to connect to for each proxy; a Unix socket's host is its directory."""
        firsts = {name: own[0] for name, own in self.addresses.items()}
        return {name: (each.host or "127.0.0.1", each.port) for name, each in firsts.items()}

    @property
    def worker_pid(self) -> int | None:
        """The worker's process id, None while there is none."""
        return self._worker.pid if self._worker is not None else None

    def certificate_pem(self, proxy: str) -> str:
        """The certificate (chain) that a proxy shows: a root to trust when it is self-made."""
        return self._materials[proxy].certificate.certificate_pem

    async def stats(self) -> dict[str, dict[str, int | float]]:
        """The worker's counters and gauges by proxy. Raises WorkerUnavailableError."""
        if self._worker is None:
            raise WorkerUnavailableError("no worker is running at the moment")
        try:
            return await self._worker.stats(STATS_TIMEOUT_S)
        except WorkerError as error:
            raise WorkerUnavailableError(str(error)) from None

    @property
    def state(self) -> State:
        if self._draining:
            return "draining"
        return "starting" if self._supervisor is None else "serving"

    async def status(self) -> Status:
        """What it is and does now. Takes at most STATS_TIMEOUT_S."""
        figures: dict[str, dict[str, int | float]] = {}
        silence = ""
        if self.state != "starting":  # a worker that is being configured does not answer
            try:
                figures = await self.stats()
            except WorkerUnavailableError as error:
                silence = str(error)
        worker = self._worker
        return describe(
            self._config,
            self.addresses,
            figures,
            silence,
            state=self.state,
            configuration=self.source,
            started_at=self.started_at,
            worker=WorkerStatus(pid=worker.pid, started_at=worker.started_at) if worker else None,
            worker_restarts=self.restarts,
            reload=self._last_reload,
        )

    # --- start --------------------------------------------------------------------------------

    async def __aenter__(self) -> "Node":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain()

    async def start(self) -> None:
        """Open the sockets, start the worker, and return when it serves. Raises NodeError."""
        try:
            self._materials = gather(self._config, self._certificates, self._environ)
            for name, proxy in self._config.proxies.items():
                self._listeners[name] = open_listeners(proxy.listen_addresses())
        except (MaterialError, ListenError) as error:
            self._close_listeners()
            raise NodeError(*str(error).splitlines()) from None
        self._tell_concerns()
        try:
            worker = await self._start_worker()
        except BaseException as error:
            self._close_listeners()
            await self._end_worker()
            if isinstance(error, WorkerError):
                raise NodeError(f"the worker can't serve: {error}") from None
            raise
        self._supervisor = spawn(self._supervise(worker), "supervisor")
        notify("READY=1", self._environ)
        self._teller = spawn(self._tell_start(), "start line")

    async def _tell_start(self) -> None:
        limits = await self._await_limits()
        fields = start_fields(self.addresses, limits, self.worker_pid)
        log.info("%s", start_line(self._config, self.addresses, limits), extra={"fields": fields})

    async def _start_worker(self) -> WorkerProcess:
        descriptors = [
            sock.fileno()
            for own in self._listeners.values()
            for listener in own
            for sock in listener.sockets
        ]
        hidden = secret_variables(self._config)
        environ = {name: text for name, text in self._environ.items() if name not in hidden}
        level = logging.getLogger("forebay").getEffectiveLevel()
        environ.setdefault(logs.ENV_LEVEL, logs.level_name(level))
        worker = await WorkerProcess.start(
            self._worker_command, descriptors, environ, self._evacuations
        )
        self._worker = worker
        unchanged = await worker.configure(self._configuration(), CONFIGURE_TIMEOUT_S)
        for each in unchanged:
            log.warning("%s", each)
        return worker

    def _configuration(self) -> Configure:
        self._generation += 1
        return Configure(
            generation=self._generation,
            drain_timeout_s=self._config.node.drain_timeout,
            proxies=[
                WorkerProxy(
                    name=name,
                    listen_fds=[s.fileno() for each in self._listeners[name] for s in each.sockets],
                    settings=proxy,
                    credentials=self._materials[name].credentials,
                    tls_certificate_pem=self._materials[name].certificate.certificate_pem,
                    tls_private_key_pem=self._materials[name].certificate.private_key_pem,
                    access_keys=self._materials[name].access_keys,
                )
                for name, proxy in self._config.proxies.items()
            ],
        )

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
            if limits.keys() >= self._config.proxies.keys():
                break
            await asyncio.sleep(LIMITS_INTERVAL_S)
        return limits

    def _tell_concerns(self) -> list[str]:
        found = concerns(self._config, self._materials)
        for name, concern in found:
            log.warning("%s", concern, extra={"fields": {"proxy": name}})
        return [f"proxies.{name}: {concern}" for name, concern in found]

    # --- keep a worker running ----------------------------------------------------------------

    async def _supervise(self, worker: WorkerProcess) -> None:
        loop = asyncio.get_running_loop()
        delay_s = RESTART_DELAY_S
        started = loop.time()
        while True:
            code = await worker.wait()
            if self._draining:
                return
            self._worker = None
            delay_s = RESTART_DELAY_S if loop.time() - started > RAN_WELL_S else delay_s
            how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            fields = {"worker_pid": worker.pid, "delay_s": delay_s}
            log.error("The worker %s; starting another", how, extra={"fields": fields})
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, RESTART_DELAY_MAX_S)
            started = loop.time()
            worker = await self._restart_worker(worker)

    async def _restart_worker(self, old: WorkerProcess) -> WorkerProcess:
        """Returns the new worker; one that failed at once is returned too, as good as dead."""
        try:
            self.restarts += 1
            worker = await self._start_worker()
        except WorkerError as error:
            if not self._draining:
                log.error("The new worker can't serve: %s", error)
            if self._worker is None:
                return old
            self._worker.kill()
            return self._worker
        log.info("Another worker serves", extra={"fields": {"worker_pid": worker.pid}})
        return worker

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
                self._last_reload = answer = await self._reload()
                tell(answer, log)
                return answer
            finally:
                notify("READY=1", self._environ)

    async def _reload(self) -> Reload:
        try:
            new = self._config if self._reload_from is None else self._reload_from()
            changes = compare(self._config, new)
            gathered = self._gather(changes.effective, new)
        except (ConfigError, MaterialError) as error:
            return refused(map(str, error.problems))
        changed = changes.changed + compare_materials(self._materials, gathered)
        before = self._config, self._materials
        self._config, self._materials = changes.effective, gathered
        unchanged: list[str] = []
        if self._worker is not None:
            try:
                unchanged = await self._worker.configure(self._configuration(), CONFIGURE_TIMEOUT_S)
            except WorkerError as error:
                self._config, self._materials = before
                return refused([str(error)])
        return reloaded(changed, (*changes.fixed, *unchanged), self._tell_concerns())

    def _gather(self, effective: Config, new: Config) -> dict[str, Material]:
        """What the proxies need; of one that was removed nothing may be there any more."""
        there = {name: each for name, each in effective.proxies.items() if name in new.proxies}
        config = msgspec.structs.replace(effective, proxies=there)
        found = gather(config, self._certificates, self._environ)
        return {name: found.get(name) or self._materials[name] for name in effective.proxies}

    # --- the end ------------------------------------------------------------------------------

    async def drain(self, timeout_s: float | None = None) -> bool:
        """Accept nobody, let transactions finish, end. False if the worker had to be killed.

        ``timeout_s`` defaults to node.drain_timeout. Called again while it is under way, it hurries
        the worker up: ``drain(0)`` ends it at once.
        """
        timeout_s = self._config.node.drain_timeout if timeout_s is None else timeout_s
        loop = asyncio.get_running_loop()
        self._drain_deadline = min(self._drain_deadline, loop.time() + timeout_s + DRAIN_GRACE_S)
        if not self._draining:
            self._draining = True
            notify("STOPPING=1", self._environ)
            log.info("Draining", extra={"fields": {"timeout_s": timeout_s}})
            self._close_listeners()
            if self._teller is not None:
                self._teller.cancel()
        if self._worker is None:
            if self._supervisor is not None:
                self._supervisor.cancel()
            return True
        self._worker.drain(timeout_s)
        return await self._end_worker()

    async def _end_worker(self) -> bool:
        """Wait for the worker until the deadline (which another drain may bring forward)."""
        worker = self._worker
        if worker is None:
            return True
        loop = asyncio.get_running_loop()
        if not self._draining:
            worker.kill()
        end = asyncio.ensure_future(worker.wait())
        ended_itself = True
        while not end.done():
            left_s = self._drain_deadline - loop.time()
            if left_s <= 0:
                log.error("The worker did not end in time; killing it")
                worker.kill()
                ended_itself = False
                await asyncio.wait([end])
            else:
                await asyncio.wait([end], timeout=min(left_s, DEADLINE_CHECK_S))
        self._worker = None
        # Its last word may be lost: a socket that is closed with something unread is reset.
        return ended_itself and (worker.drained or end.result() == 0)

    def _close_listeners(self) -> None:
        for own in self._listeners.values():
            for listener in own:
                listener.close()
