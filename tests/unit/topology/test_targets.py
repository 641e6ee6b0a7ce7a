"""How a server of a cluster is connected to."""

from forebay.config.addresses import Address
from forebay.config.settings import TargetSettings
from forebay.net.target import Target
from forebay.topology.targets import target_of

SETTINGS = TargetSettings(
    hosts=["db.test"], sslmode="verify-full", sslrootcert="root", sslcert="crt", sslkey="key"
)


def test_a_server_that_is_configured() -> None:
    assert target_of(SETTINGS, Address("db.test", 5433)) == Target(
        "db.test", 5433, "verify-full", "root", "crt", "key"
    )


def test_a_server_that_was_found_by_a_name() -> None:
    found = target_of(SETTINGS, Address("192.0.2.1", 5433, "db.test"))
    assert (found.host, found.hostaddr, found.port) == ("db.test", "192.0.2.1", 5433)
