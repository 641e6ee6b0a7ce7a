"""Asks servers what they are, each over a control connection of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar

from forebay.config.addresses import Address
from forebay.net.connector import ConnectError, Target
from forebay.net.queries import Rows
from forebay.net.tls import ClientContexts
from forebay.protocol.errors import PgError
from forebay.protocol.messages import MalformedMessageError
from forebay.topology.control import Control, ControlLogin
from forebay.topology.failures import failure
from forebay.topology.places import Places
from forebay.topology.questions import Lag
from forebay.topology.reports import Failure, HintKind, Report
from forebay.topology.sources.resolver import Resolver

TIMEOUT_S: Final = 1.0
"""For a probe, with all that belongs to it."""

_T = TypeVar("_T")
Logins = Callable[[Address], Awaitable[Sequence[ControlLogin]]]
"""The ways to log in to a server, newest first. Raises LookupError if there is none yet; its text
says why."""


class _Known:
    """What is kept of one server."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()  # one question at a time
        self.control: Control | None = None
        self.lag = Lag()

    def close(self) -> None:
        control, self.control = self.control, None
        if control is not None:
            control.close()


class Prober:
    """``target`` gives a server's place and TLS settings. ``on_hint`` is told when a control
    connection ends by itself; it may be set later. One prober per cluster."""

    def __init__(
        self,
        target: Callable[[Address], Target],
        logins: Logins,
        tls_contexts: ClientContexts,
        timeout_s: float = TIMEOUT_S,
        resolver: Resolver | None = None,
    ) -> None:
        self.on_hint: Callable[[Address, HintKind], None] | None = None
        self._target = target
        self._logins = logins
        self._tls_contexts = tls_contexts
        self._timeout_s = timeout_s
        self._places = Places(resolver or Resolver())
        self._known: dict[Address, _Known] = {}

    async def probe(self, address: Address) -> Report | Failure:
        """What a server says of itself, or why it says nothing; within the timeout."""
        return await self._with_control(address, lambda known, control: control.report(known.lag))

    async def ask(self, address: Address, sql: str) -> Rows | Failure:
        """What a query returns there, likewise."""
        return await self._with_control(address, lambda _, control: control.rows(sql))

    def keep(self, addresses: Iterable[Address]) -> None:
        """Forgets all servers but these."""
        for gone in self._known.keys() - set(addresses):
            self._known.pop(gone).close()

    def close(self) -> None:
        """Closes all control connections."""
        self.keep(())

    async def _with_control(
        self, address: Address, ask: Callable[[_Known, Control], Awaitable[_T]]
    ) -> _T | Failure:
        known = self._known.setdefault(address, _Known())
        try:
            async with asyncio.timeout(self._timeout_s), known.lock:
                return await ask(known, await self._control(address, known))
        except (PgError, ConnectError, OSError, MalformedMessageError) as error:
            return failure(error, str(self._target(address)))
        except LookupError as error:
            return Failure("auth", str(error.args[0]) if error.args else "no login is known")

    async def _control(self, address: Address, known: _Known) -> Control:
        """The server's connection, which is opened if there is none."""
        if known.control is not None and known.control.is_open:
            return known.control
        logins = await self._logins(address)
        # A resolver that does not answer leaves time to connect to the last addresses.
        places = await self._places.of(self._target(address), self._timeout_s / 4)
        known.control = await Control.open(
            places,
            logins,
            self._timeout_s,
            self._tls_contexts,
            lambda kind: self._hint(address, kind),
        )
        if self._known.get(address) is not known:  # forgotten meanwhile
            known.close()
            raise ConnectionAbortedError("the server is not one of the cluster any more")
        return known.control

    def _hint(self, address: Address, kind: HintKind) -> None:
        if self.on_hint is not None:
            self.on_hint(address, kind)
