"""Tokens for the verifier ``sts``: presigned requests of GetCallerIdentity, made and taken apart.

A token is the whole URL, as every AWS SDK's presigner returns it::

    https://sts.REGION.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15
    &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=…&X-Amz-Date=…&X-Amz-Expires=900
    &X-Amz-SignedHeaders=host%3Bx-forebay-proxy-id[&X-Amz-Security-Token=…]&X-Amz-Signature=…

It is no form of our own (EKS's is ``k8s-aws-v1.`` and base64): a client passes on what its SDK
returns, as it passes on an RDS token, which is a URL too; and what is wrong can be told of each
part.

The signed header binds it to one proxy. Without it anybody who is sent such a request to prove who
somebody is (an EKS cluster, a Vault, another Forebay) could present it here.

Pure: time is an argument, in seconds since 1970. Sources: "GetCallerIdentity" in the STS API
Reference; CVE-2022-2385 (aws-iam-authenticator) for repeated parameters.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from forebay.identity.access_keys import AccessKey, shown_id
from forebay.identity.principals import PROXY_ID
from forebay.identity.sigv4 import EMPTY_BODY, canonical_query, encode, sign
from forebay.identity.sts.endpoints import Endpoint
from forebay.identity.tokens import (
    CREDENTIAL,
    ENCODED,
    OPTIONAL,
    SIGNATURE_FORMS,
    Reason,
    TokenError,
    date_text,
    malformed,
    read_parameters,
    seconds_of,
    shown,
    signing_pairs,
    time_text,
)

SERVICE: Final = "sts"
ACTION: Final = "GetCallerIdentity"
VERSION: Final = "2011-06-15"
PROXY_HEADER: Final = "x-forebay-proxy-id"
MAX_TOKEN_BYTES: Final = 16_384
"""STS's session tokens are mostly 2 kB and at most 4 kB today; percent-encoded thrice as long."""

_SIGNED: Final = f"host;{PROXY_HEADER}"
# Systems that take such requests for themselves, by the header that they have signed.
_OTHERS: Final = {
    "x-k8s-aws-id": "for an EKS cluster",
    "x-vault-aws-iam-server-id": "for a Vault",
}
_EKS_PREFIX: Final = b"k8s-aws-v1."
_FORMS: Final = {
    # Names that have any value: what is wrong with it is said in words of its own.
    "Action": re.compile(f"{ENCODED}{{1,128}}"),
    "Version": re.compile(re.escape(VERSION)),
    "X-Amz-SignedHeaders": re.compile(f"{ENCODED}{{1,1024}}"),
    # Some SDKs have these signed along.
    "X-Amz-Content-Sha256": re.compile(f"{EMPTY_BODY}|UNSIGNED-PAYLOAD"),
    "X-Amz-User-Agent": re.compile(f"{ENCODED}{{1,512}}"),
    **SIGNATURE_FORMS,
}
_OPTIONAL: Final = OPTIONAL | {"X-Amz-Content-Sha256", "X-Amz-User-Agent"}


@dataclass(frozen=True, slots=True)
class StsRequest:
    """What a token asks of STS; nothing of it is verified.

    ``target`` is the path and query to send, built anew from the parameters that there may be, each
    as it was written. Times are in seconds.
    """

    endpoint: Endpoint
    access_key_id: str
    signed_at_s: float
    expires_s: int
    target: str = field(repr=False)

    @property
    def ends_at_s(self) -> float:
        """When it expires. STS itself takes it for longer, if it was signed for less than 900 s."""
        return self.signed_at_s + self.expires_s

    @property
    def claims(self) -> str:
        """For what and from when to when it was signed, as a phrase for the log."""
        return (
            f"signed for {self.endpoint.host_header}, from {time_text(self.signed_at_s)} to"
            f" {time_text(self.ends_at_s)}, with access key {shown_id(self.access_key_id)}"
        )


