"""The servers are those that Patroni lists (``GET /cluster`` of its REST API).

What Patroni says of their roles only sorts them: each is asked itself.
"""

import asyncio
import ipaddress
import re
import ssl
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from forebay.config.addresses import Address
from forebay.net.tls import SYSTEM_ROOTS, ssl_reason
from forebay.topology.failures import sentence
from forebay.topology.sources.http_get import HttpError, get
from forebay.topology.sources.resolver import Resolver
from forebay.topology.sources.rounds import Rounds
from forebay.topology.sources.source import MAX_SERVERS, Propose

PERIOD_S: Final = 5.0
TIMEOUT_S: Final = 1.0
_HOST: Final = re.compile(r"[a-zA-Z0-9:][a-zA-Z0-9._:%-]{0,252}", re.ASCII)
LEADERS: Final = frozenset({"leader", "master", "primary", "standby_leader"})
"""What Patroni calls, or has called, the one that has its lock."""


class _Member(msgspec.Struct):
    host: Any = None
    port: Any = None
    role: Any = None


class _Cluster(msgspec.Struct):
    members: list[_Member]


class PatroniSource:
    """See `Source`. All URLs are asked at once, and the first that has an answer is believed."""

    is_final = False

    def __init__(
        self,
        hosts: Sequence[Address],
        urls: Sequence[str],
        resolver: Resolver,
        sslrootcert: str | None = None,
        period_s: float = PERIOD_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """``sslrootcert``: as of the target; who answers to https is verified by it, or by what
        this machine trusts."""
        self.fallback: Sequence[Address] = tuple(hosts)
        self._urls = tuple(urls)
        self._resolver = resolver
        self._sslrootcert = sslrootcert
        self._context: ssl.SSLContext | None = None
        self._timeout_s = timeout_s
        self._rounds = Rounds(self._look, period_s, "ask Patroni")
        self._propose: Propose | None = None
        self._has_proposed = False
        self._trouble = ""

    @property
    def trouble(self) -> str:
        return self._trouble

    def start(self, propose: Propose) -> None:
        self._propose = propose
        self._rounds.start()

    def look(self) -> None:
        self._rounds.hurry()

    def set_hosts(self, hosts: Sequence[Address]) -> None:
        self.fallback = tuple(hosts)
        self._rounds.hurry()

    async def stop(self) -> None:
        self._propose = None
        await self._rounds.stop()

    # ---- Asking ----------------------------------------------------------------------------------

    async def _look(self) -> None:
        found = await self._first()
        if found is None and self._has_proposed:
            return
        self._has_proposed = True
        if self._propose is not None:
            self._propose(found or self.fallback)

    async def _first(self) -> list[Address] | None:
        """The servers, as the first says that has an answer; None if nobody has."""
        asked = [asyncio.ensure_future(self._ask(url)) for url in self._urls]
        troubles = []
        try:
            for answer in asyncio.as_completed(asked):
                found = await answer
                if isinstance(found, list):
                    self._trouble = ""
                    return found
                troubles.append(found)
        finally:
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        self._trouble = "; ".join(troubles) + "; the servers known are kept"
        return None

    async def _ask(self, url: str) -> list[Address] | str:
        """What one answers, or why it doesn't."""
        try:
            context = self._tls_context() if url.lower().startswith("https:") else None
            body = await get(
                url, "/cluster", self._resolver, tls_context=context, timeout_s=self._timeout_s
            )
            return members(body)
        except TimeoutError:
            reason = f"no answer within {self._timeout_s:g} s"
        except ssl.SSLError as error:
            self._context = None  # its authorities may be others by now
            reason = ssl_reason(error)
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
        except (HttpError, ValueError) as error:
            reason = str(error)
        return f"Patroni at {url} can't be asked: {sentence(reason)}"

    def _tls_context(self) -> ssl.SSLContext:
        if self._context is None:
            cafile = None if self._sslrootcert == SYSTEM_ROOTS else self._sslrootcert
            self._context = ssl.create_default_context(cafile=cafile)
        return self._context


def members(body: bytes) -> list[Address]:
    """Reads an answer: the servers, what Patroni takes for the leader first.

    Raises ValueError with the reason for one that names none. Members that have no address yet, as
    those that are being made, are passed over.
    """
    try:
        cluster = msgspec.json.decode(body, type=_Cluster)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("the answer is no list of its members") from None
    found: dict[Address, bool] = {}
    for each in cluster.members:
        address = _address(each)
        if address is not None:
            found.setdefault(address, each.role in LEADERS if isinstance(each.role, str) else False)
    if not found:
        raise ValueError("the answer names no server")
    if len(found) > MAX_SERVERS:
        raise ValueError(f"the answer names {len(found)} servers; {MAX_SERVERS} are allowed")
    return sorted(found, key=lambda address: not found[address])


def _address(member: _Member) -> Address | None:
    host, port = member.host, member.port
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        return None
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65_535:
        return None
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            return None
    return Address(host, port)
