"""Follows files that are not secrets: certificates, keys, authorities. Kubernetes, cert-manager and
certbot replace them while a node runs.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from forebay.net.tasks import spawn

log = logging.getLogger("forebay.node")

INTERVAL_S = 2.0

Fingerprint = tuple[int, ...] | None


class Follower:
    """Looks at files each `INTERVAL_S`; ``on_change`` is awaited when any of them is another than
    at the last call, and looks the same at two looks in a row: while a certificate and its key are
    being written, they do not belong together."""

    def __init__(
        self, on_change: Callable[[], Awaitable[None]], *, interval_s: float = INTERVAL_S
    ) -> None:
        self._on_change = on_change
        self._interval_s = interval_s
        self._paths: tuple[str, ...] = ()
        self._known: list[Fingerprint] = []
        self._seen: list[Fingerprint] = []
        self._task: asyncio.Task[None] | None = None

    def follow(self, paths: Iterable[str]) -> None:
        """Follow these files from now on, and no others. They were read after the last look."""
        paths = tuple(dict.fromkeys(paths))
        if paths != self._paths:
            self._paths = paths
            self._known = self._seen = _look(paths)
        if self._paths and self._task is None:
            self._task = spawn(self._run(), "follow certificates")

    def close(self) -> None:
        """Follow nothing any more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self.look()

    async def look(self) -> None:
        """Look now."""
        paths = self._paths
        found = await asyncio.to_thread(_look, paths)
        if paths != self._paths:
            return
        has_settled, self._seen = found == self._seen, found
        if found != self._known and has_settled:
            self._known = found
            try:
                await self._on_change()
            except Exception:  # our own fault: the next change is to be seen all the same
                log.exception("What has changed could not be put in force")


def _look(paths: Iterable[str]) -> list[Fingerprint]:
    return [_fingerprint(path) for path in paths]


def _fingerprint(path: str) -> Fingerprint:
    try:
        found = Path(path).stat()  # of what a link leads to
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
