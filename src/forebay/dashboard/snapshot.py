"""One moment of one proxy, as the page gets it. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from forebay.channel import ProxyView
from forebay.channel.figures import Number
from forebay.config.settings import Config
from forebay.dashboard.limits import Limit, limits_of
from forebay.node.events import Event
from forebay.node.history import ProxySample, Sample
from forebay.node.processes import NodeFigures, ProcessFigures
from forebay.node.status import ProxyStatus, State, Status, WorkerStatus


class Short(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy among others."""

    name: str
    clients: int | None
    waiting: int | None
    connections: int | None


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The proxy that is looked at. ``numbers`` and ``parts`` as in `ProxyFigures`; they are empty
    while no worker tells them."""

    status: ProxyStatus
    target_role: str
    numbers: Mapping[str, Number]
    parts: Mapping[str, Mapping[str, Number]]
    view: ProxyView | None
    limits: list[Limit]
    sample: ProxySample | None  # the latest of history


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows. ``last_event``: the number of the latest; ``last_sample``: when it was
    taken. Whoever has missed some asks for them."""

    at: float  # Unix time, s; 0: nothing was told
    state: State
    ok: bool
    problems: list[str]
    version: str
    configuration: str
    started_at: float
    worker: WorkerStatus | None
    worker_restarts: int
    processes: dict[str, ProcessFigures]
    proxies: list[Short]
    proxy: Shown | None  # None: there is none of this name (any more)
    last_event: int
    last_sample: float
    worker_cpu: float | None  # its part of one core
    late_p99_ms: float | None  # of what its loop did


def snapshot_of(
    name: str,
    config: Config,
    status: Status,
    figures: NodeFigures | None,
    view: ProxyView | None,
    *,
    samples: Sequence[Sample],
    events: Sequence[Event],
) -> Snapshot:
    """Put together. ``figures`` and ``view`` are None while no worker answers."""
    sample = samples[-1] if samples else None
    return Snapshot(
        at=figures.at if figures is not None else 0.0,
        state=status.state,
        ok=status.ok,
        problems=status.problems,
        version=status.version,
        configuration=status.configuration,
        started_at=status.started_at,
        worker=status.worker,
        worker_restarts=status.worker_restarts,
        processes={"node": figures.node, "worker": figures.worker} if figures is not None else {},
        proxies=[
            Short(
                name=each.name,
                clients=each.client_connections,
                waiting=each.clients_waiting,
                connections=each.database_connections,
            )
            for each in status.proxies
        ],
        proxy=_shown(name, config, status, figures, view, sample),
        last_event=events[-1].number if events else 0,
        last_sample=sample.at if sample is not None else 0.0,
        worker_cpu=sample.worker_cpu if sample is not None else None,
        late_p99_ms=sample.late_p99_ms if sample is not None else None,
    )


def _shown(
    name: str,
    config: Config,
    status: Status,
    figures: NodeFigures | None,
    view: ProxyView | None,
    sample: Sample | None,
) -> Shown | None:
    own = next((each for each in status.proxies if each.name == name), None)
    settings = config.proxies.get(name)
    if own is None or settings is None:
        return None
    counted = figures.counted.proxies.get(name) if figures is not None else None
    numbers = counted.numbers if counted is not None else {}
    return Shown(
        status=own,
        target_role=counted.target_role if counted is not None else "",
        numbers=numbers,
        parts=counted.parts if counted is not None else {},
        view=view,
        limits=limits_of(name, settings, own, numbers),
        sample=sample.proxies.get(name) if sample is not None else None,
    )
