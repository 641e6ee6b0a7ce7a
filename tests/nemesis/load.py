"""Many clients at work, on an event loop in a thread of its own, and the history of what they did.

Some are idle; some write with single statements, in the simple and the extended protocol; some
write in transactions; some keep something in their session that pins it. Each write is (client,
seq), and no client writes a seq twice, whatever happened to it.
"""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Self

from tests.harness.waiting import eventually
from tests.nemesis.account import Op, Outcome, outcome_of_commit, outcome_of_statement
from tests.nemesis.session import Answer, LostError, Session

Connect = Callable[[bool], Awaitable[Session]]
"""Opens a connection; the argument: whether to speak the extended protocol. Raises LostError."""
Turn = Callable[[Session, int, int, str], Awaitable[tuple[Op, bool]]]
"""One write of a client's, with its number, its seq and its kind: what became of it, and whether
the connection is gone."""

RETRY_S = 0.05
RECENT_OPS = 2000
CONNECT_TIMEOUT_S = 60.0
END_TIMEOUT_S = 150.0
THREAD_TIMEOUT_S = 180.0


@dataclass(frozen=True, slots=True)
class Shape:
    """How many clients of each kind. ``think_s``: between two writes of a client, about.
    ``busy``: single statements for which a server computes for a while before it writes."""

    idle: int = 20
    autocommit: int = 12
    transactions: int = 8
    pinned: int = 0
    busy: int = 0
    think_s: float = 0.05

    @property
    def clients(self) -> int:
        return self.idle + self.autocommit + self.transactions + self.pinned + self.busy


SMALL = Shape()
WHOLE = Shape(idle=100, autocommit=60, transactions=40, think_s=0.1)


@dataclass(slots=True)
class History:
    """What the clients did and saw. ``refused``: logins that failed, by SQLSTATE. ``dropped``: how
    idle clients lost their connection. All is complete when the load has ended."""

    ops: list[Op] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    dropped: list[str] = field(default_factory=list)
    hung: int = 0  # clients that got no answer at all
    mistakes: list[str] = field(default_factory=list)  # of the rig itself


def insert(client: int, seq: int, part: int = 0) -> str:
    return f"INSERT INTO writes VALUES ({client}, {seq}, {part}) RETURNING port"


def busy_insert(client: int, seq: int, rows: int = 400_000) -> str:
    """One that computes for some 100 ms without looking at anything else, then writes."""
    return (
        f"INSERT INTO writes SELECT {client}, {seq}, 0"
        f" FROM (SELECT count(*) AS c FROM generate_series(1, {rows})) AS s WHERE c > 0"
        " RETURNING port"
    )


class Load:
    """``with Load(connect, shape) as load:`` starts all clients, and waits until each is in.

    ``end`` lets what is under way end; afterwards `history` is complete.
    """

    def __init__(self, connect: Connect, shape: Shape = SMALL, seed: int = 0) -> None:
        self.history = History()
        self.shape = shape
        self._connect = connect
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._ending = asyncio.Event()
        self._clients: list[asyncio.Task[None]] = []
        self._in = 0  # clients that have logged in
        self._ended = False

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._call(self._begin())
            eventually(self._are_all_in, "all clients are in", timeout_s=CONNECT_TIMEOUT_S)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def end(self, patience_s: float = END_TIMEOUT_S) -> History:
        """Has each client finish what it is at, and leave; who is not answered by then hangs."""
        if not self._ended:
            self._ended = True
            self._call(self._finish(patience_s))
        return self.history

    def close(self) -> None:
        """Ends it, however; idempotent."""
        if not self._thread.is_alive():
            return
        try:
            self._call(self._abandon())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(THREAD_TIMEOUT_S)
            self._loop.close()

    def successes(self) -> int:
        """How many writes were acknowledged so far."""
        return sum(op.outcome == "ok" for op in list(self.history.ops))

    def go_on(self, writes: int, timeout_s: float = 60.0) -> None:
        """Waits for so many more writes that are acknowledged."""
        wanted = self.successes() + writes
        eventually(lambda: self.successes() >= wanted, f"{writes} writes", timeout_s)

    def wait_for_port(self, port: int, after_s: float, timeout_s: float = 60.0) -> None:
        """Waits until this server has acknowledged a write after this time."""

        def look() -> bool:
            recent = self.history.ops[-RECENT_OPS:]
            return any(op.port == port and op.ended_s >= after_s for op in recent)

        eventually(look, f"a write on port {port}", timeout_s)

    # -- on the loop ------------------------------------------------------------------------------

    def _are_all_in(self) -> bool:
        assert not self.history.mistakes, self.history.mistakes[0]
        return self._in >= self.shape.clients

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(THREAD_TIMEOUT_S)

    async def _begin(self) -> None:
        shape = self.shape
        kinds: list[tuple[str, Turn]] = [("autocommit", statement)] * shape.autocommit
        kinds += [("transaction", transaction)] * shape.transactions
        kinds += [("pinned", statement)] * shape.pinned
        kinds += [("busy", busy)] * shape.busy
        lives = [self._work(number, kind, turn) for number, (kind, turn) in enumerate(kinds)]
        lives += [self._rest(number) for number in range(len(lives), shape.clients)]
        self._clients = [self._loop.create_task(self._guarded(life)) for life in lives]

    async def _guarded(self, life: Coroutine[Any, Any, None]) -> None:
        try:
            await life
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - a mistake of the rig's fails the test
            self.history.mistakes.append(f"{type(error).__name__}: {error}")

    async def _finish(self, patience_s: float) -> None:
        self._ending.set()
        _, late = await asyncio.wait(self._clients, timeout=patience_s)
        self.history.hung = len(late)
        await self._abandon()

    async def _abandon(self) -> None:
        self._ending.set()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    # -- clients ----------------------------------------------------------------------------------

    async def _open(self, number: int, pinned: bool = False) -> Session | None:
        """A session, as soon as there is one; None at the end."""
        while not self._ending.is_set():
            try:
                session = await self._connect(number % 2 == 1)
                if pinned:
                    # Something that only this server knows, until the session ends.
                    answer = await session.ask(f"SELECT pg_advisory_lock({number})")
                    if answer.sqlstate:
                        session.close()
                        raise LostError(answer.sqlstate, answer.text)
                return session
            except LostError as error:
                self.history.refused[error.sqlstate] += 1
                await asyncio.sleep(RETRY_S)
        return None

    async def _rest(self, number: int) -> None:
        """One that asks once, waits for the end, and asks again."""
        session = await self._open(number)
        if session is None:
            return
        try:
            await session.ask("SELECT 1")
            self._in += 1
            end = self._loop.create_task(session.wait_for_end())
            leave = self._loop.create_task(self._ending.wait())
            await asyncio.wait([end, leave], return_when=asyncio.FIRST_COMPLETED)
            for task in (end, leave):
                task.cancel()
            await asyncio.gather(end, leave, return_exceptions=True)
            if end.done() and not end.cancelled():
                self.history.dropped.append(end.result())
                return
            answer = await session.ask("SELECT 1")
            if answer.rows != [["1"]]:
                self.history.dropped.append(f"{answer.sqlstate}: {answer.text}")
        except LostError as error:
            self.history.dropped.append(str(error))
        finally:
            session.close()

    async def _work(self, number: int, kind: str, turn: Turn) -> None:
        """One that writes again and again, and connects again when it has to."""
        session: Session | None = None
        seq = 0
        first = True
        try:
            while not self._ending.is_set():
                if session is None:
                    session = await self._open(number, pinned=kind == "pinned")
                    if session is None:
                        return
                    self._in += first
                    first = False
                began_s = time.monotonic()
                try:
                    op, is_lost = await turn(session, number, seq, kind)
                except asyncio.CancelledError:
                    self.history.ops.append(hanging(number, seq, kind, began_s))
                    raise
                self.history.ops.append(op)
                seq += 1
                if is_lost:
                    session.close()
                    session = None
                await asyncio.sleep(self.shape.think_s * self._random.uniform(0.5, 1.5))
        finally:
            if session is not None:
                session.close()


