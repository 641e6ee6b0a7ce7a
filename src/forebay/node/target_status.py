"""What a node tells of the database servers of a proxy, where there are several."""

from typing import Literal

import msgspec

from forebay.topology.reports import Health, HealthReason, Server, State, Verdict

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
    ``cause`` says why). ``epoch`` grows with each switch. ``trouble``: what is wrong with finding
    servers."""

    state: State = "HOLD"
    epoch: int = 0
    writer: str = ""
    cause: str = ""
    trouble: str = ""
    servers: list[ServerStatus] = []


def target_status(verdict: Verdict | None, epoch: int, trouble: str) -> TargetStatus:
    """What is known. ``verdict``: None if nothing is, yet."""
    if verdict is None:
        return TargetStatus(epoch=epoch, cause="no server has answered yet", trouble=trouble)
    return TargetStatus(
        state=verdict.state,
        epoch=epoch,
        writer="" if verdict.writer is None else str(verdict.writer),
        cause=verdict.cause,
        trouble=trouble,
        servers=[_server(each, verdict) for each in verdict.servers],
    )


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
