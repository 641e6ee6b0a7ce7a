"""The node's end of the control socket: takes requests, and answers each connection in order.

Nothing here holds up the node: whoever keeps silent, sends half a message or nonsense, does not
read, or is one of too many, loses its connection. Only the node's own user and root get in: the
socket's mode says so, and each peer's uid is looked at besides.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from forebay import __version__
from forebay.channel import Channel, ChannelError
from forebay.config.addresses import Address
from forebay.control.listener import BACKLOG, ControlSocket
from forebay.control.looking import Observed, in_words, look, named
from forebay.control.messages import (
    MAX_REQUEST_BYTES,
    Answer,
    ClientsRequest,
    EventsRequest,
    Failed,
    FiguresRequest,
    LookRequest,
    PoolDone,
    PoolRequest,
    PoolsRequest,
    Progress,
    ReloadAnswer,
    ReloadRequest,
    Request,
    StatusAnswer,
    StatusRequest,
    Stopped,
    StopRequest,
    ViewRequest,
    Who,
    WhoRequest,
)
from forebay.control.peer import may_command, peer_of
from forebay.net.tasks import spawn
from forebay.node import WorkerUnavailableError
from forebay.node.pausing import Pausing, PausingError
from forebay.node.reloads import Reload
from forebay.node.status import Status

log = logging.getLogger("forebay.control")

# Connections at once. One more takes the place of the one that has been idle for longest.
MAX_CONNECTIONS = 64
# Other users that the log names; their number is bounded by nothing else.
MAX_STRANGERS = 64
# Within this time a whole request must have come; commands send theirs at once.
REQUEST_TIMEOUT_S = 30.0
# A peer that does not read for so long is gone.
SEND_TIMEOUT_S = 10.0
# How often those that wait for the end are told how many clients are left.
PROGRESS_INTERVAL_S = 1.0
# How often a pause looks whether connections are left.
PAUSE_INTERVAL_S = 0.05
# How long the last words may take to get out when the node ends.
FAREWELL_S = 2.0


class Commanded(Protocol):
    """What the server asks of a node (`forebay.node.Node`)."""

    source: str
    pausing: Pausing

    @property
    def observer(self) -> Observed:
        """Who looks at it."""

    @property
    def addresses(self) -> Mapping[str, Sequence[Address]]:
        """Where each proxy listens."""

    async def status(self) -> Status:
        """What it is and does now."""

    async def stats(self) -> Mapping[str, Mapping[str, int | float]]:
        """The worker's figures by proxy. Raises WorkerUnavailableError."""

    async def reload(self) -> Reload:
        """Read the configuration again."""


