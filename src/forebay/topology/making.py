"""Puts together what watches the servers of a target."""

from collections.abc import Callable

from forebay.config.addresses import Address
from forebay.config.settings import TargetSettings
from forebay.net.connector import Target
from forebay.net.tls import ClientContexts
from forebay.topology.cluster import Cluster
from forebay.topology.monitor import Monitor
from forebay.topology.prober import Logins, Prober
from forebay.topology.reports import Verdict
from forebay.topology.sources.source import Source
from forebay.topology.sources.static import StaticSource


def monitor_of(
    target: TargetSettings, logins: Logins, on_change: Callable[[Verdict], None]
) -> Monitor:
    """What watches the servers of this target. ``logins``: the ways to log in to one of them."""
    cluster, source = Cluster(target.addresses()), _source(target)
    return Monitor(cluster, source, prober_of(target, logins), on_change)


def prober_of(target: TargetSettings, logins: Logins) -> Prober:
    """What asks the servers of this target, one by one."""

    def place(address: Address) -> Target:
        return Target(
            address.host,
            address.port,
            target.sslmode,
            target.sslrootcert,
            target.sslcert,
            target.sslkey,
        )

    return Prober(place, logins, ClientContexts())


def _source(target: TargetSettings) -> Source:
    return StaticSource(target.addresses())
