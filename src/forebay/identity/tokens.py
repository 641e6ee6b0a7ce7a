"""IAM tokens for databases: made as boto3's ``generate_db_auth_token`` makes them, and taken apart.

A token is a presigned request without its ``https://``::

    host:port/?Action=connect&DBUser=…&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=…
    &X-Amz-Date=…&X-Amz-Expires=900&X-Amz-SignedHeaders=host[&X-Amz-Security-Token=…]
    &X-Amz-Signature=…

Pure: time is an argument, in seconds since 1970. Source: RDS user guide, "IAM database
authentication", and botocore's signers.py.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from urllib.parse import unquote

from forebay.identity.access_keys import AccessKey, shown_id
from forebay.identity.sigv4 import ALGORITHM, canonical_query, encode, scope, sign

SERVICE: Final = "rds-db"
MAX_EXPIRES_S: Final = 900
"""How long a token is valid at most; AWS makes them for exactly so long."""
HTTPS_PORT: Final = 443
"""Left out of the header that is signed, as HTTP has it."""
MAX_SHOWN: Final = 128
"""How many characters of a value that a token claims stand in a sentence."""

_DATE_FORMAT: Final = "%Y%m%dT%H%M%SZ"
_DATE_PARTS: Final = ((0, 4), (4, 6), (6, 8), (9, 11), (11, 13), (13, 15))
# What `encode` leaves. Comparing it with what it should be shows whether it is encoded rightly.
ENCODED: Final = r"[A-Za-z0-9\-._~%]"
_MAX_ENCODED_USER: Final = 128 * 4 * 3  # characters, of up to 4 bytes, each %XX
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]):[1-9][0-9]{0,4}")
REGION: Final = re.compile(r"[a-z0-9-]{1,64}")
CREDENTIAL: Final = re.compile(
    rf"(\w{{1,128}})%2F([0-9]{{8}})%2F({REGION.pattern})%2F([a-z0-9-]{{1,64}})%2Faws4_request",
    re.ASCII,
)
SIGNATURE_FORMS: Final = {
    "X-Amz-Algorithm": re.compile(ALGORITHM),
    "X-Amz-Credential": CREDENTIAL,
    "X-Amz-Date": re.compile(r"2[0-9]{7}T[0-9]{6}Z"),
    "X-Amz-Expires": re.compile(r"[1-9][0-9]{0,8}"),
    "X-Amz-Security-Token": re.compile(f"{ENCODED}+"),
    "X-Amz-Signature": re.compile(r"[0-9a-f]{64}"),
}
"""The parameters that every presigned request has, and the forms of their values."""
_FORMS: Final = {
    "Action": re.compile("connect"),
    "DBUser": re.compile(f"{ENCODED}{{1,{_MAX_ENCODED_USER}}}"),
    "X-Amz-SignedHeaders": re.compile("host"),
    **SIGNATURE_FORMS,
}
OPTIONAL: Final = frozenset({"X-Amz-Security-Token"})


class Reason(StrEnum):
    """Why a token is refused."""

    NOT_A_TOKEN = "not a token"  # noqa: S105 - a reason, as below
    MALFORMED = "malformed"
    WRONG_SERVICE = "wrong service"
    WRONG_HOST = "wrong host"
    WRONG_REGION = "wrong region"
    WRONG_USER = "wrong user"
    TOO_LONG_LIVED = "too long-lived"
    FROM_THE_FUTURE = "from the future"
    EXPIRED = "expired"
    UNKNOWN_KEY = "unknown access key"
    KEY_EXPIRED = "access key expired"
    WRONG_SESSION_TOKEN = "wrong session token"  # noqa: S105
    WRONG_SIGNATURE = "wrong signature"
    NO_VERIFIER = "no verifier"
    TOO_MANY = "too many"
    WRONG_PROXY = "wrong proxy"
    STS_REFUSED = "refused by STS"
    STS_FAILED = "STS failed"
    WRONG_PRINCIPAL = "wrong principal"
    POLICY = "policy"
    NOT_ACCEPTED = "not accepted by the database"
    DATABASE_FAILED = "the database failed"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a token is refused, as a value and as a sentence for the log. The sentence may tell what
    the token claims; it holds neither the token, nor its signature, nor any key."""

    reason: Reason
    sentence: str


@dataclass(frozen=True, slots=True)
class Verified:
    """A token is right: whose it is (an ARN; None if that is not known of its access key), and
    until when that holds, in seconds since 1970."""

    principal_arn: str | None
    ends_at_s: float


