"""A TCP proxy that spoils the network on command: cuts, freezes, resets, delays, refuses.

It runs on an event loop in a thread of its own, so that tests of every kind, blocking or not, can
use it in the same way.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any, Literal, Self

Direction = Literal["to_server", "to_client"]
Link = tuple[asyncio.StreamWriter, asyncio.StreamWriter]
"""One connection: to its client, to the server."""

CHUNK_BYTES = 65536
THREAD_TIMEOUT_S = 10.0


class FaultProxy:
    """Stands at ``port`` in front of ``(host, target_port)``; ``with FaultProxy(...) as proxy:``.

    Faults hold for connections there are and for those to come, until ``heal``.
    """

    def __init__(self, target_port: int, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = 0
        self.accepted = 0  # connections ever accepted
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing: dict[Direction, asyncio.Event] = {
            "to_server": asyncio.Event(),
            "to_client": asyncio.Event(),
        }
        self._ending = asyncio.Event()
        self._refusing = False
        self._delay_s = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(THREAD_TIMEOUT_S)
        self._loop.close()

    @property
    def connections(self) -> int:
        return len(self._links)

    def freeze(self, direction: Direction | None = None) -> None:
        """Bytes stay where they are; connections stay open: a network that went silent, in one
        direction or in both."""
        self._call(self._stop_flow(direction))

    def heal(self) -> None:
        """Everything flows again, at once, and new connections are accepted."""
        self._call(self._set(flowing=True, ending=True, refusing=False, delay_s=0.0))

    def hide_ends(self) -> None:
        """Bytes flow, but nobody hears that the other side has closed."""
        self._call(self._set(ending=False))

    def delay(self, delay_s: float) -> None:
        """Every chunk is held back this long, in each direction."""
        self._call(self._set(delay_s=delay_s))

    def refuse(self) -> None:
        """New connections are reset as soon as they are made."""
        self._call(self._set(refusing=True))

    def cut(self) -> None:
        """Closes all connections in order (FIN to both ends)."""
        self._call(self._end(reset=False))

    def reset(self) -> None:
        """Ends all connections by force (RST to both ends)."""
        self._call(self._end(reset=True))

    # -- on the loop ------------------------------------------------------------------------------

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(THREAD_TIMEOUT_S)

    async def _open(self) -> None:
        for flowing in self._flowing.values():
            flowing.set()
        self._ending.set()
        self._server = await asyncio.start_server(self._accept, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._end(reset=True)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _set(
        self,
        flowing: bool = False,
        ending: bool | None = None,
        refusing: bool | None = None,
        delay_s: float | None = None,
    ) -> None:
        if flowing:
            for each in self._flowing.values():
                each.set()
        if ending is not None:
            (self._ending.set if ending else self._ending.clear)()
        if refusing is not None:
            self._refusing = refusing
        if delay_s is not None:
            self._delay_s = delay_s

    async def _stop_flow(self, direction: Direction | None) -> None:
        for name, flowing in self._flowing.items():
            if direction in (None, name):
                flowing.clear()

    async def _end(self, reset: bool) -> None:
        for link in list(self._links):
            for writer in link:
                abort(writer) if reset else writer.close()
        self._links.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the proxy is closing; asyncio's streams would log it
        finally:
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._refusing:
            abort(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(self.host, self._target_port)
        except OSError:
            abort(writer)
            return
        link = (writer, far_writer)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pump(link, "to_server", reader, far_writer),
                self._pump(link, "to_client", far_reader, writer),
            )
        finally:
            self._links.discard(link)
            writer.close()
            far_writer.close()

    async def _pump(
        self,
        link: Link,
        direction: Direction,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Passes on what comes in one direction, up to its end."""
        flowing = self._flowing[direction]
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await flowing.wait()
                writer.write(chunk)
                await writer.drain()
            await flowing.wait()
            await self._ending.wait()
            writer.write_eof()


def abort(writer: asyncio.StreamWriter) -> None:
    """Closes with RST: lingering for zero seconds throws away what was not sent."""
    underlying = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        underlying.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
