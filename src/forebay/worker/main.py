"""The worker's process: the channel to the node on one side, the data plane on the other.

Started by the node as ``python -m forebay.worker CHANNEL_FD DESCRIPTORS_FD`` in a session of its
own, so that Ctrl-C at the terminal reaches the node alone. If the node dies, the worker keeps
serving with what it has until SIGTERM, which it then drains on by itself.
"""

import asyncio
import gc
import importlib
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Protocol

from forebay import logs
from forebay.channel import (
    Applied,
    Apply,
    Begin,
    Calls,
    Channel,
    ChannelError,
    Drain,
    Drained,
    Evacuate,
    Evacuated,
    Hint,
    Looking,
    NodeMessage,
    NodeRequest,
    Notice,
    Reopen,
    Routes,
    WorkerAnswer,
    WorkerMessage,
    take_descriptors,
    worker_end,
)
from forebay.channel.descriptors import TIMEOUT_S as DESCRIPTORS_TIMEOUT_S
from forebay.net.tasks import spawn
from forebay.sql.known_answers import require_right_reading
from forebay.worker.asking import AskNode
from forebay.worker.evacuation import Evacuator

log = logging.getLogger("forebay.worker")

# How much longer than its timeout a drain may take before the process ends regardless.
DRAIN_GRACE_S = 2.0
# Descriptors that are neither clients nor database connections: listeners, channel, logs, epoll.
SPARE_DESCRIPTORS = 64
# Lines of the log that are told to those who look on.
NEWS_PER_S = 20
NEWS_CHARACTERS = 500
# An unlimited hard limit is no number to ask for everywhere (macOS refuses it).
MANY_DESCRIPTORS = 1_048_576


class Plane(Protocol):
    """The data plane, as the process drives it (`forebay.worker.dataplane.DataPlane`).

    What its ``evacuator`` and ``hint`` tell goes to the node, too.
    """

    evacuator: Evacuator
    hint: Callable[[Hint], bool]

    def begin(self, begin: Begin) -> None:
        """Comes before the first steps."""

    def route(self, routes: Routes) -> None:
        """Which servers write now. May come before the first steps."""

    async def apply(self, steps: Apply, passed: Mapping[int, socket.socket]) -> None:
        """Take all steps, or none; the first ones start serving. Raises with a reason when nothing
        was changed. `passed`: listening sockets that come along, which are the plane's now."""

    async def drain(self, timeout_s: float) -> None:
        """Accept nobody, finish transactions, close everything within ``timeout_s``. May be
        called again, with less time, while the first call is still under way."""

    async def answer(self, request: Looking) -> WorkerAnswer:
        """Tell what is so now. Raises ValueError if there is no such proxy."""


PlaneFactory = Callable[[asyncio.AbstractEventLoop, AskNode], Plane]
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


