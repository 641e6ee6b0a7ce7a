"""The Forebay of the demo: the real node and worker, configured by the program."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from forebay.channel import Route
from forebay.config import (
    AuthSettings,
    Config,
    Hidden,
    NodeSettings,
    PoolSettings,
    ProxySettings,
    TargetSettings,
)
from forebay.embedded.errors import SetupError
from forebay.embedded.postgres import Postgres
from forebay.embedded.surroundings import HOST
from forebay.logs import ENV_LEVEL
from forebay.node import Node, NodeError, WorkerUnavailableError

Beside = Callable[[Node], AbstractAsyncContextManager[str]]
"""What runs beside the node as long as that runs, and says where it is to be found."""

PROXY = "demo"
USUAL_PORT = 6432
ANY_PORT = 0
MAX_CONNECTIONS_PERCENT = 90
MAX_IDLE_CONNECTIONS_PERCENT = 50
DRAIN_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Databases:
    """What Forebay stands before: servers with the same databases, and how it logs in to them."""

    servers: Sequence[Postgres]
    user: str
    password: str = field(repr=False)
    database: str
    max_connections_percent: int = MAX_CONNECTIONS_PERCENT


def configuration(databases: Databases, port: int) -> Config:
    """The decision record's properties, in front of these servers."""
    secret = json.dumps({"username": databases.user, "password": databases.password})
    has_tls = all(server.tls for server in databases.servers)
    proxy = ProxySettings(
        listen=f"{HOST}:{port}",
        require_tls=True,
        idle_client_timeout=1800,
        auth=[AuthSettings(secret=f"given:{PROXY}")],
        target=TargetSettings(
            hosts=[f"{server.host}:{server.port}" for server in databases.servers],
            sslmode="require" if has_tls else "disable",
            database=databases.database,
        ),
        pool=PoolSettings(
            max_connections_percent=databases.max_connections_percent,
            max_idle_connections_percent=min(
                MAX_IDLE_CONNECTIONS_PERCENT, databases.max_connections_percent
            ),
        ),
    )
    return Config(
        node=NodeSettings(drain_timeout=DRAIN_TIMEOUT_S),
        proxies={PROXY: proxy},
        given_secrets={PROXY: Hidden(secret)},
        source="demo",
    )


class Front:
    """The running Forebay, as far as the demo needs it. ``page``: where its page is."""

    def __init__(self, node: Node, page: str) -> None:
        self._node = node
        self.page = page
        self.port = node.endpoints[PROXY][1]

    @property
    def worker_restarts(self) -> int:
        """How often a worker had died and another one was started."""
        return self._node.restarts

    def route(self) -> Route | None:
        """Where the proxy's connections lead now; None where there is but one server."""
        return self._node.watching.routes().routes.get(PROXY)

    async def figures(self) -> dict[str, int | float]:
        """The proxy's own counts; empty while its worker does not answer."""
        try:
            return (await self._node.stats()).get(PROXY, {})
        except WorkerUnavailableError:
            return {}


@contextlib.asynccontextmanager
async def running(
    databases: Databases, port: int | None, show_page: Beside, *, level: str = "warning"
) -> AsyncIterator[Front]:
    """Runs a Forebay for as long as the context lasts. Raises SetupError if it cannot start.

    port: None stands for the usual one, or any where that cannot be had, which only shows when it
    is taken: another demo may have found it free as well. level: Forebay says nothing that is of
    less weight, which would break the view.
    """
    log = logging.getLogger("forebay")
    before = log.level
    log.setLevel(level.upper())
    try:
        node = await _started(databases, port, level)
        try:
            async with show_page(node) as page:
                yield Front(node, page)
        finally:
            await node.drain(DRAIN_TIMEOUT_S)
    finally:
        log.setLevel(before)


async def _started(databases: Databases, port: int | None, level: str) -> Node:
    """A node that runs. Raises SetupError if none can."""
    for attempt in (USUAL_PORT, ANY_PORT) if port is None else (port,):
        node = Node(
            configuration(databases, attempt),
            worker_command=(sys.executable, "-m", "forebay.demo.bound_worker", str(os.getpid())),
            environ=dict(os.environ) | {ENV_LEVEL: level},
        )
        try:
            await node.start()
            return node
        except NodeError as error:
            failure = error
    raise SetupError(f"Forebay did not start: {'; '.join(failure.problems)}") from failure
