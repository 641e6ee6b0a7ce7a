"""What a node tells of itself when it is asked. Pure but for one look at a file."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from forebay import __version__
from forebay.config.addresses import Address
from forebay.config.settings import Config, ProxySettings, TargetRole
from forebay.node.reloads import Reload
from forebay.node.report import Limits, limit_in_words, limits_in
from forebay.node.target_status import TargetStatus

State = Literal["starting", "serving", "draining"]
Figures = Mapping[str, int | float]

STARTING = "it is starting, and does not serve yet"
DRAINING = "it is stopping: it takes no more clients"
NO_DATABASE = "no database connection has been opened yet: clients wait until one can be"


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The process that serves the clients."""

    pid: int
    started_at: float  # Unix time, s


class ProxyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One proxy. Numbers are None while no worker tells them; the limit, too, until the database
    has been reached."""

    name: str
    listen: list[str]
    target: list[str]
    max_client_connections: int
    client_connections: int | None = None
    clients_waiting: int | None = None
    clients_pinned: int | None = None
    database_connections: int | None = None
    database_connections_borrowed: int | None = None
    max_database_connections_allowed: int | None = None
    limit: str = ""  # in words, with what it was computed from
    paused: list[str] = []  # databases that are paused; "": all
    role: TargetRole = "READ_WRITE"
    servers: TargetStatus | None = None  # None: there is one, which is not watched
    warnings: list[str] = []  # secrets that can't be read, certificates that expire


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A node at one moment. ``ok``: it serves; else ``problems`` says why not."""

    ok: bool
    problems: list[str]
    state: State
    version: str
    pid: int
    started_at: float  # Unix time, s
    configuration: str
    worker: WorkerStatus | None
    worker_restarts: int
    reload: Reload | None  # the last one
    proxies: list[ProxyStatus]


def full_source(config: Config) -> str:
    """Where a configuration comes from: a file's whole path without links, or words."""
    path = Path(config.source)
    return str(path.resolve()) if path.is_file() else config.source


def describe(
    config: Config,
    addresses: Mapping[str, Sequence[Address]],
    figures: Mapping[str, Figures],
    silence: str,
    *,
    state: State,
    configuration: str,
    started_at: float,
    worker: WorkerStatus | None,
    worker_restarts: int,
    reload: Reload | None,
    warnings: Mapping[str, list[str]],
    paused: Mapping[str, frozenset[str]],
    servers: Mapping[str, TargetStatus],
) -> Status:
    """This process as a node. ``figures``: the worker's, by proxy; ``silence``: why there are none,
    or ""; ``paused``: databases, by proxy; ``servers``: of proxies that have several."""
    proxies = proxies_of(config, addresses, figures, warnings, paused, servers)
    problems = problems_of(state, silence, proxies)
    return Status(
        ok=not problems,
        problems=problems,
        state=state,
        version=__version__,
        pid=os.getpid(),
        started_at=started_at,
        configuration=configuration,
        worker=worker,
        worker_restarts=worker_restarts,
        reload=reload,
        proxies=proxies,
    )


def proxies_of(
    config: Config,
    addresses: Mapping[str, Sequence[Address]],
    figures: Mapping[str, Figures],
    warnings: Mapping[str, list[str]],
    paused: Mapping[str, frozenset[str]],
    servers: Mapping[str, TargetStatus],
) -> list[ProxyStatus]:
    """The proxies, by the worker's figures as far as there are any."""
    limits = limits_in(figures)
    return [
        msgspec.structs.replace(
            _proxy(name, proxy, addresses.get(name, ()), figures.get(name, {}), limits.get(name)),
            warnings=warnings.get(name, []),
            paused=sorted(paused.get(name, ())),
            servers=servers.get(name),
        )
        for name, proxy in config.proxies.items()
    ]


def problems_of(state: State, silence: str, proxies: Sequence[ProxyStatus]) -> list[str]:
    """Why it does not serve; empty if it does. ``silence``: why no worker tells figures, or ""."""
    if state == "starting":
        return [STARTING]
    if state == "draining":
        return [DRAINING]
    if silence:
        return [silence]
    return [
        f"proxies.{each.name}: {NO_DATABASE}"
        for each in proxies
        if each.max_database_connections_allowed is None
    ]


def _proxy(
    name: str,
    proxy: ProxySettings,
    addresses: Sequence[Address],
    figures: Figures,
    limits: Limits | None,
) -> ProxyStatus:
    def figure(key: str) -> int | None:
        return int(figures[key]) if key in figures else None

    return ProxyStatus(
        name=name,
        listen=[str(each) for each in addresses],
        target=proxy.target.hosts,
        role=proxy.target_role,
        max_client_connections=proxy.max_client_connections,
        client_connections=figure("client_connections"),
        clients_waiting=figure("clients_waiting"),
        clients_pinned=figure("clients_pinned"),
        database_connections=figure("database_connections"),
        database_connections_borrowed=figure("database_connections_borrowed"),
        max_database_connections_allowed=limits.allowed if limits else None,
        limit=limit_in_words(proxy, limits),
    )