class TokenError(ValueError):
    """A text is no token. ``refusal`` says why; nothing of the text is in it."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        self.refusal = Refusal(reason, sentence)
        super().__init__(sentence)


@dataclass(frozen=True, slots=True)
class Token:
    """What a token claims; nothing of it is verified. ``encoded_…`` are percent-encoded still.

    ``host`` is what clients connect to, in lower case; ``query`` is what is signed of the
    parameters. Times are in seconds.
    """

    host: str
    encoded_user: str
    access_key_id: str
    region: str
    date: str
    signed_at_s: float
    expires_s: int
    query: str = field(repr=False)
    encoded_session_token: str | None = field(repr=False)
    signature: str = field(repr=False)

    @property
    def ends_at_s(self) -> float:
        """When it expires."""
        return self.signed_at_s + self.expires_s

    @property
    def signed_host(self) -> str:
        """The value of the header ``host`` that is signed."""
        return host_header(self.host)

    @property
    def claims(self) -> str:
        """For whom, for what and from when to when it was signed, as a phrase for the log."""
        user = unquote(self.encoded_user, errors="replace")
        return (
            f'signed for user "{shown(user)}" at host {shown(self.host)} in region {self.region},'
            f" from {time_text(self.signed_at_s)} to {time_text(self.ends_at_s)}, with access key"
            f" {shown_id(self.access_key_id)}"
        )


def signing_pairs(
    key: AccessKey, date: str, region: str, service: str, signed_headers: str
) -> list[tuple[str, str]]:
    """The parameters of a presigned request that say how it is signed, in botocore's order, each
    encoded; all but the signature. ``signed_headers`` are their names, with semicolons."""
    credential = f"{key.access_key_id}/{scope(date[:8], region, service)}"
    pairs = [
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", encode(credential)),
        ("X-Amz-Date", date),
        ("X-Amz-Expires", str(MAX_EXPIRES_S)),
        ("X-Amz-SignedHeaders", encode(signed_headers)),
    ]
    if key.session_token is not None:
        pairs.append(("X-Amz-Security-Token", encode(key.session_token)))
    return pairs


def generate_db_auth_token(
    host: str, port: int, user: str, region: str, key: AccessKey, now_s: float
) -> str:
    """The token that boto3's function of this name makes at this time.

    ``host`` is what clients connect to (an IPv6 address in brackets). Raises ValueError if a token
    cannot be made of it.
    """
    place = f"{host}:{port}"
    if not _HOST.fullmatch(place):
        raise ValueError(f"{place!r} is not host:port")
    if not REGION.fullmatch(region):
        raise ValueError(f"{region!r} is no region, as in us-east-1")
    if not user:
        raise ValueError("the user's name is empty")
    date = date_text(now_s)
    pairs = [
        ("Action", "connect"),
        ("DBUser", encode(user)),
        *signing_pairs(key, date, region, SERVICE, "host"),
    ]
    signature = sign(
        key.secret_access_key,
        host=host_header(place.lower()),
        query=canonical_query(pairs),
        date=date,
        region=region,
        service=SERVICE,
    )
    pairs.append(("X-Amz-Signature", signature))
    return f"{place}/?" + "&".join(f"{name}={value}" for name, value in pairs)


def parse(text: bytes) -> Token:
    """Takes a token apart. Raises TokenError for any text that is none, and nothing else.

    What was signed is taken as it stands: no part is decoded, and parameters that are repeated
    (in whatever case), unknown or missing are refused.
    """
    if not is_token_like(text):
        raise TokenError(Reason.NOT_A_TOKEN, "it is no IAM token")
    if not text.isascii():
        raise malformed("it holds characters that no token has")
    host, _, query = text.decode("ascii").partition("/?")
    if not _HOST.fullmatch(host):
        raise malformed("it does not begin with host:port")
    values = read_parameters(query, _FORMS, OPTIONAL)
    credential = CREDENTIAL.fullmatch(values["X-Amz-Credential"])
    assert credential is not None  # noqa: S101 - its form was checked
    access_key_id, day, region, service = credential.groups()
    if service != SERVICE:
        sentence = f"it was signed for the service {service}, not {SERVICE}"
        raise TokenError(Reason.WRONG_SERVICE, sentence)
    date = values["X-Amz-Date"]
    if day != date[:8]:
        raise malformed("its X-Amz-Date is of another day than its X-Amz-Credential")
    return Token(
        host=host.lower(),
        encoded_user=values["DBUser"],
        access_key_id=access_key_id,
        region=region,
        date=date,
        signed_at_s=seconds_of(date),
        expires_s=int(values["X-Amz-Expires"]),
        query=canonical_query(pair for pair in values.items() if pair[0] != "X-Amz-Signature"),
        encoded_session_token=values.get("X-Amz-Security-Token"),
        signature=values["X-Amz-Signature"],
    )


def is_token_like(text: bytes) -> bool:
    """Whether it is meant to be a token, and not a password."""
    return b"/?" in text and b"X-Amz-" in text


def host_header(place: str) -> str:
    """The header ``host`` for ``host:port``: without the port if it is that of HTTPS."""
    return place.removesuffix(f":{HTTPS_PORT}")


def time_text(time_s: float) -> str:
    """A time as sentences have it: ``2026-11-28T10:30:00Z``."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def date_text(time_s: float) -> str:
    """A time as X-Amz-Date has it: ``20261128T103000Z``."""
    return datetime.fromtimestamp(int(time_s), UTC).strftime(_DATE_FORMAT)


def read_parameters(
    query: str, forms: Mapping[str, re.Pattern[str]], optional: Collection[str]
) -> dict[str, str]:
    """The parameters as they are written, in their order: those that have a form, each once in
    whatever case of letters, and all but the optional ones. Raises TokenError."""
    if query.count("&") >= len(forms):
        raise malformed("it has more parameters than any token")
    values: dict[str, str] = {}
    seen: set[str] = set()
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name.casefold() in seen:
            raise malformed("a parameter is repeated")
        seen.add(name.casefold())
        form = forms.get(name)
        if form is None:
            raise malformed("it has a parameter that no token has")
        if not form.fullmatch(value):
            raise malformed(f"its {name} is not of the form that tokens have")
        values[name] = value
    if missing := sorted(forms.keys() - values.keys() - frozenset(optional)):
        raise malformed(f"it has no {missing[0]}; perhaps it was cut off")
    return values


def seconds_of(date: str) -> float:
    """The time that an X-Amz-Date is. Raises TokenError if there is none."""
    try:
        year, month, day, hour, minute, second = (int(date[a:b]) for a, b in _DATE_PARTS)
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        raise malformed("its X-Amz-Date is no date") from None


def malformed(sentence: str) -> TokenError:
    """That a text is no token, for this reason."""
    return TokenError(Reason.MALFORMED, sentence)


def shown(text: str) -> str:
    """What a token claims, as a log may have it: printable, and not too long."""
    text = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    return "".join(c if c.isprintable() and c != '"' else "?" for c in text)
