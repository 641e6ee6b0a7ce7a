"""``postgresql://`` URLs, read by libpq's rules (PostgreSQL's documentation, 34.1.1.2).

The scan follows libpq's grammar rather than RFC 3986: credentials end at the first ``@`` before a
``/``, hosts are a comma-separated list, each part is percent-decoded on its own, ``+`` is a plus.
Parameters that only make sense in a client are refused by name instead of being ignored. One is
not libpq's: ``auth_scheme``, how Forebay logs in to the database.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from forebay.config.addresses import POSTGRES_PORT, Address

SCHEMES = ("postgresql://", "postgres://")
DEFAULT_HOST = "localhost"

_KEPT = ("sslmode", "sslrootcert", "connect_timeout", "auth_scheme")
_PARAMETERS = frozenset({"host", "port", "user", "password", "dbname", *_KEPT})
# Those of libpq's other parameters that are often seen in URLs. Only these are named in an error:
# any other word may be a piece of a password with an unencoded "?" in it.
_OFTEN_SEEN = frozenset(
    {
        *("application_name", "channel_binding", "client_encoding", "gssencmode", "hostaddr"),
        *("keepalives", "options", "service", "sslcert", "sslkey", "sslcrl", "sslnegotiation"),
        *("target_session_attrs", "tcp_user_timeout"),
    }
)
# A URL of whatever scheme or of none ("user:password@host"), or the pairs that libpq takes as well
# ("host=… password=…").
_NO_FILE = re.compile(
    r"[:@]|\b(host|hostaddr|port|dbname|user|password|passfile|service)\s*=", re.IGNORECASE
)
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True, repr=False)
class DatabaseUrl:
    """What a URL says. ``parameters`` holds sslmode, sslrootcert, connect_timeout and
    auth_scheme as text, those that are there."""

    user: str
    password: str
    database: str
    addresses: tuple[Address, ...]
    parameters: dict[str, str]

    def __repr__(self) -> str:
        hosts = ",".join(map(str, self.addresses))
        return f"DatabaseUrl({self.user}@{hosts}/{self.database})"


def is_url(text: str) -> bool:
    """Whether this may be meant to name a database rather than a file, and so hold a password. Only
    a URL can: of what else looks so, ``parse_url`` says that without repeating it."""
    return _NO_FILE.search(text) is not None


def parse_url(text: str) -> DatabaseUrl:
    """Read a URL. Missing parts are "" (hosts: localhost). Raises ValueError; its text never holds
    any part of the URL that could be the password."""
    scheme = next((one for one in SCHEMES if text.startswith(one)), None)
    if scheme is None:
        raise ValueError(f"must start with {SCHEMES[0]}")
    rest = text.removeprefix(scheme)
    values: dict[str, str] = {}
    at = re.search(r"[@/]", rest)
    if at and at[0] == "@":
        credentials, rest = rest[: at.start()], rest[at.end() :]
        user, colon, password = credentials.partition(":")
        if user:
            values["user"] = _decode(user, "user")
        if colon:
            values["password"] = _decode(password, "password")
    hosts, ports, rest = _hosts(rest)
    values |= {name: text for name, text in (("host", hosts), ("port", ports)) if text}
    database, _, query = rest.removeprefix("/").partition("?")
    if rest.startswith("?"):
        database, query = "", rest[1:]
    if database:
        values["dbname"] = _decode(database, "database name")
    values |= _parameters(query)
    return DatabaseUrl(
        user=values.get("user", ""),
        password=values.get("password", ""),
        database=values.get("dbname", "") or values.get("user", ""),
        addresses=_addresses(values.get("host", ""), values.get("port", "")),
        parameters={name: values[name] for name in _KEPT if name in values},
    )


def _hosts(rest: str) -> tuple[str, str, str]:
    """The host list and the port list (comma-separated, as in libpq's parameters), and the rest."""
    hosts, ports = [], []
    while True:
        if rest.startswith("["):
            host, bracket, rest = rest[1:].partition("]")
            if not bracket or not host:
                raise ValueError("has a malformed [IPv6] address")
            if rest and rest[0] not in ":/?,":
                raise ValueError("has something unexpected after an [IPv6] address")
        else:
            host, rest = _until(rest, ":/?,")
        port = ""
        if rest.startswith(":"):
            port, rest = _until(rest[1:], "/?,")
        hosts.append(_decode(host, "host"))
        ports.append(_decode(port, "port"))
        if not rest.startswith(","):
            return ",".join(hosts), ",".join(ports) if any(ports) else "", rest
        rest = rest[1:]


def _until(text: str, stops: str) -> tuple[str, str]:
    match = re.search(f"[{re.escape(stops)}]", text)
    return (text[: match.start()], text[match.start() :]) if match else (text, "")


def _parameters(query: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        raw_name, equals, raw_value = pair.partition("=")
        if not equals or "=" in raw_value:
            raise ValueError("has a query parameter that is not name=value")
        name, value = _decode(raw_name, "query parameter"), _decode(raw_value, "query parameter")
        if name == "ssl" and value == "true":  # JDBC's word, which libpq takes as well
            name, value = "sslmode", "require"
        if name not in _PARAMETERS:
            which = f"the parameter {name}" if name in _OFTEN_SEEN else "a parameter"
            raise ValueError(
                f"has {which} that Forebay doesn't take (it takes {', '.join(sorted(_PARAMETERS))})"
            )
        values[name] = value
    return values


def _addresses(hosts: str, ports: str) -> tuple[Address, ...]:
    names = hosts.split(",")
    numbers = ports.split(",") if ports else [""]
    if len(numbers) == 1:
        numbers *= len(names)
    if len(numbers) != len(names):
        raise ValueError(f"names {len(names)} hosts but {len(numbers)} ports")
    if any(re.search(r"[\s@?#\[\]]", name) for name in names):
        raise ValueError("has a host that is none; an @, /, ? or # in a password must be %-encoded")
    return tuple(
        Address(name or DEFAULT_HOST, _port(number))
        for name, number in zip(names, numbers, strict=True)
    )


def _port(text: str) -> int:
    if not text:
        return POSTGRES_PORT
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or not 1 <= int(text) <= 65535:
        raise ValueError("has a port that is not a number from 1 to 65535")
    return int(text)


def _decode(text: str, what: str) -> str:
    if _BAD_PERCENT.search(text):
        raise ValueError(f"has a % in its {what} that is not followed by two hexadecimal digits")
    try:
        decoded = unquote(text, errors="strict")
        decoded.encode()
    except UnicodeError:
        raise ValueError(f"has bytes in its {what} that are not UTF-8") from None
    if "\0" in decoded:
        raise ValueError(f"has a zero byte (%00) in its {what}")
    return decoded