def hanging(client: int, seq: int, kind: str, began_s: float) -> Op:
    """A write that nobody has answered when the load was ended."""
    parts = 2 if kind == "transaction" else 1
    return Op(client, seq, kind, "info", began_s, time.monotonic(), parts, sqlstate="hung")


async def statement(session: Session, client: int, seq: int, kind: str) -> tuple[Op, bool]:
    """A write by one statement."""
    return await single(session, client, seq, kind, insert(client, seq))


async def busy(session: Session, client: int, seq: int, kind: str) -> tuple[Op, bool]:
    """The same by one that computes before."""
    return await single(session, client, seq, kind, busy_insert(client, seq))


async def single(session: Session, client: int, seq: int, kind: str, sql: str) -> tuple[Op, bool]:
    """What becomes of a write by one statement, which returns the server's port."""
    began_s = time.monotonic()
    lost = False
    try:
        answer = await session.ask(sql)
    except LostError as error:
        lost, answer = True, Answer(sqlstate=error.sqlstate, text=error.text)
    outcome = outcome_of_statement(answer.sqlstate, lost)
    port = int(answer.rows[0][0] or 0) if outcome == "ok" else 0
    ended_s = time.monotonic()
    op = Op(client, seq, kind, outcome, began_s, ended_s, 1, port, answer.sqlstate, answer.text)
    return op, lost


async def transaction(session: Session, client: int, seq: int, kind: str) -> tuple[Op, bool]:
    """A write of two rows, which are both there or neither."""
    began_s = time.monotonic()
    port = 0

    def done(outcome: Outcome, sqlstate: str = "", text: str = "") -> Op:
        told = port if outcome == "ok" else 0
        ended_s = time.monotonic()
        return Op(client, seq, kind, outcome, began_s, ended_s, 2, told, sqlstate, text)

    try:
        for sql in ("BEGIN", insert(client, seq), insert(client, seq, 1)):
            answer = await session.ask(sql)
            if answer.sqlstate:
                # COMMIT was not sent: nothing of it can be there.
                if answer.status != "I":
                    await session.ask("ROLLBACK")
                return done("fail", answer.sqlstate, answer.text), False
            if answer.rows:
                port = int(answer.rows[0][0] or 0)
    except LostError as error:
        return done("fail", error.sqlstate, error.text), True
    lost, tag = False, ""
    try:
        answer = await session.ask("COMMIT")
        tag = answer.tags[-1] if answer.tags else ""
    except LostError as error:
        lost, answer = True, Answer(sqlstate=error.sqlstate, text=error.text)
    outcome = outcome_of_commit(answer.sqlstate, lost, tag)
    if not lost and answer.status != "I":
        # The transaction has failed, and is still open.
        try:
            await session.ask("ROLLBACK")
        except LostError:
            lost = True
    return done(outcome, answer.sqlstate, answer.text), lost