class ControlServer:
    """Serves one control socket. ``stop`` begins the node's end (its argument: at once) and
    returns; when it has come to that, `finish` tells those who wait.
    """

    def __init__(self, node: Commanded, stop: Callable[[bool], None]) -> None:
        self._node = node
        self._stop = stop
        self._socket: ControlSocket | None = None
        self._server: asyncio.Server | None = None
        self._connections: dict[_Connection, asyncio.Task[None]] = {}  # in the order of last use
        self._ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._strangers: set[int] = set()

    async def start(self, control: ControlSocket) -> None:
        """Take connections from now on."""
        self._socket = control
        self._server = await asyncio.start_unix_server(
            self._accept, sock=control.sock, backlog=BACKLOG
        )

    async def finish(self, ok: bool) -> None:
        """Tell those who wait for the end that it has come, remove the socket, and close all
        connections. ``ok``: the worker ended by itself. Takes FAREWELL_S at most."""
        self._ended.set_result(ok)
        if self._socket is not None:
            self._socket.remove()
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            if not connection.is_busy:
                connection.abort()
        tasks = list(self._connections.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=FAREWELL_S)
            for task in late:
                task.cancel()

    @property
    def has_finished(self) -> bool:
        """Whether the node has ended."""
        return self._ended.done()

    # --- connections --------------------------------------------------------------------------

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(reader, writer)
        if not self._is_allowed(writer) or not self._make_room():
            connection.abort()
            return
        task = spawn(self._serve(connection), "control connection")
        self._connections[connection] = task
        task.add_done_callback(lambda _: self._connections.pop(connection, None))

    def _is_allowed(self, writer: asyncio.StreamWriter) -> bool:
        try:
            peer = peer_of(writer.get_extra_info("socket"))
        except OSError:
            return False
        if may_command(peer.uid):
            return True
        # Told once of each, by number: a name would have to be looked up, perhaps far away.
        if peer.uid not in self._strangers and len(self._strangers) < MAX_STRANGERS:
            self._strangers.add(peer.uid)
            fields = {"uid": peer.uid, "pid": peer.pid}
            text = "A command of uid %d was refused: only the node's own user and root may give any"
            log.warning(text, peer.uid, extra={"fields": fields})
        return False

    def _make_room(self) -> bool:
        """Whether one more can be taken; one that is idle goes for it."""
        if len(self._connections) < MAX_CONNECTIONS:
            return True
        idle = next((each for each in self._connections if not each.is_busy), None)
        if idle is None:
            log.warning("%d commands are under way: another was refused", MAX_CONNECTIONS)
            return False
        idle.abort()
        self._connections.pop(idle)
        return True

    async def _serve(self, connection: "_Connection") -> None:
        try:
            while (request := await connection.receive()) is not None:
                connection.is_busy = True
                await self._answer(connection, request)
                connection.is_busy = False
                if self._ended.done():  # whoever was told of the end waits for the process's
                    break
                if connection in self._connections:  # it has been used last
                    self._connections[connection] = self._connections.pop(connection)
        except _GoneError:
            pass
        finally:
            await connection.close()

    # --- requests -----------------------------------------------------------------------------

    async def _answer(self, connection: "_Connection", request: Request) -> None:
        match request:
            case WhoRequest(id=number):
                await connection.send(self._who(number))
            case StatusRequest(id=number):
                await connection.send(StatusAnswer(id=number, status=await self._node.status()))
            case ReloadRequest(id=number):
                await connection.send(await self._reload(number))
            case StopRequest(id=number, now=now):
                log.info("Told to stop%s", " at once" if now else "")
                self._stop(now)
                await self._tell_end(connection, number)
            case PoolRequest():
                await self._command(connection, request)
            case (
                FiguresRequest()
                | ViewRequest()
                | PoolsRequest()
                | ClientsRequest()
                | EventsRequest()
            ):
                await self._look(connection, request)

    async def _look(self, connection: "_Connection", request: LookRequest) -> None:
        try:
            async for answer in look(self._node.observer, list(self._node.addresses), request):
                await connection.send(answer)
        except (ValueError, WorkerUnavailableError) as error:
            await connection.send(Failed(id=request.id, reason=str(error)))

    async def _command(self, connection: "_Connection", request: PoolRequest) -> None:
        try:
            proxy = self._only(request.proxy)
            left = await self._node.pausing.do(
                proxy, request.action, request.database, until_switchover=not request.stays
            )
            if left:
                await self._wait_for_pause(connection, request, proxy, left)
        except (ValueError, PausingError, WorkerUnavailableError) as error:
            await connection.send(Failed(id=request.id, reason=str(error)))
        else:
            await connection.send(PoolDone(id=request.id))

    async def _wait_for_pause(
        self, connection: "_Connection", request: PoolRequest, proxy: str, left: int
    ) -> None:
        """Tell of it now and then. Whoever does not want to wait any longer leaves, and then all
        goes on."""
        loop = asyncio.get_running_loop()
        told_at = float("-inf")
        try:
            while left:
                if loop.time() - told_at >= PROGRESS_INTERVAL_S:
                    told_at = loop.time()
                    await connection.send(Progress(id=request.id, connections=left))
                await asyncio.wait([self._ended], timeout=PAUSE_INTERVAL_S)
                if self._ended.done() or connection.has_left:
                    raise _GoneError
                left = await self._node.pausing.left(proxy, request.database)
        except BaseException:
            await self._node.pausing.undo(proxy, request.database)
            raise

    def _only(self, name: str) -> str:
        """The proxy that is meant. Raises ValueError."""
        proxies = named(list(self._node.addresses), name)
        if len(proxies) != 1:
            raise ValueError(f"name one of the proxies (--proxy): {in_words(proxies)}")
        return proxies[0]

    def _who(self, number: int) -> Who:
        listen = [str(each) for own in self._node.addresses.values() for each in own]
        return Who(
            id=number,
            pid=os.getpid(),
            version=__version__,
            configuration=self._node.source,
            listen=listen,
        )

    async def _reload(self, number: int) -> Answer:
        """The reload goes on if its client leaves, or the connection is given up."""
        task = spawn(self._node.reload(), "reload")
        await asyncio.wait([task])
        if task.cancelled() or task.exception() is not None:
            return Failed(id=number, reason="the reload failed: the log says why")
        return ReloadAnswer(id=number, reload=task.result())

    async def _tell_end(self, connection: "_Connection", number: int) -> None:
        while not self._ended.done():
            await connection.send(Progress(id=number, clients=await self._clients_left()))
            await asyncio.wait([self._ended], timeout=PROGRESS_INTERVAL_S)
        await connection.send(Stopped(id=number, ok=self._ended.result()))

    async def _clients_left(self) -> int | None:
        try:
            figures = await self._node.stats()
        except WorkerUnavailableError:
            return None
        return sum(int(own.get("client_connections", 0)) for own in figures.values())


class _GoneError(Exception):
    """The connection is of no more use."""


class _Connection:
    """One command's connection. All its waits are bounded."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._channel: Channel[Answer, Request] = Channel(
            reader, writer, Request, MAX_REQUEST_BYTES
        )
        self.is_busy = False  # a request is being answered

    @property
    def has_left(self) -> bool:
        """Whether the peer has closed its end."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def receive(self) -> Request | None:
        """The next request; None at the end. Raises _GoneError if none comes in time, or what comes
        can't be read, which the peer is told."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await self._channel.receive()
        except TimeoutError:
            raise _GoneError from None
        except ChannelError as error:
            reason = f"this Forebay ({__version__}) does not understand: {error}"
            await self.send(Failed(id=0, reason=reason))
            raise _GoneError from None

    async def send(self, answer: Answer) -> None:
        """Raises _GoneError if the peer has gone, or does not read."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                if await self._channel.send(answer):
                    return
        except TimeoutError:
            pass
        raise _GoneError

    async def close(self) -> None:
        """Let what was said get out, but not for long."""
        self._channel.close()
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._channel.wait_closed()
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Close it now."""
        self._writer.transport.abort()
