"""The servers are those that Amazon's databases list themselves: Aurora, and Multi-AZ DB clusters.

An instance's endpoint is its identifier before the domain that all endpoints of an account and a
region share, which the configured host shows: ``shop.cluster-c1.eu-west-1.rds.amazonaws.com``
has instances such as ``shop-1.c1.eu-west-1.rds.amazonaws.com`` (Aurora user guide, "Amazon Aurora
endpoint connections"). The functions are those that AWS's own drivers ask
(aws-advanced-jdbc-wrapper and its siblings).
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from forebay.config.addresses import POSTGRES_PORT, Address
from forebay.net.queries import Rows
from forebay.topology.reports import Failure
from forebay.topology.sources.rounds import Rounds
from forebay.topology.sources.source import MAX_SERVERS, Propose

PERIOD_S: Final = 5.0

Ask = Callable[[Address, str], Awaitable[Rows | Failure]]

_INSTANCE: Final = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII | re.IGNORECASE)
_ENDPOINT: Final = re.compile(
    r"[a-z0-9-]+\.(?:cluster-ro-|cluster-custom-|cluster-)?(?P<domain>[a-z0-9]+\."
    r"(?:[a-z0-9-]+\.rds\.amazonaws\.com(?:\.cn)?|rds\.[a-z0-9-]+\.amazonaws\.com\.cn))\.?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a kind of cluster is asked. Each row has an instance's name and port (NULL: the
    configured host's)."""

    name: str
    sql: str


AURORA: Final = Dialect(
    "Aurora",
    # A row that is older than five minutes is of an instance that is gone.
    "SELECT a.server_id, NULL FROM pg_catalog.aurora_replica_status() AS a"
    " WHERE a.session_id OPERATOR(pg_catalog.=) 'MASTER_SESSION_ID'"
    " OR a.last_update_timestamp IS NULL"
    " OR pg_catalog.date_part('epoch', pg_catalog.now() OPERATOR(pg_catalog.-)"
    " a.last_update_timestamp) OPERATOR(pg_catalog.<=) 300"
    " ORDER BY a.session_id OPERATOR(pg_catalog.=) 'MASTER_SESSION_ID' DESC",
)
MULTI_AZ: Final = Dialect(
    "the Multi-AZ DB cluster",
    "SELECT t.endpoint, t.port FROM rds_tools.show_topology('forebay') AS t",
)


class RdsSource:
    """See `Source`. ``ask`` puts a query to a server over its control connection.

    The configured hosts are mostly names for whichever instance writes, or reads. They are asked
    for the list, and are servers themselves only until there is one.
    """

    is_final = False
    fallback: Sequence[Address] = ()

    def __init__(
        self, dialect: Dialect, hosts: Sequence[Address], ask: Ask, period_s: float = PERIOD_S
    ) -> None:
        self._hosts = tuple(hosts)
        self._dialect = dialect
        self._ask = ask
        self._rounds = Rounds(self._look, period_s, f"ask {dialect.name} for its instances")
        self._propose: Propose | None = None
        self._proposed: tuple[Address, ...] = ()
        self._trouble = ""

    @property
    def trouble(self) -> str:
        return self._trouble

    def start(self, propose: Propose) -> None:
        self._propose = propose
        self._rounds.start()

    def look(self) -> None:
        self._rounds.hurry()

    def set_hosts(self, hosts: Sequence[Address]) -> None:
        # They may be of another cluster: those known are not asked for theirs.
        self._hosts, self._proposed = tuple(hosts), ()
        self._rounds.hurry()

    async def stop(self) -> None:
        self._propose = None
        await self._rounds.stop()

    async def _look(self) -> None:
        hosts = self._hosts
        found = await self._first()
        if hosts != self._hosts:
            return  # it looks once more
        if found or not self._proposed:
            self._proposed = found or self._hosts
            if self._propose is not None:
                self._propose(self._proposed)

    async def _first(self) -> tuple[Address, ...]:
        """The instances, as the first server says that has an answer; none if nobody has."""
        reason = "no server is known"
        for server in dict.fromkeys((*self._proposed, *self._hosts)):
            rows = await self._ask(server, self._dialect.sql)
            try:
                if isinstance(rows, Failure):
                    raise ValueError(rows.text)
                found = instances(rows, self._hosts)
            except ValueError as error:
                reason = f"{server}: {error}"
            else:
                self._trouble = ""
                return found
        self._trouble = f"{self._dialect.name} does not tell its instances: {reason}"
        return ()


def instances(rows: Rows, hosts: Sequence[Address]) -> tuple[Address, ...]:
    """Reads an answer; ``hosts`` are the configured ones, whose domain instances have.

    Raises ValueError with the reason for one that names none.
    """
    domains = [(name, each.port) for each in hosts if (name := domain_of(each.host)) is not None]
    if not domains:
        raise ValueError(
            "no host is an endpoint of RDS (….rds.amazonaws.com), which tells those of instances"
        )
    domain, port = domains[0]
    found: dict[Address, None] = {}
    for row in rows:
        if len(row) != 2:
            raise ValueError("the answer has not the columns asked for")
        instance = (row[0] or "").partition(".")[0]
        if _INSTANCE.fullmatch(instance):
            found[Address(f"{instance}.{domain}".lower(), _port(row[1], port))] = None
    if not found:
        raise ValueError("the answer names no instance")
    if len(found) > MAX_SERVERS:
        raise ValueError(f"the answer names {len(found)} instances; {MAX_SERVERS} are allowed")
    return tuple(found)


def domain_of(host: str) -> str | None:
    """What instances' endpoints end with, by any endpoint of theirs; None: it is none of RDS's."""
    match = _ENDPOINT.fullmatch(host)
    return match["domain"].lower() if match is not None else None


def _port(text: str | None, otherwise: int) -> int:
    if text is not None and text.isascii() and text.isdigit() and len(text) <= 5:
        return int(text) if 1 <= int(text) <= 65_535 else otherwise
    return otherwise or POSTGRES_PORT
