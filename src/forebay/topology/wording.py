"""What is wrong with a server, in sentences that name it and the way out."""

from collections.abc import Mapping, Sequence

from forebay.config.addresses import Address
from forebay.topology.reports import Failure, FailureKind, HintKind, Report
from forebay.topology.writer import Past, Standing

# What a database server says is not ours: a status line needs no more of it.
MAX_FOREIGN_TEXT = 200
# A cluster may have a hundred hosts.
MAX_SERVERS_NAMED = 4

_FAILURES: dict[FailureKind, tuple[str, str]] = {
    "refused": ("accepts no connections", "Start PostgreSQL there, or take it out of hosts"),
    "timeout": ("keeps silent", "Look whether its host, the network or PostgreSQL hangs"),
    "lost": ("ended the control connection", "It is asked again"),
    "starting": ("starts, stops or recovers", "It is asked until it is ready"),
    "auth": (
        "turns the control user away",
        "Correct the password of target.control_user, or let it in by pg_hba.conf",
    ),
    "too_many": (
        "has no connection left for the control user",
        "Raise max_connections there, or lower max_connections_percent",
    ),
    "protocol": ("does not answer as PostgreSQL", "Look whether host and port are right"),
    "other": ("refuses to say what it is", "Look at what it says"),
}
_HINTS: dict[HintKind, str] = {
    "lost": "a connection to it ended without a word",
    "terminated": "it ended a connection (57P01)",
    "crashed": "one of its processes crashed (57P02)",
    "starting": "it starts, stops or recovers (57P03)",
    "refused": "it refused a connection",
    "silent": "it did not answer a login",
    "read_only": "it refused a write as read-only",
}


def clipped(text: str) -> str:
    """What a server said, on one line and not longer than it is worth."""
    line = "".join(each if each.isprintable() else " " for each in text[:MAX_FOREIGN_TEXT])
    return line.strip().rstrip(".")


def failure_text(address: Address, failure: Failure) -> str:
    """Why a server does not answer, and what helps."""
    what, way_out = _FAILURES[failure.kind]
    said = clipped(failure.text)
    return f"{address} {what}{f' ({said})' if said else ''}. {way_out}."


def mute_text(address: Address, failure: Failure) -> str:
    """Why a writer is kept that does not say any more what it is."""
    return (
        f"{failure_text(address, failure)} Until then its death is noticed, "
        "and a demotion only by a new writer that answers."
    )


def hint_text(address: Address, kind: HintKind) -> str:
    """Why a writer is asked at once."""
    return f"{address} is asked whether it still writes: {_HINTS[kind]}."


def standing_text(address: Address, report: Report, standing: Standing, past: Past) -> str:
    """Why a server that answers is not the writer."""
    if standing == "standby":
        return f"{address} is a standby. Promote it if it is to write."
    if standing == "read_only":
        return (
            f"{address} is read-only for everybody (default_transaction_read_only). "
            "Switch that off there if it is to write."
        )
    if standing == "fenced":
        return (
            f"{address} takes writes on timeline {past.timeline_of(address, report)}, which is "
            f"over: {past.highest(report)} was seen. Nothing is sent to it. "
            "Make it a standby of the new writer (pg_rewind), or stop it."
        )
    if standing == "foreign":
        return (
            f"{address} is of another cluster (system identifier {clipped(report.system_id)}, not "
            f"{clipped(past.system_id)}). Take it out of hosts; restart Forebay if the cluster was "
            "made anew, as by pg_upgrade."
        )
    if standing == "untold":
        return (
            f"{address} takes writes and does not tell its timeline, so it may be a former writer. "
            "Let the control user call pg_current_wal_lsn() and pg_walfile_name() there."
        )
    return ""


def mixed_text(reports: Mapping[Address, Report]) -> str:
    """Why there is no first writer: nobody said which cluster is meant."""
    named = list(reports.items())[:MAX_SERVERS_NAMED]
    ids = ", ".join(f"{each}: {clipped(report.system_id)}" for each, report in named)
    return (
        f"The servers are of different clusters, by their system identifiers ({ids}). "
        "Take those out of hosts that do not belong there."
    )


def rival_text(address: Address, others: Sequence[Address]) -> str:
    """Why a server that could be the writer is not: another is, or could be as well."""
    return (
        f"{address} takes writes, and so {'does' if len(others) == 1 else 'do'} "
        f"{', '.join(map(str, others[:MAX_SERVERS_NAMED]))}; their timelines do not tell which of "
        "them is over. Stop the wrong one, or make it a standby."
    )


def several(texts: Sequence[str]) -> str:
    """The first few of some sentences."""
    left = len(texts) - MAX_SERVERS_NAMED
    more = f" And {left} more." if left > 0 else ""
    return " ".join(texts[:MAX_SERVERS_NAMED]) + more
