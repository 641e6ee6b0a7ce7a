"""Where a server of a cluster is, and how it is connected to."""

from forebay.config.addresses import Address
from forebay.config.settings import TargetSettings
from forebay.net.target import Target


def target_of(settings: TargetSettings, address: Address) -> Target:
    """One server of a target. One that was found by a name has a certificate for that name."""
    return Target(
        host=address.name or address.host,
        port=address.port,
        sslmode=settings.sslmode,
        sslrootcert=settings.sslrootcert,
        sslcert=settings.sslcert,
        sslkey=settings.sslkey,
        hostaddr=address.host if address.name else None,
    )
