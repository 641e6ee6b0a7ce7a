"""What ``forebay check`` finds out of the servers of a target that has several: what a running
Forebay would decide, by the same code, and what will bite at the next failover.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from forebay.channel import Credential, MakeToken, NodeAnswer, Token
from forebay.config import Address, ProxySettings
from forebay.identity.database_tokens import DatabaseTokenError, DatabaseTokens
from forebay.net.queries import Rows
from forebay.node.control_logins import control_logins
from forebay.node.target_status import ServerStatus, TargetStatus, target_status
from forebay.topology.control import ControlLogin
from forebay.topology.making import monitor_of, prober_of
from forebay.topology.reports import Failure, Verdict
from forebay.topology.wording import clipped

SETTLE_S = 5.0
"""As long servers have to answer; who answers at all does so within one."""
LAG_S = 10.0
"""From so many seconds on a standby's lag is worth a warning."""

# `pg_stat_replication` shows others than superusers that there are rows, and little of them.
STANDING_SQL = """
SELECT
    pg_catalog.current_setting('synchronous_standby_names'),
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication),
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_wal_receiver)
"""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a server says besides. ``followers``: how many stream from it; ``is_following``: whether
    it streams itself."""

    synchronous_standby_names: str = ""
    followers: int = 0
    is_following: bool = False


class ServerReport(msgspec.Struct, frozen=True, kw_only=True):
    """One server. ``system_id``: of its cluster, "" where it does not tell; ``standing``: None if
    it could not be asked."""

    server: ServerStatus
    system_id: str = ""
    is_read_only: bool = False
    standing: Standing | None = None


@dataclass(slots=True)
class Servers:
    """What was found of a target. ``problems``: why it would not work."""

    target: TargetStatus
    reports: list[ServerReport] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


async def look(
    name: str, proxy: ProxySettings, credentials: Sequence[Credential]
) -> Servers | None:
    """Asks the servers of a proxy; None if there is but one, which is not watched."""
    if not proxy.target.is_watched:
        return None
    tokens = DatabaseTokens()

    async def make_token(request: MakeToken) -> NodeAnswer:
        region = proxy.target.region or None
        try:
            text = await tokens.token(request.host, request.port, request.user, region)
        except DatabaseTokenError as error:
            raise ValueError(str(error)) from None
        return Token(token=text)

    async def logins(address: Address) -> list[ControlLogin]:
        return await control_logins(name, proxy, credentials, address, make_token)

    changed = asyncio.Event()
    monitor = monitor_of(proxy.target, logins, lambda _: changed.set())
    asker = prober_of(proxy.target, logins)
    monitor.start()
    try:
        verdict = await _settled(lambda: monitor.verdict, changed)
        found = Servers(target_status(verdict, verdict.epoch, monitor.trouble, 0.0))
        found.target = msgspec.structs.replace(found.target, since=0.0)
        for status, server in zip(found.target.servers, verdict.servers, strict=True):
            rows = await asker.ask(server.address, STANDING_SQL) if server.report else None
            found.reports.append(
                ServerReport(
                    server=status,
                    system_id=server.report.system_id if server.report else "",
                    is_read_only=bool(server.report and server.report.is_read_only),
                    standing=_standing(rows),
                )
            )
    finally:
        await monitor.stop()
        asker.close()
        tokens.close()
    found.problems += problems(found.target)
    has_wal = proxy.target.topology not in ("aurora", "multi_az")
    found.warnings += warnings(found.target, found.reports, has_wal=has_wal)
    return found


async def _settled(verdict: Callable[[], Verdict], changed: asyncio.Event) -> Verdict:
    """The verdict when all servers have answered, or been given up, and one is known to write; or
    what is known in the end."""
    try:
        async with asyncio.timeout(SETTLE_S):
            while not _is_settled(verdict()):
                changed.clear()
                await changed.wait()
    except TimeoutError:
        pass
    return verdict()


def _is_settled(verdict: Verdict) -> bool:
    return (
        verdict.state == "UP"
        and bool(verdict.servers)
        and all(each.health != "REGISTERING" for each in verdict.servers)
    )


def _standing(rows: Rows | Failure | None) -> Standing | None:
    if rows is None or isinstance(rows, Failure) or len(rows) != 1 or len(rows[0]) != 3:
        return None
    names, followers, receivers = (each or "" for each in rows[0])
    if not (followers.isdecimal() and receivers.isdecimal()):
        return None
    return Standing(
        synchronous_standby_names=clipped(names),
        followers=int(followers),
        is_following=int(receivers) > 0,
    )


def problems(found: TargetStatus) -> list[str]:
    """Why clients would wait."""
    if found.state == "UP":
        return []
    return [found.cause or "no server is known to write"]


def warnings(
    found: TargetStatus, reports: Sequence[ServerReport], *, has_wal: bool = True
) -> Iterator[str]:
    """What will bite at the next failover. ``has_wal``: servers follow each other by streaming."""
    if found.trouble:
        yield found.trouble
    if found.state == "UP":  # else the cause has them
        yield from (each.server.text for each in reports if each.server.text)
    ids = {each.system_id: each.server.address for each in reports if each.system_id}
    if len(ids) > 1:
        told = ", ".join(f"{address} of {number}" for number, address in ids.items())
        yield f"the hosts are of different clusters (system identifiers: {told})"
    reachable = [each for each in reports if each.server.health == "AVAILABLE"]
    if len(reports) > 1 and len(reachable) == 1:
        yield f"only {reachable[0].server.address} can be used: nothing can take over"
    elif found.state == "UP" and not any(_is_standby(each) for each in reports):
        yield "there is no standby: nothing can take over"
    yield from (
        f"{each.server.address} is {each.server.lag_s:.0f} s behind"
        for each in reports
        if each.server.lag_s is not None and each.server.lag_s >= LAG_S
    )
    yield from (
        f"{each.server.address} is read-only for everybody (default_transaction_read_only): it"
        " could not take over"
        for each in reports
        if _is_standby(each) and each.is_read_only
    )
    if has_wal:
        yield from _replication(found, reports)


def _replication(found: TargetStatus, reports: Sequence[ServerReport]) -> Iterator[str]:
    standbys = [each for each in reports if _is_standby(each)]
    for each in standbys:
        if each.standing is None:
            continue
        if not each.standing.is_following:
            yield (
                f"{each.server.address} does not stream: it may fall behind (look at its"
                " primary_conninfo, and at its log)"
            )
        if each.standing.synchronous_standby_names and not each.standing.followers:
            yield (
                f"{each.server.address} has synchronous_standby_names ="
                f" '{each.standing.synchronous_standby_names}', and nobody follows it: once it is"
                " promoted, commits would wait for that"
            )
    writer = next((each for each in reports if each.server.address == found.writer), None)
    standing = None if writer is None else writer.standing
    if standbys and standing is not None and not standing.synchronous_standby_names:
        yield (
            "replication is asynchronous (synchronous_standby_names is empty): what was committed"
            " last may be lost when a standby is promoted"
        )


def _is_standby(each: ServerReport) -> bool:
    return each.server.role == "READ_ONLY"


def lines(reports: Sequence[ServerReport]) -> Iterator[str]:
    """The servers for people."""
    for each in reports:
        server = each.server
        role = "unknown" if server.role == "UNKNOWN" else server.role.lower().replace("_", "-")
        told = [role if server.health == "AVAILABLE" else server.health]
        if server.timeline:
            told.append(f"timeline {server.timeline}")
        if server.lag_s is not None:
            told.append(f"{server.lag_s:.1f} s behind")
        if each.system_id:
            told.append(f"cluster {each.system_id}")
        yield f"  server   {server.address}: {', '.join(told)}"
