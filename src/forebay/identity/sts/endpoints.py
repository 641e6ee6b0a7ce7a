"""Where STS is: the hosts that tokens may be for, and that are asked.

Source: "AWS STS Regions and endpoints" in the IAM User Guide. Pure.
"""

import re
from dataclasses import dataclass
from typing import Final

from forebay.identity.tokens import REGION

GLOBAL_HOST: Final = "sts.amazonaws.com"
GLOBAL_REGION: Final = "us-east-1"
"""What requests to the global endpoint are signed for."""

_SUFFIXES: Final = {
    "cn-": "amazonaws.com.cn",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "us-isof-": "csp.hci.ic.gov",
    "eusc-": "amazonaws.eu",
}
_PORTS: Final = {"https": 443, "http": 80}
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._-]{1,255}|\[[0-9a-f:.]{2,45}\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?/?"
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of STS, and the region that requests to it are signed for.

    ``host`` is in lower case, an IPv6 address in brackets. ``encrypted``: https.
    """

    host: str
    port: int
    region: str
    encrypted: bool = True

    @classmethod
    def of_region(cls, region: str) -> "Endpoint":
        """AWS's own endpoint in a region. Raises ValueError for what is no region."""
        if not REGION.fullmatch(region):
            raise ValueError(f"{region!r} is no region, as in us-east-1")
        suffixes = (suffix for start, suffix in _SUFFIXES.items() if region.startswith(start))
        return cls(f"sts.{region}.{next(suffixes, 'amazonaws.com')}", _PORTS["https"], region)

    @classmethod
    def parse(cls, url: str, region: str) -> "Endpoint":
        """The endpoint that an operator has written: ``https://HOST[:PORT]``, or ``http://…`` for
        an emulator, to which tokens then go in clear. ``region`` is what it signs for; the global
        endpoint of AWS has its own. Raises ValueError with what is wrong."""
        match = _URL.fullmatch(url.lower())
        if match is None:
            raise ValueError(f'"{url}" is no address of STS: https://HOST or https://HOST:PORT')
        if not REGION.fullmatch(region):
            raise ValueError(f"{region!r} is no region, as in us-east-1")
        port = int(match["port"] or _PORTS[match["scheme"]])
        if port > 65_535:
            raise ValueError(f'"{url}" has a port above 65535')
        if match["host"] == GLOBAL_HOST:
            region = GLOBAL_REGION
        return cls(match["host"], port, region, match["scheme"] == "https")

    @property
    def host_header(self) -> str:
        """The header ``host``, as it is signed: without the scheme's own port."""
        usual = self.port == _PORTS[self._scheme]
        return self.host if usual else f"{self.host}:{self.port}"

    @property
    def address(self) -> str:
        """What to connect to."""
        return self.host.strip("[]")

    @property
    def url(self) -> str:
        """What tokens for it begin with."""
        return f"{self._scheme}://{self.host_header}/"

    @property
    def _scheme(self) -> str:
        return "https" if self.encrypted else "http"
