"""Looking up host names, in threads that may hang as long as the system's resolver does."""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

TIMEOUT_S: Final = 2.0
MAX_ADDRESSES: Final = 100
"""Of one name."""

GetAddrInfo = Callable[..., list[tuple[Any, ...]]]


class Resolver:
    """Each name has one lookup under way at most, so that a resolver that hangs keeps no more
    threads than there are names."""

    def __init__(self, getaddrinfo: GetAddrInfo | None = None) -> None:
        self._getaddrinfo = getaddrinfo or socket.getaddrinfo
        self._under_way: dict[str, asyncio.Future[list[str]]] = {}

    async def addresses(self, host: str, timeout_s: float = TIMEOUT_S) -> list[str]:
        """All addresses of a name, in the system's order; of an address, itself. Raises OSError:
        TimeoutError, or what the system said."""
        with contextlib.suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        under_way = self._under_way.get(host)
        if under_way is None:
            under_way = self._under_way[host] = self._begin(host)
            under_way.add_done_callback(lambda done: self._end(host, done))
        async with asyncio.timeout(timeout_s):
            return await asyncio.shield(under_way)

    def _begin(self, host: str) -> "asyncio.Future[list[str]]":
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[str]] = loop.create_future()

        def look() -> None:
            try:
                found = self._getaddrinfo(host, None, type=socket.SOCK_STREAM)
                answer = lambda: _give(done, [each[4][0] for each in found])  # noqa: E731
            except (OSError, UnicodeError) as error:
                reason = error if isinstance(error, OSError) else OSError("invalid host name")
                answer = lambda: _fail(done, reason)  # noqa: E731
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(answer)

        threading.Thread(target=look, name=f"resolve {host}", daemon=True).start()
        return done

    def _end(self, host: str, done: "asyncio.Future[list[str]]") -> None:
        self._under_way.pop(host, None)
        if not done.cancelled():
            done.exception()  # it is seen: perhaps nobody waits any more


def _give(done: "asyncio.Future[list[str]]", found: list[str]) -> None:
    if not done.done():
        done.set_result(list(dict.fromkeys(found))[:MAX_ADDRESSES])


def _fail(done: "asyncio.Future[list[str]]", error: OSError) -> None:
    if not done.done():
        done.set_exception(error)
