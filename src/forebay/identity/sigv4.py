"""AWS Signature Version 4 of presigned GET requests, on `hmac` and `hashlib` alone.

Source: IAM User Guide, "Create a signed AWS API request". Pure. What is signed is never unquoted
and quoted again on the way: two programs that do so can come to different texts.
"""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

ALGORITHM: Final = "AWS4-HMAC-SHA256"
TERMINATION: Final = "aws4_request"

EMPTY_BODY: Final = hashlib.sha256(b"").hexdigest()
"""The hash of a body of no bytes."""


def encode(text: str) -> str:
    """Percent-encodes as AWS wants it: all but letters, digits and ``-._~``, in capitals."""
    return quote(text, safe="-._~", errors="surrogateescape")


def scope(day: str, region: str, service: str) -> str:
    """What a signature holds for; ``day`` is written ``20261128``."""
    return f"{day}/{region}/{service}/{TERMINATION}"


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """The query as it is signed: sorted. Names and values are percent-encoded already."""
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def sign(
    secret_access_key: str,
    *,
    host: str,
    query: str,
    date: str,
    region: str,
    service: str,
    header: tuple[str, str] | None = None,
) -> str:
    """The signature of ``GET https://host/?query``, in hexadecimal; ``host`` is signed, and beside
    it at most one other header.

    ``host`` is the header's value, ``query`` the canonical query without X-Amz-Signature,
    ``date`` is X-Amz-Date (``20261128T103000Z``). ``header``: name and value of the other one; the
    name is in lower case and behind "host" in the alphabet, the value has no spaces.
    """
    headers, names = f"host:{host}\n", "host"
    if header is not None:
        headers, names = f"{headers}{header[0]}:{header[1]}\n", f"host;{header[0]}"
    request = f"GET\n/\n{query}\n{headers}\n{names}\n{EMPTY_BODY}"
    day = date[:8]
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"{ALGORITHM}\n{date}\n{scope(day, region, service)}\n{digest}"
    key = b"AWS4" + secret_access_key.encode()
    for part in (day, region, service, TERMINATION):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()
