"""Puts together what watches the servers of a target."""

from collections.abc import Callable

from forebay.config.settings import TargetSettings
from forebay.net.tls import ClientContexts
from forebay.topology.cluster import Cluster
from forebay.topology.monitor import Monitor
from forebay.topology.prober import Logins, Prober
from forebay.topology.reports import Verdict
from forebay.topology.sources.making import source_of
from forebay.topology.targets import target_of


def monitor_of(
    target: TargetSettings, logins: Logins, on_change: Callable[[Verdict], None]
) -> Monitor:
    """What watches the servers of this target. ``logins``: the ways to log in to one of them."""
    prober = Prober(lambda address: target_of(target, address), logins, ClientContexts())
    hosts = target.addresses() if target.topology == "static" else ()
    return Monitor(Cluster(hosts), source_of(target, prober), prober, on_change)
