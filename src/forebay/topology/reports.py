"""What is learnt of one database server: what it says of itself, or why it says nothing."""

from dataclasses import dataclass
from typing import Literal

from forebay.config.addresses import Address

FailureKind = Literal[
    "refused", "timeout", "lost", "starting", "auth", "too_many", "protocol", "other"
]
"""Why a server did not answer a probe:

    refused     nobody listens there (ECONNREFUSED), or the name has no address
    timeout     it, or the network, keeps silent
    lost        the connection ended (EOF, RST, 57P01, 57P02)
    starting    57P03: it starts, stops, or is in recovery and not consistent yet
    auth        28xxx: the control user may not log in
    too_many    53300
    protocol    what answers there is no PostgreSQL
    other       anything else that it says
"""

HintKind = Literal["lost", "terminated", "crashed", "starting", "refused", "silent", "read_only"]
"""What traffic saw of a server, which is a reason to ask it at once, and no more than that:

    lost        a connection ended without a word
    terminated  57P01, as an error or a notice: also what pg_terminate_backend leaves
    crashed     57P02
    starting    57P03
    refused     a connection could not be opened
    silent      ... or was not answered in time
    read_only   25006, or in_hot_standby is reported
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What a server says of itself. ``timeline``: 0 where it does not tell (a standby, Aurora);
    ``system_id``: "" likewise. ``started_at``: pg_postmaster_start_time, Unix time in seconds.
    ``is_read_only``: default_transaction_read_only is on for everybody, as in a blue/green
    deployment. ``lag_s``: how far a standby is behind; None of a writer, or where it is unknown."""

    in_recovery: bool
    timeline: int = 0
    system_id: str = ""
    is_read_only: bool = False
    started_at: float = 0.0
    max_connections: int = 0
    reserved_connections: int = 0
    lag_s: float | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A probe had no answer. ``text``: one sentence for status and log, without secrets."""

    kind: FailureKind
    text: str


Health = Literal["AVAILABLE", "UNAVAILABLE", "REGISTERING"]
"""RDS's TargetHealth.State."""
HealthReason = Literal[
    "", "UNREACHABLE", "CONNECTION_FAILED", "AUTH_FAILURE", "PENDING_PROXY_CAPACITY", "FENCED"
]
"""RDS's TargetHealth.Reason; FENCED is ours: it is writable, and on a timeline that is over."""


@dataclass(frozen=True, slots=True)
class Server:
    """One server of a cluster, as far as is known."""

    address: Address
    health: Health = "REGISTERING"
    reason: HealthReason = ""
    text: str = ""  # in words, why it is not AVAILABLE
    report: Report | None = None  # the latest


State = Literal["UP", "SUSPECT", "HOLD"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is so in a cluster. ``epoch`` grows with each switch: connections of an earlier one must
    be closed before the first to the new writer opens. 0: no writer was found yet.

        UP       ``writer`` is confirmed
        SUSPECT  ``writer`` was, and something speaks against it: nothing new is begun there
        HOLD     nobody is known to write; ``writer`` is the last one, which may have requests yet
    """

    state: State
    epoch: int
    writer: Address | None
    servers: tuple[Server, ...]
    since: float  # of the state; the loop's clock, s
    cause: str = ""  # in words, why it is not UP

    @property
    def standbys(self) -> list[Address]:
        """Servers in recovery that can be reached."""
        return [
            each.address
            for each in self.servers
            if each.health == "AVAILABLE" and each.report is not None and each.report.in_recovery
        ]
