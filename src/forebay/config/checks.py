"""What must hold between keys, and inside the strings that are more than strings."""

import re
from collections.abc import Iterator
from itertools import combinations

from forebay.config.addresses import Address, parse_address
from forebay.config.export_checks import check_cloudwatch, check_otel
from forebay.config.login_checks import (
    check_certificate_of_ours,
    check_iam,
    check_user,
    logins_of,
)
from forebay.config.reading import Check, Path, Reading
from forebay.config.settings import (
    AuthSettings,
    CloudWatchSettings,
    IamSettings,
    NodeSettings,
    OtelSettings,
    PoolSettings,
    ProxySettings,
    TargetSettings,
)
from forebay.config.topology_checks import check_topology
from forebay.sql.functions import FunctionName, parse_function_name

# RDS Proxy's rule for names (DBProxyName): letters, digits and single hyphens.
PROXY_NAME = re.compile(r"[a-zA-Z](?:-?[a-zA-Z0-9]+)*")
MAX_PROXY_NAME_LENGTH = 63
# More would be a rule about names, not a list.
MAX_SESSION_FUNCTIONS = 1000
MAX_SESSION_SETTINGS = 100
_CUSTOM_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)+")
_MAX_SETTING_CHARACTERS = 256
_TOKEN_SOURCE = re.compile(r"(file|env):[^\0]+")

Found = Iterator[tuple[Path, str]]


def check_name(name: str, reading: Reading) -> None:
    """Report a proxy's name that RDS Proxy would not allow."""
    if not PROXY_NAME.fullmatch(name) or len(name) > MAX_PROXY_NAME_LENGTH:
        text = (
            "is no name that RDS Proxy allows: a letter first, then letters, digits and single"
            f" hyphens, at most {MAX_PROXY_NAME_LENGTH} characters"
        )
        reading.report(("proxies", name), text)


def check_together(proxies: dict[str, ProxySettings], reading: Reading) -> None:
    """Report what two proxies can't have both: one name, one address; and who targets itself."""
    for name, proxy in proxies.items():
        for target in _targets(proxy):
            if any(_is_same_place(target, listen) for listen in _readable(proxy)):
                text = f"{target} is where the proxy itself listens: it would connect to itself"
                reading.report(("proxies", name, "target", "hosts"), text)
    for one, other in combinations(proxies, 2):
        if one.casefold() == other.casefold():
            reading.report(("proxies", other), f"differs from {one} only in the case of letters")
        both = set(_readable(proxies[one])) & set(_readable(proxies[other]))
        for address in sorted(map(str, (each for each in both if each.port))):
            reading.report(("proxies", other, "listen"), f"{address} is taken by proxies.{one}")


def _readable(proxy: ProxySettings) -> list[Address]:
    try:
        return proxy.listen_addresses()
    except ValueError:
        return []  # reported where that proxy is checked


def _targets(proxy: ProxySettings) -> list[Address]:
    try:
        return proxy.target.addresses()
    except ValueError:
        return []  # reported where that target is checked


def _is_same_place(target: Address, listen: Address) -> bool:
    """Judged by the text alone; ``forebay check`` looks names up."""
    if target.port != listen.port or target.is_unix != listen.is_unix:
        return False
    everywhere = ("", "0.0.0.0", "::")  # noqa: S104
    return target.host == listen.host or (listen.host in everywhere and target.is_loopback)


def _node(node: NodeSettings) -> Found:
    if node.control_token and not _TOKEN_SOURCE.fullmatch(node.control_token):
        yield ("control_token",), "must be file:PATH or env:NAME"
    if node.control_listen:
        yield from _control_listen(node)
    if node.control_socket and "\0" in node.control_socket:
        yield ("control_socket",), "holds a zero byte"


def _control_listen(node: NodeSettings) -> Found:
    try:
        address = parse_address(node.control_listen, wildcard=True)
    except ValueError as error:
        yield ("control_listen",), str(error)
        return
    if address.is_unix:
        text = "is a Unix socket, which browsers can't open; write host:port, as in 127.0.0.1:6480"
        yield ("control_listen",), text
    elif not address.is_loopback and not node.control_token:
        text = (
            f"{address} can be reached from other machines: set control_token to file:PATH or"
            " env:NAME with a text that opens it, or listen on 127.0.0.1"
        )
        yield ("control_listen",), text


