"""What watches the servers of a target is put together as the target says."""

import pytest

from forebay.config.addresses import Address
from forebay.config.settings import TargetSettings
from forebay.net.connector import Target
from forebay.topology.making import monitor_of


@pytest.fixture
def target() -> TargetSettings:
    return TargetSettings(hosts=["a:1", "[::1]:2"], sslmode="verify-ca", sslrootcert="ca.pem")


async def test_all_hosts_are_watched_before_any_has_answered(target: TargetSettings) -> None:
    async def nobody(_: Address) -> list[object]:
        raise LookupError("nobody may ask")

    monitor = monitor_of(target, nobody, lambda _: None)  # type: ignore[arg-type]
    servers = monitor.verdict.servers
    assert [each.address for each in servers] == [Address("a", 1), Address("::1", 2)]
    place = monitor._prober._target(Address("::1", 2))
    assert place == Target("::1", 2, "verify-ca", "ca.pem")
