"""A writer and its standbys, as temporary servers that can be made to fail and come back.

For the demo, tests and the bench of failovers: streaming replication, synchronous unless told
otherwise, so that what a client was told is written is on every server that may be promoted.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from forebay.embedded.binaries import Binaries
from forebay.embedded.configuration import Setting
from forebay.embedded.errors import SetupError
from forebay.embedded.member import SYNCHRONOUS, Member

SYNC_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.02
STREAMING = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"


class Pair:
    """A writer and standbys. ``with Pair() as pair:`` starts and removes them; or start, close.

    standbys: how many. synchronous: a commit is acknowledged when every standby has it, and waits
    while one is away; a writer that has none, as after a promotion, waits for nobody.
    ``settings``, ``max_connections``, ``hba`` and ``tls`` are those of `Postgres`, for all.
    Raises SetupError from ``start``.
    """

    def __init__(
        self,
        binaries: Binaries | None = None,
        *,
        standbys: int = 1,
        synchronous: bool = True,
        settings: Mapping[str, Setting] | None = None,
        max_connections: int = 100,
        hba: Sequence[str] = (),
        tls: bool = False,
    ) -> None:
        self.synchronous = synchronous
        self.writer = Member(
            binaries, settings=settings, max_connections=max_connections, hba=hba, tls=tls
        )
        self.servers = [self.writer]
        for _ in range(standbys):
            standby = Member(
                self.writer.binaries,
                upstream=self.writer,
                settings=settings,
                max_connections=max_connections,
                hba=hba,
                tls=tls,
            )
            self.servers.append(standby)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def standbys(self) -> list[Member]:
        """Those that run and follow the writer, as far as they know."""
        return [each for each in self.servers if each.upstream is self.writer and each.is_running]

    @property
    def hosts(self) -> list[str]:
        """``host:port`` of each, as a target's ``hosts`` takes them."""
        return [f"{each.host}:{each.port}" for each in self.servers]

    def start(self) -> Self:
        """Starts those that do not run, in their roles; returns when all standbys stream."""
        try:
            for server in (self.writer, *(s for s in self.servers if s is not self.writer)):
                server.start()
            self._synchronise()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Stops all and removes everything they had."""
        with contextlib.ExitStack() as stack:
            for server in self.servers:
                stack.callback(server.close)

    def promote(self, standby: Member | None = None) -> Member:
        """Has a standby, the first if none is named, write; returns it when it does.

        The writer before it is left as it is, dead or alive; other standbys follow the new one.
        Raises SetupError.
        """
        chosen = standby or next(iter(self.standbys), None)
        if chosen is None:
            raise SetupError("there is no standby to promote")
        others = [each for each in self.standbys if each is not chosen]
        chosen.promote()
        self.writer = chosen
        for other in others:
            other.follow(chosen)
        if others:
            self._synchronise()
        return chosen

    def rejoin(self, server: Member) -> None:
        """Brings a former writer, or any that died, back as a standby of the present writer."""
        if server is self.writer:
            raise SetupError(f"{server.host}:{server.port} is the writer: it follows nobody")
        server.rejoin(self.writer)
        self._synchronise()

    def _synchronise(self) -> None:
        """Waits until all standbys stream; from then on commits wait for them, if they shall."""
        wanted = len(self.standbys)
        if self.synchronous:
            names = f"FIRST {wanted} (*)" if wanted else ""
            self.writer.configure(**{SYNCHRONOUS: names})
        state = "sync" if self.synchronous else "async"
        streaming = [(state,)] * wanted
        deadline = time.monotonic() + SYNC_TIMEOUT_S
        while self.writer.sql(STREAMING) != streaming:
            if time.monotonic() > deadline:
                raise SetupError(
                    f"{wanted} standbys do not stream from {self.writer.host}:{self.writer.port}"
                    f" within {SYNC_TIMEOUT_S:.0f} s: {self.writer.home.last_words()}"
                )
            time.sleep(POLL_INTERVAL_S)
