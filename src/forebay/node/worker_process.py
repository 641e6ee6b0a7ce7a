"""One worker process, as the node sees it: started, configured, asked, drained, killed."""

import asyncio
import logging
import socket
import time
from collections.abc import Mapping, Sequence
from itertools import count

from forebay.channel import (
    Channel,
    ChannelError,
    Configure,
    Drain,
    Drained,
    Evacuate,
    Evacuated,
    EvacuationMessage,
    NodeMessage,
    Notice,
    Ready,
    Refused,
    Reopen,
    Stats,
    StatsRequest,
    WorkerMessage,
    node_end,
)
from forebay.net.tasks import spawn
from forebay.node.evacuations import Evacuations

log = logging.getLogger("forebay.node")

# A worker that closed its channel is ending; if it does not, it is helped.
END_TIMEOUT_S = 5.0

Answer = Ready | Stats


class WorkerError(Exception):
    """The worker died, refused or kept silent; the text says which."""


class WorkerProcess:
    """A running worker. Make one with `start`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        channel: Channel[NodeMessage, WorkerMessage],
        evacuations: Evacuations,
    ) -> None:
        self._process = process
        self._channel = channel
        self._numbers = count(1)
        self._expected: dict[tuple[str, int], asyncio.Future[Answer]] = {}
        self._is_gone = False
        self.started_at = time.time()
        self.drained = False
        self._evacuations = evacuations
        evacuations.join(self)
        self._reader = spawn(self._read(), f"worker {process.pid}")

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        pass_fds: Sequence[int],
        environ: Mapping[str, str],
        evacuations: Evacuations,
    ) -> "WorkerProcess":
        """Start ``command`` with the channel's descriptor as its last argument. ``evacuations``:
        how it hears of the node's other workers.

        A session of its own keeps the terminal's Ctrl-C away from it (and gives it a scheduling
        group of its own). Raises WorkerError when it can't be started.
        """
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise WorkerError(f"the worker can't be started: {error}") from None
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=[*pass_fds, theirs.fileno()],
                env=dict(environ),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            ours.close()
            raise WorkerError(f"the worker can't be started: {error}") from None
        finally:
            theirs.close()
        return cls(process, await node_end(ours), evacuations)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def configure(self, message: Configure, timeout_s: float) -> list[str]:
        """Put a configuration in force. Returns what could not be changed while running."""
        answer = await self._ask(message, ("ready", message.generation), timeout_s)
        assert isinstance(answer, Ready)  # noqa: S101 - the key says so
        return answer.unchanged

    async def stats(self, timeout_s: float) -> dict[str, dict[str, int | float]]:
        """Counters and gauges by proxy. Raises WorkerError."""
        number = next(self._numbers)
        answer = await self._ask(StatsRequest(id=number), ("stats", number), timeout_s)
        assert isinstance(answer, Stats)  # noqa: S101 - the key says so
        return answer.proxies

    def drain(self, timeout_s: float) -> None:
        """Ask it to end within ``timeout_s``; again, with less, to hurry it up."""
        self._channel.post(Drain(timeout_s=timeout_s))

    def post(self, message: EvacuationMessage) -> bool:
        """Tell the worker what clients of it, or of another, need. Returns False if it is gone, or
        far behind."""
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

    async def _ask(self, message: NodeMessage, key: tuple[str, int], timeout_s: float) -> Answer:
        if self._is_gone:
            raise WorkerError("the worker has ended")
        future = asyncio.get_running_loop().create_future()
        self._expected[key] = future
        try:
            async with asyncio.timeout(timeout_s):
                await self._channel.send(message)
                answer: Answer = await future
                return answer
        except TimeoutError:
            raise WorkerError(f"the worker did not answer within {timeout_s:g} s") from None
        finally:
            del self._expected[key]

    async def _read(self) -> None:
        try:
            while (message := await self._channel.receive()) is not None:
                self._take(message)
        except ChannelError as error:
            log.error("The worker said what can't be read: %s", error)
            self.kill()
        self._is_gone = True
        self._evacuations.leave(self)
        for future in self._expected.values():
            if not future.done():
                future.set_exception(WorkerError("the worker has ended"))
        self._channel.close()
        await self._channel.wait_closed()
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            log.error("Worker %d closed its channel but did not end; killing it", self.pid)
            self.kill()

    def _take(self, message: WorkerMessage) -> None:
        match message:
            case Ready(generation=number):
                self._answer(("ready", number), message)
            case Refused(generation=number, reason=reason):
                self._fail(("ready", number), WorkerError(reason))
            case Stats(id=number):
                self._answer(("stats", number), message)
            case Drained():
                self.drained = True
            case Evacuate() | Evacuated() | Reopen():
                self._evacuations.take(self, message)
            case Notice(event=event, proxy=proxy, fields=fields):
                log.info(event, extra={"fields": {"proxy": proxy, **fields}})

    def _answer(self, key: tuple[str, int], answer: Answer) -> None:
        future = self._expected.get(key)
        if future is not None and not future.done():
            future.set_result(answer)

    def _fail(self, key: tuple[str, int], error: WorkerError) -> None:
        future = self._expected.get(key)
        if future is not None and not future.done():
            future.set_exception(error)
