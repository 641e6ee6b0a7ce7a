"""What a node tells of the database servers of a proxy, where there are several."""

from collections import Counter
from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from forebay.channel.figures import Number
from forebay.topology.reports import Health, HealthReason, Server, State, Verdict

STATES: Mapping[State, int] = {"UP": 0, "SUSPECT": 1, "HOLD": 2}
"""As metrics have them: whatever is above 0 has requests wait."""

Role = Literal["READ_WRITE", "READ_ONLY", "UNKNOWN"]
"""RDS's TargetRole."""


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One server. ``health`` and ``reason`` are RDS's words (TargetHealth), ``text`` says it in
    ours. ``timeline``: 0 where it does not tell; ``lag_s``: None of who writes, or unknown."""

    address: str
    role: Role
    health: Health
    reason: HealthReason = ""
    text: str = ""
    timeline: int = 0
    lag_s: float | None = None


class TargetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """All servers. ``state``: UP (``writer`` is confirmed), SUSPECT or HOLD (requests wait, and
    ``cause`` says why), and since when (Unix time, s; 0: since the start). ``epoch`` grows with
    each switch. ``trouble``: what is wrong with finding servers."""

    state: State = "HOLD"
    epoch: int = 0
    writer: str = ""
    cause: str = ""
    since: float = 0.0
    trouble: str = ""
    servers: list[ServerStatus] = []


def target_status(
    verdict: Verdict | None, epoch: int, trouble: str, clock_began_at: float
) -> TargetStatus:
    """What is known. ``verdict``: None if nothing is, yet; ``clock_began_at``: when its clock was
    at 0, in Unix time."""
    if verdict is None:
        return TargetStatus(epoch=epoch, cause="no server has answered yet", trouble=trouble)
    return TargetStatus(
        state=verdict.state,
        epoch=epoch,
        writer="" if verdict.writer is None else str(verdict.writer),
        cause=verdict.cause,
        since=round(clock_began_at + verdict.since, 3),
        trouble=trouble,
        servers=[_server(each, verdict) for each in verdict.servers],
    )


def target_figures(found: TargetStatus) -> tuple[dict[str, Number], dict[str, dict[str, Number]]]:
    """What metrics tell of it: numbers, and what is told apart by a word; see `ProxyFigures`."""
    followers = [each for each in found.servers if each.role == "READ_ONLY"]
    lags = {each.address: each.lag_s for each in followers if each.lag_s is not None}
    timelines = {each.address: each.timeline for each in found.servers if each.timeline}
    counts = Counter(each.health for each in found.servers)
    numbers: dict[str, Number] = {
        "target_state": STATES[found.state],
        "target_epoch": found.epoch,
        "standbys": len(followers),
        "servers_fenced": sum(each.reason == "FENCED" for each in found.servers),
    }
    if lags:
        numbers["replica_lag_s"] = max(lags.values())
    parts: dict[str, dict[str, Number]] = {
        "servers": {health: counts[health] for health in get_args(Health)},
        "server_timelines": dict(timelines),
        "server_lags_s": dict(lags),
    }
    return numbers, parts


def _server(server: Server, verdict: Verdict) -> ServerStatus:
    report = server.report
    role: Role = "UNKNOWN"
    if server.address == verdict.writer and verdict.state == "UP":
        role = "READ_WRITE"
    elif server.address in verdict.standbys:
        role = "READ_ONLY"
    return ServerStatus(
        address=str(server.address),
        role=role,
        health=server.health,
        reason=server.reason,
        text=server.text,
        timeline=0 if report is None else report.timeline,
        lag_s=None if report is None else report.lag_s,
    )
