"""Presigned requests for STS as clients make them, right and wrong."""

from forebay.identity.access_keys import AccessKey
from forebay.identity.sigv4 import ALGORITHM, canonical_query, encode, scope, sign
from forebay.identity.sts import Endpoint
from forebay.identity.sts.requests import PROXY_HEADER
from forebay.identity.tokens import date_text

PROXY_ID = "prx-orders"


def sts_token(
    endpoint: Endpoint,
    key: AccessKey,
    now_s: float,
    *,
    header: tuple[str, str] | None = (PROXY_HEADER, PROXY_ID),
    action: str = "GetCallerIdentity",
    expires_s: int = 900,
    region: str | None = None,
) -> str:
    """The URL; ``header``: what is signed besides the host."""
    region, date = region or endpoint.region, date_text(now_s)
    signed = "host" if header is None else f"host;{header[0]}"
    pairs = [
        ("Action", action),
        ("Version", "2011-06-15"),
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", encode(f"{key.access_key_id}/{scope(date[:8], region, 'sts')}")),
        ("X-Amz-Date", date),
        ("X-Amz-Expires", str(expires_s)),
        ("X-Amz-SignedHeaders", encode(signed)),
    ]
    if key.session_token is not None:
        pairs.append(("X-Amz-Security-Token", encode(key.session_token)))
    signature = sign(
        key.secret_access_key,
        host=endpoint.host_header,
        query=canonical_query(pairs),
        date=date,
        region=region,
        service="sts",
        header=header,
    )
    query = "&".join(f"{name}={value}" for name, value in pairs)
    return f"{endpoint.url}?{query}&X-Amz-Signature={signature}"
