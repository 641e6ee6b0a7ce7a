"""The servers are all addresses of the configured names."""

import asyncio
import ipaddress
from collections.abc import Sequence
from typing import Final

from forebay.config.addresses import Address
from forebay.topology.sources.resolver import Resolver
from forebay.topology.sources.rounds import Rounds
from forebay.topology.sources.source import MAX_SERVERS, Propose

PERIOD_S: Final = 5.0
STAYS_S: Final = 30.0
"""How long an address stays that its name has no more: a server that is not ready for a moment is
taken out of some names, and may be the one that writes."""


class DnsSource:
    """See `Source`. A name that can't be looked up keeps the addresses it had.

    Each address carries its name: the server's certificate is for that.
    """

    is_final = False
    fallback: Sequence[Address] = ()

    def __init__(
        self, hosts: Sequence[Address], resolver: Resolver, period_s: float = PERIOD_S
    ) -> None:
        self._hosts = tuple(hosts)
        self._resolver = resolver
        self._rounds = Rounds(self._look, period_s, "look up database servers")
        self._propose: Propose | None = None
        self._seen: dict[Address, dict[Address, float]] = {}  # by host: addresses, and when
        self._troubles: dict[Address, str] = {}

    @property
    def trouble(self) -> str:
        return "; ".join(self._troubles[each] for each in self._hosts if each in self._troubles)

    def start(self, propose: Propose) -> None:
        self._propose = propose
        self._rounds.start()

    def look(self) -> None:
        self._rounds.hurry()

    def set_hosts(self, hosts: Sequence[Address]) -> None:
        self._hosts = tuple(hosts)
        self._rounds.hurry()

    async def stop(self) -> None:
        self._propose = None
        await self._rounds.stop()

    async def _look(self) -> None:
        hosts = self._hosts
        await asyncio.gather(*(self._look_up(host) for host in hosts))
        self._seen = {each: self._seen[each] for each in hosts if each in self._seen}
        self._troubles = {each: self._troubles[each] for each in hosts if each in self._troubles}
        if self._propose is not None and hosts == self._hosts:
            found = dict.fromkeys(each for seen in self._seen.values() for each in seen)
            self._propose(tuple(found)[:MAX_SERVERS])

    async def _look_up(self, host: Address) -> None:
        now = asyncio.get_running_loop().time()
        if _is_address(host.host):
            self._seen[host] = {host: now}
            return
        seen = self._seen.setdefault(host, {})
        try:
            found = await self._resolver.addresses(host.host)
        except OSError as error:
            self._troubles[host] = _sentence(host, error, len(seen))
            return
        self._troubles.pop(host, None)
        for text in found:
            seen[Address(text, host.port, host.host)] = now
        for address, at in list(seen.items()):
            if now - at >= STAYS_S:
                del seen[address]


def _is_address(host: str) -> bool:
    """Whether there is nothing to look up."""
    if host.startswith("/"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _sentence(host: Address, error: OSError, count: int) -> str:
    is_timeout = isinstance(error, TimeoutError)
    reason = "the resolver does not answer" if is_timeout else error.strerror or str(error)
    kept = f"; its last {count} addresses are kept" if count else ""
    return f"{host.host} can't be looked up: {reason}{kept}"
