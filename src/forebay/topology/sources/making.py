"""Which source finds a target's servers."""

from forebay.config.settings import TargetSettings
from forebay.topology.prober import Prober
from forebay.topology.sources.source import Source


def source_of(target: TargetSettings, prober: Prober) -> Source:
    """The one that ``topology`` names. What most targets do not use is loaded by those that do.

    Raises ValueError on a host that was not checked by loading.
    """
    hosts = target.addresses()
    match target.topology:
        case "static":
            from forebay.topology.sources.static import StaticSource

            return StaticSource(hosts)
        case "dns":
            from forebay.topology.sources.dns import DnsSource
            from forebay.topology.sources.resolver import Resolver

            return DnsSource(hosts, Resolver())
        case "patroni":
            from forebay.topology.sources.patroni import PatroniSource
            from forebay.topology.sources.resolver import Resolver

            return PatroniSource(hosts, target.patroni, Resolver(), target.sslrootcert)
        case "aurora":
            from forebay.topology.sources.rds import AURORA, RdsSource

            return RdsSource(AURORA, hosts, prober.ask)
        case "multi_az":
            from forebay.topology.sources.rds import MULTI_AZ, RdsSource

            return RdsSource(MULTI_AZ, hosts, prober.ask)