class WorkerProcess:
    """What the node says, done; what the data plane says, told.

    ``descriptors`` is where listening sockets come from.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        make_plane: PlaneFactory,
        channel: Channel[WorkerMessage, NodeMessage],
        descriptors: socket.socket,
    ) -> None:
        self._channel = channel
        self._descriptors = descriptors
        self._calls = Calls(channel, "node", self._answer, self._hear)
        self._plane = make_plane(loop, self._calls.ask)
        self._plane.evacuator.tell = channel.post
        self._plane.hint = channel.post
        self._onlooker = logs.OnlookerHandler(self._tell_onlookers, logging.WARNING, NEWS_PER_S)
        self._applying = asyncio.Lock()
        self._drain_timeout_s: float | None = None  # None: nothing is served yet
        self._signals = 0
        self._ended = asyncio.Event()
        self._exit_code = 0

    async def run(self) -> int:
        """Serve until drained. Returns the exit code."""
        listener = spawn(self._listen(), "node channel")
        logging.getLogger("forebay").addHandler(self._onlooker)
        try:
            await self._ended.wait()
        finally:
            logging.getLogger("forebay").removeHandler(self._onlooker)
            listener.cancel()
        await self._channel.send(Drained())
        self._descriptors.close()
        self._channel.close()
        await self._channel.wait_closed()
        return self._exit_code

    def on_terminate(self) -> None:
        """SIGTERM: drain as the node would ask for; the second time at once."""
        self._signals += 1
        timeout_s = self._drain_timeout_s if self._signals == 1 else 0.0
        log.info("SIGTERM: draining", extra={"fields": {"timeout_s": timeout_s or 0}})
        spawn(self._drain(timeout_s or 0.0))

    def _tell_onlookers(self, level: str, text: str) -> None:
        self._channel.post(Notice(level=level, text=text[:NEWS_CHARACTERS]))

    async def _listen(self) -> None:
        try:
            await self._calls.run()
        except ChannelError as error:
            log.error("The node's channel can't be used: %s", error)
        if self._drain_timeout_s is None:
            self._end(1)
        elif not self._ended.is_set():
            log.warning("The node is gone; serving on with what is known, until SIGTERM")

    def _hear(self, message: NodeMessage) -> None:
        match message:
            case Begin():
                self._plane.begin(message)
            case Drain(timeout_s=timeout_s):
                spawn(self._drain(timeout_s))
            case Routes():
                self._plane.route(message)
            case Evacuate() | Evacuated() | Reopen():
                self._plane.evacuator.hear(message)

    async def _answer(self, request: NodeRequest) -> WorkerAnswer:
        match request:
            case Apply():
                async with self._applying:
                    return await self._apply(request)
        return await self._plane.answer(request)

    async def _apply(self, steps: Apply) -> Applied:
        is_first = self._drain_timeout_s is None
        try:
            taken = take_descriptors(self._descriptors, len(steps.passed))
            sockets = [socket.socket(fileno=each) for each in taken]
            passed = dict(zip(steps.passed, sockets, strict=True))
            if is_first:
                require_right_reading()
            await self._plane.apply(steps, passed)
        except Exception:
            if is_first:
                asyncio.get_running_loop().call_soon(self._end, 1)
            raise
        self._drain_timeout_s = steps.drain_timeout_s
        for each in (*steps.open, *steps.change):
            _warn_about_descriptors(each.settings.max_client_connections)
        return Applied()

    async def _drain(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s + DRAIN_GRACE_S):
                await self._plane.drain(timeout_s)
        except TimeoutError:
            log.error("Draining took longer than %g s; ending anyway", timeout_s + DRAIN_GRACE_S)
            self._end(1)
        except Exception:
            log.exception("Draining failed; ending anyway")
            self._end(1)
        self._end(0)

    def _end(self, exit_code: int) -> None:
        if not self._ended.is_set():
            self._exit_code = exit_code
            self._ended.set()


def raise_descriptor_limit() -> int:
    """Allow this process as many descriptors as it may have. Returns how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY_DESCRIPTORS if hard == resource.RLIM_INFINITY else hard
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft if soft != resource.RLIM_INFINITY else MANY_DESCRIPTORS
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted


def _warn_about_descriptors(wanted: int) -> None:
    limit = raise_descriptor_limit()
    if wanted + SPARE_DESCRIPTORS > limit:
        log.warning(
            "The limit of open files is too small for max_client_connections",
            extra={"fields": {"limit": limit, "max_client_connections": wanted}},
        )


def relay_loop() -> asyncio.AbstractEventLoop:
    """asyncio's loop on the relay's selector."""
    relay = importlib.import_module("forebay.relay")  # compiled: not there in every test
    return asyncio.SelectorEventLoop(relay.Relay())


def _data_plane(loop: asyncio.AbstractEventLoop, ask: AskNode) -> Plane:
    dataplane = importlib.import_module("forebay.worker.dataplane")
    # Modules stay for good: for the collector to walk over them holds up traffic for 10 ms.
    gc.collect()
    gc.freeze()
    plane: Plane = dataplane.DataPlane(loop, ask)
    return plane


def run(
    channel_fd: int,
    descriptors_fd: int,
    *,
    make_loop: LoopFactory = relay_loop,
    make_plane: PlaneFactory = _data_plane,
) -> int:
    """Be the worker on these inherited sockets until drained. Returns the exit code."""

    async def serve() -> int:
        loop = asyncio.get_running_loop()
        os.set_inheritable(channel_fd, False)
        os.set_inheritable(descriptors_fd, False)
        channel = await worker_end(socket.socket(fileno=channel_fd))
        descriptors = socket.socket(fileno=descriptors_fd)
        descriptors.settimeout(DESCRIPTORS_TIMEOUT_S)
        process = WorkerProcess(loop, make_plane, channel, descriptors)
        loop.add_signal_handler(signal.SIGTERM, process.on_terminate)
        return await process.run()

    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(serve())


def main(arguments: list[str] | None = None) -> int:
    """``python -m forebay.worker CHANNEL_FD DESCRIPTORS_FD``. Returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 2 or not all(each.isdigit() for each in arguments):
        sys.stderr.write("forebay.worker is started by forebay serve\n")
        return 2
    logs.set_up()
    logs.log_uncaught()
    log.debug("started", extra={"fields": {"descriptor_limit": raise_descriptor_limit()}})
    return run(*map(int, arguments))
