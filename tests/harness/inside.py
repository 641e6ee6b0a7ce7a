"""One endpoint inside the test's own process, for what is otherwise due once in a minute."""

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any, Self, TypeVar

from forebay.channel import Apply, Begin, CallError, CertificatePair, WorkerProxy
from forebay.config.settings import PoolSettings, ProxySettings, TargetSettings
from forebay.net.tls import self_signed_certificate
from forebay.worker.dataplane import DataPlane
from forebay.worker.main import relay_loop
from forebay.worker.pool.manager import PoolManager
from forebay.worker.proxy import Proxy
from tests.harness.clients import TestDatabase
from tests.harness.credentials import credential

HOST = "127.0.0.1"
TIMEOUT_S = 30.0
T = TypeVar("T")


class Inside:
    """A worker's endpoint on a loop in a thread: ``with Inside(port, database) as inside:``."""

    def __init__(
        self,
        target_port: int,
        database: TestDatabase,
        *,
        host: str = HOST,
        pool: dict[str, Any] | None = None,
        target: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        hosts = {"hosts": [f"{host}:{target_port}"], "database": database.name}
        self._settings = ProxySettings(
            require_tls=False,
            target=TargetSettings(**hosts | (target or {})),
            pool=PoolSettings(**(pool or {})),
            **settings,
        )
        self._credential = credential(database.user, database.password)
        self._loop = relay_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._proxy: Proxy | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(TIMEOUT_S)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._proxy is not None
        drain = self._proxy.drain(self._loop.time())
        asyncio.run_coroutine_threadsafe(drain, self._loop).result(TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The proxy's."""
        return self._loop

    def call(self, function: Callable[[PoolManager], T]) -> T:
        """What `function` returns, called where the pool lives."""
        return self.ask(lambda proxy: function(proxy.backends[0].manager))

    def ask(self, function: Callable[[Proxy], T]) -> T:
        """What `function` returns, called where the proxy lives."""

        async def run() -> T:
            assert self._proxy is not None
            return function(self._proxy)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(TIMEOUT_S)

    async def _start(self) -> None:
        listener = socket.create_server((HOST, 0))
        self.port = listener.getsockname()[1]
        given = WorkerProxy(
            name="app",
            listeners=[1],
            settings=self._settings,
            credentials=[self._credential],
            certificates=[CertificatePair(*self_signed_certificate())],
        )
        plane = DataPlane(self._loop, no_node)
        plane.begin(Begin(worker_number=1, cancel_secret=b"secret"))
        await plane.apply(Apply(open=[given], drain_timeout_s=0), {1: listener})
        self._proxy = plane._proxies["app"]


async def no_node(request: object, expected: object, timeout_s: float) -> Any:
    raise CallError("there is no node")
