"""Keeps a worker running that does what is desired.

What is desired is the whole of it, by proxy. It is held against what the worker is known to do, and
the worker is told the difference. One that has died is replaced by one that is told everything.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from itertools import count

from forebay.channel import Begin, Routes, WorkerProxy
from forebay.node.difference import difference
from forebay.node.doors import Doors
from forebay.node.evacuations import Evacuations
from forebay.node.events import Events
from forebay.node.worker_process import AnswerWorker, HearHint, WorkerError, WorkerProcess

log = logging.getLogger("forebay.node")

# Keys for thousands of users are derived in it, on a slow machine.
APPLY_TIMEOUT_S = 300.0
# How soon a drain notices that another one brought its deadline forward.
DEADLINE_CHECK_S = 0.2
# A worker that dies at once must not be restarted in a spin; one that had run well, at once.
RESTART_DELAY_S = 0.1
RESTART_DELAY_MAX_S = 10.0
RAN_WELL_S = 30.0


class Supervisor:
    """The worker of a node, and what it is to do. ``environ``: what a worker inherits; ``answer``:
    what it is told when it asks; ``routes``: where its connections lead; ``hear_hint``: who hears
    what it sees of database servers."""

    def __init__(
        self,
        command: Sequence[str],
        environ: Callable[[], Mapping[str, str]],
        doors: Doors,
        answer: AnswerWorker,
        events: Events,
        routes: Callable[[], Routes],
        hear_hint: HearHint,
    ) -> None:
        self._command = command
        self._environ = environ
        self._doors = doors
        self._answer = answer
        self._events = events
        self._routes = routes
        self._hear_hint = hear_hint
        self._evacuations = Evacuations()
        self._cancel_secret = secrets.token_bytes(32)
        self._numbers = count(secrets.randbelow(1 << 16))
        self._changing = asyncio.Lock()
        self._drain_timeout_s = 0.0
        self._desired: Mapping[str, WorkerProxy] = {}
        self._present: Mapping[str, WorkerProxy] = {}  # what the worker has taken over
        self.worker: WorkerProcess | None = None
        self.restarts = 0  # workers started because another had died
        self.is_ending = False

    async def start(self, desired: Mapping[str, WorkerProxy], drain_timeout_s: float) -> None:
        """Start the first worker; returns when it serves. Raises WorkerError, and none is left."""
        self._desired, self._drain_timeout_s = desired, drain_timeout_s
        await self._start()

    async def apply(self, desired: Mapping[str, WorkerProxy], drain_timeout_s: float) -> None:
        """This is to be done from now on. Returns when it is. Raises WorkerError if the worker
        refuses, and then all is as before."""
        async with self._changing:
            if self.worker is not None:
                steps = difference(self._present, desired, drain_timeout_s)
                if not steps.is_empty or drain_timeout_s != self._drain_timeout_s:
                    passed = self._doors.descriptors(steps.passed)
                    await self.worker.apply(steps, passed, APPLY_TIMEOUT_S)
                self._present = desired
            self._desired, self._drain_timeout_s = desired, drain_timeout_s

    def tell(self, routes: Routes) -> bool:
        """Where connections lead now. Returns False if the worker is too far behind to be told; one
        that is started later is told by itself."""
        return self.worker is None or self.worker.post(routes)

    async def _start(self) -> None:
        async with self._changing:
            worker = await WorkerProcess.start(
                self._command,
                self._environ(),
                self._evacuations,
                self._answer,
                self._events,
                self._hear_hint,
            )
            self.worker, self._present = worker, {}
            number = next(self._numbers)
            worker.begin(Begin(worker_number=number, cancel_secret=self._cancel_secret))
            worker.post(self._routes())
            steps = difference({}, self._desired, self._drain_timeout_s)
            await worker.apply(steps, self._doors.descriptors(steps.passed), APPLY_TIMEOUT_S)
            self._present = self._desired

    async def run(self) -> None:
        """Replace each worker that dies, until it is to end."""
        loop = asyncio.get_running_loop()
        delay_s = RESTART_DELAY_S
        started = loop.time()
        worker = self.worker
        while worker is not None:
            code = await worker.wait()
            if self.is_ending:
                return
            self.worker = None
            delay_s = RESTART_DELAY_S if loop.time() - started > RAN_WELL_S else delay_s
            how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            fields = {"worker_pid": worker.pid, "delay_s": delay_s}
            log.error("The worker %s; starting another", how, extra={"fields": fields})
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, RESTART_DELAY_MAX_S)
            started = loop.time()
            worker = await self._restart(worker)

    async def _restart(self, old: WorkerProcess) -> WorkerProcess:
        """Returns the new worker; one that failed at once is returned too, as good as dead."""
        try:
            self.restarts += 1
            await self._start()
        except WorkerError as error:
            if not self.is_ending:
                log.error("The new worker can't serve: %s", error)
            if self.worker is None:
                return old
            self.worker.kill()
            return self.worker
        assert self.worker is not None  # noqa: S101 - it was started
        log.info("Another worker serves", extra={"fields": {"worker_pid": self.worker.pid}})
        return self.worker

    async def end(self, deadline: Callable[[], float]) -> bool:
        """Wait until the worker has ended; at the deadline (the loop's time, which may be brought
        forward meanwhile) it is killed. Returns whether it had ended by itself."""
        worker = self.worker
        if worker is None:
            return True
        loop = asyncio.get_running_loop()
        end = asyncio.ensure_future(worker.wait())
        ended_itself = True
        while not end.done():
            left_s = deadline() - loop.time()
            if left_s <= 0:
                if ended_itself and self.is_ending:
                    log.error("The worker did not end in time; killing it")
                worker.kill()
                ended_itself = False
                await asyncio.wait([end])
            else:
                await asyncio.wait([end], timeout=min(left_s, DEADLINE_CHECK_S))
        self.worker = None
        # Its last word may be lost: a socket that is closed with something unread is reset.
        return ended_itself and (worker.drained or end.result() == 0)