def presign(endpoint: Endpoint, proxy_id: str, key: AccessKey, now_s: float) -> str:
    """A token for this proxy that is signed at this time, valid for 900 s.

    Raises ValueError if ``proxy_id`` cannot be a proxy's.
    """
    if not PROXY_ID.fullmatch(proxy_id):
        raise ValueError(f"{proxy_id!r} is no proxy id: letters, digits, - and _, at most 64")
    date = date_text(now_s)
    pairs = [
        ("Action", ACTION),
        ("Version", VERSION),
        *signing_pairs(key, date, endpoint.region, SERVICE, _SIGNED),
    ]
    signature = sign(
        key.secret_access_key,
        host=endpoint.host_header,
        query=canonical_query(pairs),
        date=date,
        region=endpoint.region,
        service=SERVICE,
        header=(PROXY_HEADER, proxy_id),
    )
    return f"{endpoint.url}?{_query([*pairs, ('X-Amz-Signature', signature)])}"


def parse(text: bytes, endpoints: Mapping[str, Endpoint]) -> StsRequest:
    """Takes a token apart. Raises TokenError for any text that is none, and nothing else.

    ``endpoints``: those that may be asked, by their ``url``. Parameters that are repeated (in
    whatever case of letters), unknown or missing are refused; no part is decoded and encoded again.
    """
    if text.startswith(_EKS_PREFIX):
        raise _for_another("for an EKS cluster")
    if not is_sts_token_like(text):
        raise TokenError(Reason.NOT_A_TOKEN, "it is no token for iam.verifier = sts")
    if len(text) > MAX_TOKEN_BYTES:
        raise malformed("it is longer than any presigned GetCallerIdentity")
    if not text.isascii():
        raise malformed("it holds characters that no token has")
    place, _, query = text.decode("ascii").partition("?")
    if not place.startswith(("https://", "http://")):
        raise TokenError(
            Reason.WRONG_SERVICE,
            "it does not begin with https://: it is a token for RDS, or a presigned "
            f"{ACTION} that was cut",
        )
    values = read_parameters(query, _FORMS, _OPTIONAL)
    if values["Action"] != ACTION:
        action = shown(values["Action"])
        raise TokenError(Reason.WRONG_SERVICE, f"its Action is {action}; it must be {ACTION}")
    _check_signed_headers(values["X-Amz-SignedHeaders"])
    endpoint = endpoints.get(place.lower())
    if endpoint is None:
        accepted = ", ".join(sorted(endpoints))
        sentence = f"it is for {shown(place)}, and STS is asked only at {accepted}"
        raise TokenError(Reason.WRONG_HOST, sentence)
    return _request(endpoint, values)


def is_sts_token_like(text: bytes) -> bool:
    """Whether it is meant to be a token, and not a password."""
    return b"?" in text and b"X-Amz-" in text


def _request(endpoint: Endpoint, values: Mapping[str, str]) -> StsRequest:
    """Raises TokenError."""
    credential = CREDENTIAL.fullmatch(values["X-Amz-Credential"])
    assert credential is not None  # noqa: S101 - its form was checked
    access_key_id, day, region, service = credential.groups()
    if service != SERVICE:
        sentence = f"it was signed for the service {service}, not {SERVICE}"
        raise TokenError(Reason.WRONG_SERVICE, sentence)
    if region != endpoint.region:
        sentence = f"it was signed for {region}, and {endpoint.host} is in {endpoint.region}"
        raise TokenError(Reason.WRONG_REGION, sentence)
    date = values["X-Amz-Date"]
    if day != date[:8]:
        raise malformed("its X-Amz-Date is of another day than its X-Amz-Credential")
    return StsRequest(
        endpoint=endpoint,
        access_key_id=access_key_id,
        signed_at_s=seconds_of(date),
        expires_s=int(values["X-Amz-Expires"]),
        target=f"/?{_query(values.items())}",
    )


def _check_signed_headers(written: str) -> None:
    """Raises TokenError unless exactly host and our own header are signed."""
    if written == encode(_SIGNED):
        return
    names = unquote(written, errors="replace").lower().split(";")
    for name, other in _OTHERS.items():
        if name in names:
            raise _for_another(other)
    if PROXY_HEADER not in names:
        raise TokenError(
            Reason.WRONG_PROXY,
            f"it is bound to no proxy: the header {PROXY_HEADER} has to be signed",
        )
    raise malformed(f"its X-Amz-SignedHeaders must be {_SIGNED}, and no others")


def _for_another(whom: str) -> TokenError:
    return TokenError(
        Reason.WRONG_PROXY,
        f"it was made {whom}, not for this proxy: sign the header {PROXY_HEADER} instead",
    )


def _query(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in pairs)
