"""A server's health in RDS's words (TargetHealth of DescribeDBProxyTargets), and why nobody writes.

AVAILABLE means that nothing speaks against using it: also a server that turns the control user away
and is used by traffic all the same. Its reason tells.
"""

from collections.abc import Sequence

from forebay.config.addresses import Address
from forebay.topology import wording
from forebay.topology.reports import FailureKind, HealthReason, Server
from forebay.topology.watched import Watched
from forebay.topology.writer import Past

_REASONS: dict[FailureKind, HealthReason] = {
    "timeout": "UNREACHABLE",
    "auth": "AUTH_FAILURE",
}


def describe(watched: Watched, past: Past, leaders: Sequence[Address]) -> Server:
    """A server as verdicts show it. ``leaders``: the writer, or those that could be it."""
    address, report, failure = watched.address, watched.report, watched.failure
    told = watched.told
    reason: HealthReason = ""
    if failure is not None:
        reason = _REASONS.get(failure.kind, "CONNECTION_FAILED")
        text = wording.failure_text(address, failure)
        if report is None or watched.is_down:
            return Server(address, "UNAVAILABLE", reason, text, told)
    if report is None:
        return Server(address)
    standing = past.standing(address, report)
    if standing in ("fenced", "foreign", "untold"):
        fenced = wording.standing_text(address, report, standing, past)
        return Server(address, "UNAVAILABLE", "FENCED", fenced, told)
    if rivals := rivals_of(watched, past, leaders):
        return Server(address, "UNAVAILABLE", "FENCED", wording.rival_text(address, rivals), told)
    if watched.is_mute:
        return Server(address, "AVAILABLE", reason, text, told)
    return Server(address, "AVAILABLE", report=told)


def rivals_of(watched: Watched, past: Past, leaders: Sequence[Address]) -> list[Address]:
    """Servers that write, or could, where this one takes writes too and is not to be used."""
    report = watched.report
    if report is None or past.standing(watched.address, report) != "candidate":
        return []
    if past.is_last(report):
        return []  # the writer, under another name
    return [each for each in leaders if each != watched.address]


def hold_cause(
    servers: Sequence[Watched], past: Past, leaders: Sequence[Address], is_gone: bool
) -> str:
    """Why nobody is known to write, server by server. ``is_gone``: the last writer's host is."""
    texts = []
    if is_gone and past.last is not None:
        texts.append(f"{past.last.address}, which wrote last, is not among hosts any more.")
    reports = {each.address: each.report for each in servers if each.report is not None}
    if past.is_mixed(reports.values()):
        texts.append(wording.mixed_text(reports))
    texts += [_why_not(each, past, leaders) for each in servers]
    return f"No server is known to write. {wording.several(texts or ['There are no hosts.'])}"


def _why_not(watched: Watched, past: Past, leaders: Sequence[Address]) -> str:
    text = describe(watched, past, leaders).text
    if text or watched.report is None:
        return text or f"{watched.address} has not answered yet."
    if watched.failure is not None:
        return wording.failure_text(watched.address, watched.failure)
    standing = past.standing(watched.address, watched.report)
    if standing == "candidate":
        return f"{watched.address} takes writes; whether others do is asked first."
    return wording.standing_text(watched.address, watched.report, standing, past)