def _proxy(proxy: ProxySettings) -> Found:
    yield from _listen(proxy)
    yield from logins_of(proxy)
    yield from _session_functions(proxy)
    yield from _session_settings(proxy)


def _listen(proxy: ProxySettings) -> Found:
    try:
        addresses = proxy.listen_addresses()
    except ValueError as error:
        yield ("listen",), str(error)
        return
    if not addresses:
        yield ("listen",), "is an empty list; it must name at least one address"
    fixed = [address for address in addresses if address.port]
    if len(set(fixed)) != len(fixed):
        yield ("listen",), "names an address twice"


def _session_functions(proxy: ProxySettings) -> Found:
    if len(proxy.session_functions) > MAX_SESSION_FUNCTIONS:
        count = len(proxy.session_functions)
        text = f"has {count} entries; at most {MAX_SESSION_FUNCTIONS} are allowed"
        yield ("session_functions",), text
    seen: dict[FunctionName, str] = {}
    for text in proxy.session_functions:
        try:
            name = parse_function_name(text)
        except ValueError as error:
            yield ("session_functions", text), str(error)
            continue
        if name in seen:
            yield ("session_functions", text), f"is the same function as {seen[name]}"
        seen.setdefault(name, text)


def _session_settings(proxy: ProxySettings) -> Found:
    if len(proxy.session_settings) > MAX_SESSION_SETTINGS:
        count = len(proxy.session_settings)
        yield (
            ("session_settings",),
            f"has {count} items; at most {MAX_SESSION_SETTINGS} are allowed",
        )
    for index, name in enumerate(proxy.session_settings):
        if "." not in name:
            text = f"{name!r} has no dot in its name: such settings are asked for without a list"
            yield ("session_settings", index), text
        elif not _CUSTOM_SETTING.fullmatch(name) or len(name) > _MAX_SETTING_CHARACTERS:
            text = (
                f"{name!r} is no name of a setting, as in app.tenant, of at most"
                f" {_MAX_SETTING_CHARACTERS} ASCII characters"
            )
            yield ("session_settings", index), text


def _target(target: TargetSettings) -> Found:
    if not target.hosts:
        yield ("hosts",), 'is empty; it must name at least one, as in ["127.0.0.1:5432"]'
    for index, host in enumerate(target.hosts):
        try:
            parse_address(host, wildcard=False)
        except ValueError as error:
            yield ("hosts", index), str(error)
    yield from check_topology(target)
    verifies = target.sslmode in ("verify-ca", "verify-full")
    if verifies and target.sslrootcert is None:
        yield (
            ("sslrootcert",),
            f'is missing; sslmode = "{target.sslmode}" needs CA certificates: a file, or "system"',
        )
    if target.sslrootcert == "system" and target.sslmode != "verify-full":
        # libpq refuses it too: anyone can get a certificate from a public CA for another name.
        yield ("sslmode",), 'must be "verify-full" when sslrootcert is "system"'
    yield from check_certificate_of_ours(target)


def _pool(pool: PoolSettings) -> Found:
    if pool.max_idle_connections_percent > pool.max_connections_percent:
        text = (
            f"is {pool.max_idle_connections_percent}; it must be at most max_connections_percent,"
            f" which is {pool.max_connections_percent}"
        )
        yield ("max_idle_connections_percent",), text
    if "\0" in pool.init_query:
        yield ("init_query",), "holds a zero byte"
    if not pool.init_query.isascii():
        # It also runs behind clients whose client_encoding is another.
        text = (
            "is not plain ASCII; write other characters as escapes: E'caf\\u00e9', U&\"caf\\00e9\""
        )
        yield ("init_query",), text


CHECKS: dict[type, Check] = {
    NodeSettings: _node,
    CloudWatchSettings: check_cloudwatch,
    OtelSettings: check_otel,
    ProxySettings: _proxy,
    AuthSettings: check_user,
    IamSettings: check_iam,
    TargetSettings: _target,
    PoolSettings: _pool,
}
