"""One worker process, as the node sees it: started, configured, asked, drained, killed."""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from forebay.channel import (
    Applied,
    Apply,
    Begin,
    CallError,
    Calls,
    Channel,
    ChannelError,
    Drain,
    Drained,
    Evacuate,
    Evacuated,
    EvacuationMessage,
    Hint,
    Looking,
    NodeAnswer,
    NodeMessage,
    Notice,
    Reopen,
    Routes,
    SilenceError,
    WorkerMessage,
    WorkerRequest,
    node_end,
    pass_descriptors,
)
from forebay.net.tasks import spawn
from forebay.node.evacuations import Evacuations
from forebay.node.events import Events

log = logging.getLogger("forebay.node")

# A worker that closed its channel is ending; if it does not, it is helped.
END_TIMEOUT_S = 5.0

T = TypeVar("T")

AnswerWorker = Callable[[WorkerRequest], Awaitable[NodeAnswer]]
HearHint = Callable[[Hint], None]


class WorkerError(Exception):
    """The worker died, refused or kept silent; the text says which."""


class WorkerProcess:
    """A running worker. Make one with `start`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        channel: Channel[NodeMessage, WorkerMessage],
        descriptors: socket.socket,
        evacuations: Evacuations,
        answer: AnswerWorker,
        events: Events,
        hear_hint: HearHint,
    ) -> None:
        self._process = process
        self._channel = channel
        self._descriptors = descriptors
        self._calls = Calls(channel, "worker", answer, self._hear)
        self.started_at = time.time()
        self.drained = False
        self._events = events
        self._hear_hint = hear_hint
        self._evacuations = evacuations
        evacuations.join(self)
        self._reader = spawn(self._read(), f"worker {process.pid}")

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        environ: Mapping[str, str],
        evacuations: Evacuations,
        answer: AnswerWorker,
        events: Events,
        hear_hint: HearHint,
    ) -> "WorkerProcess":
        """Start ``command`` with the channel's descriptors as its last arguments. ``evacuations``:
        how it hears of the node's other workers; ``answer``: what it is told when it asks;
        ``events``: where its news go; ``hear_hint``: who hears what it sees of database servers.

        A session of its own keeps the terminal's Ctrl-C away from it (and gives it a scheduling
        group of its own). Raises WorkerError when it can't be started.
        """
        pairs: list[tuple[socket.socket, socket.socket]] = []
        try:
            pairs += (socket.socketpair(),)
            pairs += (socket.socketpair(),)
            theirs = [pair[1].fileno() for pair in pairs]
            process = await asyncio.create_subprocess_exec(
                *command,
                *map(str, theirs),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=theirs,
                env=dict(environ),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            for pair in pairs:
                pair[0].close()
            raise WorkerError(f"the worker can't be started: {error}") from None
        finally:
            for pair in pairs:
                pair[1].close()
        (ours, _), (descriptors, _) = pairs
        descriptors.setblocking(False)
        channel = await node_end(ours)
        return cls(process, channel, descriptors, evacuations, answer, events, hear_hint)

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self, begin: Begin) -> None:
        """The first that it is told."""
        self._calls.tell(begin)

    async def apply(self, steps: Apply, descriptors: Sequence[int], timeout_s: float) -> None:
        """Let it take these steps; ``descriptors`` are those of ``steps.passed``. Raises
        WorkerError if it has taken none of them."""
        try:
            pass_descriptors(self._descriptors, descriptors)
        except (BrokenPipeError, ConnectionResetError):
            raise WorkerError("the worker has ended") from None
        except OSError as error:
            raise WorkerError(f"the listening sockets can't be passed: {error}") from None
        try:
            await self._calls.ask(steps, Applied, timeout_s)
        except SilenceError as error:
            self.kill()  # nobody knows what it does now; another one will do as before
            raise WorkerError(f"{error}; it is replaced") from None
        except CallError as error:
            raise WorkerError(str(error)) from None

    async def ask(self, request: Looking, expected: type[T], timeout_s: float) -> T:
        """What is so in the worker now. Raises WorkerError."""
        try:
            return await self._calls.ask(request, expected, timeout_s)
        except CallError as error:
            raise WorkerError(str(error)) from None

    def drain(self, timeout_s: float) -> None:
        """Ask it to end within ``timeout_s``; again, with less, to hurry it up."""
        self._channel.post(Drain(timeout_s=timeout_s))

    def post(self, message: EvacuationMessage | Routes) -> bool:
        """Tell the worker what clients of it, or of another, need, or which servers write. Returns
        False if it is gone, or far behind."""
        return self._channel.post(message)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process.returncode is None:
            self._process.kill()

    async def wait(self) -> int:
        """Return its exit code once it has ended (negative: the signal that ended it)."""
        code = await self._process.wait()
        # What it said last may still be in the socket: read to the end before judging.
        await asyncio.wait([self._reader])
        return code

    async def _read(self) -> None:
        try:
            await self._calls.run()
        except ChannelError as error:
            log.error("The worker said what can't be read: %s", error)
            self.kill()
        self._evacuations.leave(self)
        self._descriptors.close()
        self._channel.close()
        await self._channel.wait_closed()
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            log.error("Worker %d closed its channel but did not end; killing it", self.pid)
            self.kill()

    def _hear(self, message: WorkerMessage) -> None:
        match message:
            case Drained():
                self.drained = True
            case Evacuate() | Evacuated() | Reopen():
                self._evacuations.take(self, message)
            case Hint():
                self._hear_hint(message)
            case Notice(level=level, text=text):
                self._events.add(level, text)
