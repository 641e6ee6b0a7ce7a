"""The listening side of a configuration, tried without serving: addresses, loops, certificates."""

import ipaddress
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from forebay.cli.occupants import forebay_that_listens
from forebay.config import Address, Config, NodeSettings, ProxySettings, parse_address
from forebay.config.settings import DEFAULT_CONTROL_LISTEN
from forebay.dashboard import Token, TokenError
from forebay.node import certificates
from forebay.node.listeners import try_addresses
from forebay.node.materials import Material

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(slots=True)
class Findings:
    """What would keep a proxy from serving, and what will bite."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def look(config: Config, found: Mapping[str, Material]) -> dict[str, Findings]:
    """By proxy. Looks names up; listens on nothing."""
    findings = {name: Findings() for name in config.proxies}
    for name, proxy in config.proxies.items():
        for error in try_addresses(proxy.listen_addresses()):
            occupant = forebay_that_listens(error.address) if error.in_use else None
            if occupant is None:
                findings[name].problems.append(str(error))
            elif occupant.is_orphan:
                findings[name].problems.append(
                    f"can't listen on {error.address}: a Forebay worker that has outlived its node"
                    f" has it (kill {occupant.pid} lets it finish)"
                )
            else:
                findings[name].warnings.append(
                    f"{error.address} is in use by a Forebay that runs (pid {occupant.pid}); this"
                    " is what it would find when it starts anew"
                )
        for certificate in found[name].certificates:
            findings[name].problems += certificates.invalid(certificate)
    for name, text in _loops(config):
        findings[name].problems.append(text)
    return findings


def look_at_page(node: NodeSettings, environ: Mapping[str, str]) -> Findings:
    """What would keep the node from having its page, and what would leave it without one."""
    findings = Findings()
    if node.control_token:
        try:
            Token(node.control_token, environ)
        except TokenError as wrong:
            findings.problems.append(str(wrong))
    if node.control_listen:
        for error in try_addresses([parse_address(node.control_listen, wildcard=True)]):
            occupant = forebay_that_listens(error.address) if error.in_use else None
            is_harmless = error.in_use and node.control_listen == DEFAULT_CONTROL_LISTEN
            if occupant is not None and not occupant.is_orphan:
                findings.warnings.append(
                    f"node.control_listen: {error.address} is in use by a Forebay that runs (pid"
                    f" {occupant.pid}): beside it there would be no page"
                )
            elif is_harmless:
                findings.warnings.append(f"node.control_listen: {error}: there would be no page")
            else:
                findings.problems.append(f"node.control_listen: {error}")
    return findings


def _loops(config: Config) -> Iterator[tuple[str, str]]:
    """Proxies whose target leads back to them, by whatever names."""
    leads = {name: _proxies_behind(config, proxy) for name, proxy in config.proxies.items()}
    for name, own in leads.items():
        if name in own:
            yield name, f"its target {own[name]} is its own address: it would connect to itself"
            continue
        for other in _reachable(leads, name):
            if name in leads[other]:
                yield name, f"its target leads back to it, through proxies.{other}"
                break


def _reachable(leads: Mapping[str, Mapping[str, Address]], name: str) -> list[str]:
    seen: dict[str, None] = {}
    todo = list(leads[name])
    while todo:
        current = todo.pop()
        if current not in seen:
            seen[current] = None
            todo += leads[current]
    return list(seen)


def _proxies_behind(config: Config, proxy: ProxySettings) -> dict[str, Address]:
    """The proxies of this configuration at which the target's hosts are, and the host of each."""
    return {
        name: target
        for target in proxy.target.addresses()
        for name, other in config.proxies.items()
        if any(_leads_to(target, listen) for listen in other.listen_addresses())
    }


def _leads_to(target: Address, listen: Address) -> bool:
    if target.is_unix or listen.is_unix:
        both = target.is_unix and listen.is_unix
        return both and Path(target.unix_path).resolve() == Path(listen.unix_path).resolve()
    if target.port != listen.port:
        return False
    wanted = _addresses(target.host)
    if not listen.host:
        return any(_is_ours(each) for each in wanted)
    own = _addresses(listen.host)
    every = {each.version for each in own if each.is_unspecified}
    return any(each in own or (each.version in every and _is_ours(each)) for each in wanted)


def _addresses(host: str) -> set[_IP]:
    """What the name stands for; nothing where it cannot be looked up, which the login tells."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found}


def _is_ours(address: _IP) -> bool:
    """Whether it is one of this machine's: only those can be bound to."""
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
