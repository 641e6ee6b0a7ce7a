"""Brings about what should be so: gathers what a configuration needs, opens sockets, has the worker
take the steps, and follows what changes by itself: secrets, the time for which old passwords hold,
certificates.

Whatever changes goes the same way (`_put`), one at a time: gathered whole, then taken by the worker
whole, then settled. If the worker refuses, everything is as before.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from forebay.channel import Routes
from forebay.config.addresses import Address
from forebay.config.errors import ConfigError
from forebay.config.settings import Config, ProxySettings
from forebay.identity.secrets import shown
from forebay.net.tasks import spawn
from forebay.node.answers import Answers
from forebay.node.certificates import CertificateError, certificate_files, read_authorities
from forebay.node.changes import compare, compare_materials
from forebay.node.control_logins import control_logins
from forebay.node.desired import desired
from forebay.node.doors import Doors, Opened
from forebay.node.errors import NodeError, WorkerUnavailableError
from forebay.node.events import Events
from forebay.node.following import Follower
from forebay.node.listeners import ListenError
from forebay.node.materials import Material, MaterialError, Materials, concerns, with_users_of
from forebay.node.reloads import Reload, refused, reloaded
from forebay.node.supervisor import Supervisor
from forebay.node.watching import Watching
from forebay.node.worker_process import WorkerError
from forebay.topology.control import ControlLogin
from forebay.topology.making import monitor_of
from forebay.topology.monitor import Monitor
from forebay.topology.reports import Verdict

log = logging.getLogger("forebay.node")

# When a worker did not take what has changed by itself, because it was about to end, say.
RETRY_S = 5.0


class Reconciler:
    """What is in force in a node, and how it becomes something else. ``environ``: where secrets may
    be; ``worker_environ``: what a worker inherits."""

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        worker_command: Sequence[str],
        worker_environ: Callable[[], Mapping[str, str]],
    ) -> None:
        self.config = config
        self.materials: dict[str, Material] = {}
        self.paused: Mapping[str, frozenset[str]] = {}  # databases, by proxy; "": all of them
        self.kept = Materials(environ, self._secret_changed)
        self.doors = Doors()
        self.events = Events()
        self.answers = Answers(self.kept, self._caught_up_with)
        # Called with the proxies whose connections lead to another server by now.
        self.on_switch: Callable[[list[str]], None] = lambda _: None
        self.watching = Watching(
            self._make_monitor, self._tell_routes, lambda proxies: self.on_switch(proxies)
        )
        self.supervisor = Supervisor(
            worker_command,
            worker_environ,
            self.doors,
            self.answers.answer,
            self.events,
            self.watching.routes,
            self.watching.hear,
        )
        self._follower = Follower(self.catch_up)
        self._changing = asyncio.Lock()
        self._next: asyncio.TimerHandle | None = None
        self._is_behind = False
        self._is_closed = False

    async def start(self) -> None:
        """Bring the configuration about for the first time. Raises NodeError, and then nothing of
        it is left."""
        try:
            self.materials = await self.kept.gather(self.config)
            self.doors.settle(self._open_doors(self.config))
            self.tell_concerns()
            wanted = desired(self.config, self.materials, self.doors.by_proxy, self.paused)
            self._settle()
            await self.supervisor.start(wanted, self.config.node.drain_timeout)
        except BaseException as error:
            self.doors.close()
            await self.supervisor.end(lambda: float("-inf"))
            await self.close()
            if isinstance(error, MaterialError | ListenError):
                raise NodeError(*str(error).splitlines()) from None
            if isinstance(error, WorkerError):
                raise NodeError(f"the worker can't serve: {error}") from None
            raise

    async def close(self) -> None:
        """Nothing changes any more."""
        self._is_closed = True
        self._follower.close()
        if self._next is not None:
            self._next.cancel()
        self.answers.close()
        await self.watching.close()
        await self.kept.close()

    async def change(self, read: Callable[[], Config]) -> Reload:
        """Bring another configuration about; secrets and certificates are read anew."""
        async with self._changing:
            try:
                return await self._change(read)
            finally:
                await self.kept.settle(self.config)

    async def _change(self, read: Callable[[], Config]) -> Reload:
        try:
            changes = compare(self.config, read())
            materials = await self.kept.gather(changes.effective, fresh=True)
            opened = self._open_doors(changes.effective)
        except (ConfigError, MaterialError) as error:
            return refused(map(str, error.problems))
        except ListenError as error:
            return refused([str(error)])
        changed = changes.changed + compare_materials(self.materials, materials)
        try:
            await self._put(changes.effective, materials, opened)
        except WorkerError as error:
            self.doors.settle(self.doors.by_proxy)
            return refused([str(error)])
        return reloaded(changed, changes.fixed, self.tell_concerns())

    async def pause(self, proxy: str, databases: frozenset[str]) -> None:
        """Of this proxy these databases are paused, and no others. Raises WorkerUnavailableError,
        and then all is as before."""
        async with self._changing:
            before = self.paused
            present = {**before, proxy: databases}
            self.paused = {name: each for name, each in present.items() if each}
            try:
                await self._put(self.config, self.materials, self.doors.by_proxy)
            except WorkerError as error:
                self.paused = before
                raise WorkerUnavailableError(str(error)) from None

    async def catch_up(self) -> None:
        """Bring about what has changed by itself. What can't be used leaves its proxy as it was."""
        async with self._changing:
            if self._is_closed:
                return
            self._is_behind = False
            materials = {name: self._caught_up(name) for name in self.materials}
            changed = compare_materials(self.materials, materials)
            try:
                await self._put(self.config, materials, self.doors.by_proxy)
            except WorkerError as error:
                log.error("What has changed is not in force yet: %s", error)
                self._call_at(asyncio.get_running_loop().time() + RETRY_S)
                return
            for each in changed:
                log.info("Changed: %s", each)

    async def _caught_up_with(self) -> None:
        """Return when it is in force what has changed by itself until now."""
        async with self._changing:
            is_behind = self._is_behind
        if is_behind:
            await self.catch_up()

    def _caught_up(self, name: str) -> Material:
        proxy, material = self.config.proxies[name], self.materials[name]
        users = self.kept.users(proxy)
        for problem in users.problems:
            log.error("proxies.%s.auth: %s; its users stay as they were", name, problem)
        if not users.problems:
            material = with_users_of(material, users)
        try:
            certificates = self.kept.certificates(name, proxy)
            authorities = read_authorities(proxy.tls_client_ca)
        except CertificateError as error:
            log.error("proxies.%s: %s; the one before serves on", name, error)
            return material
        return replace(material, certificates=certificates, client_ca_pem=authorities)

    async def _put(self, config: Config, materials: dict[str, Material], opened: Opened) -> None:
        """Have the worker take it. Raises WorkerError, and then all is as before."""
        wanted = desired(config, materials, opened, self.paused)
        await self.supervisor.apply(wanted, config.node.drain_timeout)
        self.config, self.materials = config, materials
        self.doors.settle(opened)
        self._settle()

    def _settle(self) -> None:
        """Let others know what is in force now."""
        self.answers.use(
            {
                name: (self.materials[name], proxy.iam, proxy.target.region or None)
                for name, proxy in self.config.proxies.items()
            }
        )
        proxies = self.config.proxies
        self.paused = {name: each for name, each in self.paused.items() if name in proxies}
        self.watching.use(proxies)
        self._follower.follow(certificate_files(self.config))
        now_s = asyncio.get_running_loop().time()
        times = [each.changes_at_s for each in self.materials.values() if each.changes_at_s]
        self._call_at(min((each for each in times if each > now_s), default=None))

    def _tell_routes(self, routes: Routes) -> bool:
        return self.supervisor.tell(routes)

    def _make_monitor(
        self, name: str, proxy: ProxySettings, on_change: Callable[[Verdict], None]
    ) -> Monitor:
        """What watches the servers of a proxy, by the logins of its users as they are then."""

        async def logins(address: Address) -> list[ControlLogin]:
            present = self.config.proxies.get(name, proxy)
            credentials = self.materials[name].credentials if name in self.materials else []
            return await control_logins(name, present, credentials, address, self.answers.answer)

        return monitor_of(proxy.target, logins, on_change)

    def _call_at(self, when_s: float | None) -> None:
        """Catch up at this time of the loop's clock; None: at none that is known."""
        if self._next is not None:
            self._next.cancel()
        loop = asyncio.get_running_loop()
        self._next = None if when_s is None else loop.call_at(when_s, self._due)

    def _due(self) -> None:
        spawn(self.catch_up(), "passwords hold no longer")

    def _secret_changed(self, source: str) -> None:
        self._is_behind = True
        spawn(self.catch_up(), f"{shown(source)} has changed")

    def _open_doors(self, config: Config) -> Opened:
        """Raises ListenError, and then has opened nothing."""
        proxies = config.proxies.items()
        return self.doors.open({name: proxy.listen_addresses() for name, proxy in proxies})

    def tell_concerns(self) -> list[str]:
        """Log what works and yet should be told; returns it."""
        found = concerns(self.config, self.materials)
        for name, concern in found:
            log.warning("%s", concern, extra={"fields": {"proxy": name}})
        return [f"proxies.{name}: {concern}" for name, concern in found]
