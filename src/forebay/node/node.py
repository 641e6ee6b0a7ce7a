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
from dataclasses import replace

from forebay import logs
from forebay.config.addresses import Address
from forebay.config.errors import ConfigError
from forebay.config.settings import Config
from forebay.identity.secrets import shown
from forebay.net.tasks import spawn
from forebay.node.answers import Answers
from forebay.node.certificates import CertificateError, certificate_files, read_authorities
from forebay.node.changes import compare, compare_materials
from forebay.node.desired import desired
from forebay.node.doors import Doors, Opened
from forebay.node.errors import NodeError, WorkerUnavailableError
from forebay.node.following import Follower
from forebay.node.listeners import ListenError
from forebay.node.materials import Material, MaterialError, Materials, concerns, with_users_of
from forebay.node.notify import notify, reloading
from forebay.node.reloads import Reload, refused, reloaded, tell
from forebay.node.report import Limits, limits_in, start_fields, start_line
from forebay.node.status import State, Status, WorkerStatus, describe, full_source
from forebay.node.supervisor import Supervisor
from forebay.node.surroundings import inherited
from forebay.node.worker_process import WorkerError

log = logging.getLogger("forebay.node")

WORKER_COMMAND = (sys.executable, "-m", "forebay.worker")

STATS_TIMEOUT_S = 5.0
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
        self._config = config
        self._reload_from = reload_from
        self._environ = dict(os.environ if environ is None else environ)
        self._kept = Materials(self._environ, self._secret_changed)
        self._materials: dict[str, Material] = {}
        self._doors = Doors()
        self._answers = Answers(self._kept, self._apply_users)
        self._supervisor = Supervisor(
            worker_command, self._worker_environ, self._doors, self._answers.answer
        )
        self._certificates = Follower(self._apply_certificates)
        self._users_change: asyncio.TimerHandle | None = None
        self._supervising: asyncio.Task[None] | None = None
        self._reloading = asyncio.Lock()
        self._draining = False
        self._drain_deadline = float("inf")
        self._teller: asyncio.Task[None] | None = None
        self._last_reload: Reload | None = None
        self.source = full_source(config)
        self.started_at = time.time()

    # --- what it is now -----------------------------------------------------------------------

    @property
    def config(self) -> Config:
        """What is in force: after a reload, what could not change is still the old."""
        return self._config

    @property
    def addresses(self) -> dict[str, list[Address]]:
        """Where each proxy listens, with the real ports."""
        opened = self._doors.by_proxy
        return {name: [each.address for each in own] for name, own in opened.items()}

    @property
    def endpoints(self) -> dict[str, tuple[str, int]]:
        """A (host, port) to connect to for each proxy; a Unix socket's host is its directory."""
        firsts = {name: own[0] for name, own in self.addresses.items()}
        return {name: (each.host or "127.0.0.1", each.port) for name, each in firsts.items()}

    @property
    def worker_pid(self) -> int | None:
        """The worker's process id, None while there is none."""
        worker = self._supervisor.worker
        return worker.pid if worker is not None else None

    @property
    def restarts(self) -> int:
        """How many workers were started because another had died."""
        return self._supervisor.restarts

    def certificate_pem(self, proxy: str) -> str:
        """The certificate (chain) that a proxy shows: a root to trust when it is self-made."""
        return self._materials[proxy].certificates[0].certificate_pem

    async def stats(self) -> dict[str, dict[str, int | float]]:
        """The worker's counters and gauges by proxy. Raises WorkerUnavailableError."""
        worker = self._supervisor.worker
        if worker is None:
            raise WorkerUnavailableError("no worker is running at the moment")
        try:
            return await worker.stats(STATS_TIMEOUT_S)
        except WorkerError as error:
            raise WorkerUnavailableError(str(error)) from None

    @property
    def state(self) -> State:
        if self._draining:
            return "draining"
        return "starting" if self._supervising is None else "serving"

    async def status(self) -> Status:
        """What it is and does now. Takes at most STATS_TIMEOUT_S."""
        figures: dict[str, dict[str, int | float]] = {}
        silence = ""
        if self.state != "starting":  # a worker that is being configured does not answer
            try:
                figures = await self.stats()
            except WorkerUnavailableError as error:
                silence = str(error)
        worker = self._supervisor.worker
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
            self._materials = await self._kept.gather(self._config)
            self._doors.settle(self._open_doors(self._config))
        except BaseException as error:
            await self._give_up()
            if isinstance(error, MaterialError | ListenError):
                raise NodeError(*str(error).splitlines()) from None
            raise
        self._tell_concerns()
        wanted = desired(self._config, self._materials, self._doors.by_proxy)
        self._settle()
        try:
            await self._supervisor.start(wanted, self._config.node.drain_timeout)
        except BaseException as error:
            await self._give_up()
            if isinstance(error, WorkerError):
                raise NodeError(f"the worker can't serve: {error}") from None
            raise
        self._supervising = spawn(self._supervisor.run(), "supervisor")
        notify("READY=1", self._environ)
        self._teller = spawn(self._tell_start(), "start line")

    async def _give_up(self) -> None:
        """It could not start: nothing of it is left."""
        self._doors.close()
        await self._supervisor.end(lambda: float("-inf"))
        await self._stop_following()

    async def _stop_following(self) -> None:
        self._certificates.close()
        if self._users_change is not None:
            self._users_change.cancel()
        self._answers.close()
        await self._kept.close()

    def _open_doors(self, config: Config) -> Opened:
        """Raises ListenError, and then has opened nothing."""
        proxies = config.proxies.items()
        return self._doors.open({name: proxy.listen_addresses() for name, proxy in proxies})

    async def _tell_start(self) -> None:
        limits = await self._await_limits()
        fields = start_fields(self.addresses, limits, self.worker_pid)
        log.info("%s", start_line(self._config, self.addresses, limits), extra={"fields": fields})

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
            if limits.keys() >= self._config.proxies.keys():
                break
            await asyncio.sleep(LIMITS_INTERVAL_S)
        return limits

    def _tell_concerns(self) -> list[str]:
        found = concerns(self._config, self._materials)
        for name, concern in found:
            log.warning("%s", concern, extra={"fields": {"proxy": name}})
        return [f"proxies.{name}: {concern}" for name, concern in found]

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
            materials = await self._kept.gather(changes.effective, fresh=True)
            opened = self._open_doors(changes.effective)
        except (ConfigError, MaterialError) as error:
            return refused(map(str, error.problems))
        except ListenError as error:
            return refused([str(error)])
        changed = changes.changed + compare_materials(self._materials, materials)
        try:
            await self._put(changes.effective, materials, opened)
        except WorkerError as error:
            self._doors.settle(self._doors.by_proxy)
            return refused([str(error)])
        await self._kept.settle(self._config)
        return reloaded(changed, changes.fixed, self._tell_concerns())

    async def _put(self, config: Config, materials: dict[str, Material], opened: Opened) -> None:
        """Bring it about. Raises WorkerError, and then all is as before."""
        wanted = desired(config, materials, opened)
        await self._supervisor.apply(wanted, config.node.drain_timeout)
        self._config, self._materials = config, materials
        self._doors.settle(opened)
        self._settle()

    def _settle(self) -> None:
        """Let others know what is in force now."""
        self._answers.use(
            {
                name: (self._materials[name], proxy.iam, proxy.target.region or None)
                for name, proxy in self._config.proxies.items()
            }
        )
        self._certificates.follow(certificate_files(self._config))
        if self._users_change is not None:
            self._users_change.cancel()
        times = [each.changes_at_s for each in self._materials.values() if each.changes_at_s]
        loop = asyncio.get_running_loop()
        self._users_change = loop.call_at(min(times), self._users_due) if times else None

    # --- what changes by itself -------------------------------------------------------------------

    def _secret_changed(self, source: str) -> None:
        spawn(self._apply_users(), f"{shown(source)} has changed")

    def _users_due(self) -> None:
        spawn(self._apply_users(), "passwords hold no longer")

    async def _apply_users(self) -> None:
        """Bring about what has changed in the secrets."""
        async with self._reloading:
            materials: dict[str, Material] = {}
            for name, proxy in self._config.proxies.items():
                users = self._kept.users(proxy)
                for problem in users.problems:
                    log.error("proxies.%s.auth: %s; its users stay as they were", name, problem)
                old = self._materials[name]
                materials[name] = old if users.problems else with_users_of(old, users)
            await self._put_changed(materials)

    async def _apply_certificates(self) -> None:
        """Certificates, or what they depend on, were replaced."""
        async with self._reloading:
            materials = dict(self._materials)
            for name, proxy in self._config.proxies.items():
                try:
                    materials[name] = replace(
                        materials[name],
                        certificates=self._kept.certificates(name, proxy),
                        client_ca_pem=read_authorities(proxy.tls_client_ca),
                    )
                except CertificateError as error:
                    log.error("proxies.%s: %s; the one before serves on", name, error)
            await self._put_changed(materials)
            self._tell_concerns()

    async def _put_changed(self, materials: dict[str, Material]) -> None:
        if self._draining:
            return
        changed = compare_materials(self._materials, materials)
        try:
            await self._put(self._config, materials, self._doors.by_proxy)
        except WorkerError as error:
            log.error("What has changed is not in force: %s", error)
            return
        for each in changed:
            log.info("Changed: %s", each)

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
            self._draining = self._supervisor.is_ending = True
            notify("STOPPING=1", self._environ)
            log.info("Draining", extra={"fields": {"timeout_s": timeout_s}})
            self._doors.close()
            if self._teller is not None:
                self._teller.cancel()
            await self._stop_following()
        worker = self._supervisor.worker
        if worker is None:
            if self._supervising is not None:
                self._supervising.cancel()
            return True
        worker.drain(timeout_s)
        return await self._supervisor.end(lambda: self._drain_deadline)
