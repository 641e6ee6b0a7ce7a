"""Which source there is for which topology."""

import pytest

from forebay.config.settings import TargetSettings, Topology
from forebay.topology.sources.dns import DnsSource
from forebay.topology.sources.making import source_of
from forebay.topology.sources.patroni import PatroniSource
from forebay.topology.sources.rds import RdsSource
from forebay.topology.sources.static import StaticSource
from tests.unit.topology.servers import prober


@pytest.mark.parametrize(
    ("topology", "kind"),
    [
        ("static", StaticSource),
        ("dns", DnsSource),
        ("patroni", PatroniSource),
        ("aurora", RdsSource),
        ("multi_az", RdsSource),
    ],
)
async def test_kinds(topology: Topology, kind: type) -> None:
    settings = TargetSettings(hosts=["db.test"], topology=topology, patroni=["http://10.0.0.1"])
    asker, _ = prober(1)
    source = source_of(settings, asker)
    assert type(source) is kind
    assert source.is_final is (topology == "static")
    assert source.trouble == ""
