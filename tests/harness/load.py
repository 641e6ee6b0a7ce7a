"""Clients that keep a proxy busy from threads, and keep account of what has failed."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg

from tests.harness.waiting import eventually

JOIN_TIMEOUT_S = 60.0


class Load:
    """Some clients that all do the same, again and again, each in a thread of its own.

    ``turn`` is one turn of a client's, which is given its number; what it raises is kept in
    `failures`, and the client goes on, until `end`. ``close`` is called then.
    """

    def __init__(
        self, clients: int, turn: Callable[[int], Any], close: Callable[[], Any] = lambda: None
    ) -> None:
        self._turn = turn
        self._close = close
        self._turns = [0] * clients
        self._ending = threading.Event()
        self.failures: list[str] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        while not self._ending.is_set():
            try:
                self._turn(number)
            except Exception as error:  # noqa: BLE001 - the test looks at them
                self.failures.append(f"client {number}: {type(error).__name__}: {error}".strip())
            self._turns[number] += 1

    def go_on(self, turns: int = 2, timeout_s: float = 60.0) -> None:
        """Waits until each client has begun and ended so many more turns; fails as soon as anything
        of them has failed."""
        wanted = [count + turns for count in self._turns]

        def have_gone_on() -> bool:
            assert self.failures == []
            return all(map(int.__ge__, self._turns, wanted))

        eventually(have_gone_on, "every client goes on", timeout_s)

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT_S)
        self._close()
        assert not any(thread.is_alive() for thread in self._threads), "a client hangs"


@contextlib.contextmanager
def under_load(*loads: Load) -> Iterator[None]:
    """Ends them, and fails if anything of them has failed."""
    try:
        yield
    finally:
        for load in loads:
            load.end()
    assert [failure for load in loads for failure in load.failures] == []


def statements(clients: int, connect: Callable[[int], "psycopg.Connection[Any]"]) -> Load:
    """Clients that stay connected: in each turn one asks something, once alone, and once in a
    transaction. One that has lost its connection counts as failed, and connects again."""
    open_ones: dict[int, psycopg.Connection[Any]] = {}

    def turn(number: int) -> None:
        connection = open_ones.get(number)
        if connection is None or connection.closed:
            connection = open_ones[number] = connect(number)
        found = connection.execute("SELECT %s::int", (number,)).fetchone()
        assert found == (number,), found
        with connection.transaction():
            connection.execute("SELECT 1")
            found = connection.execute("SELECT %s::int", (-number,)).fetchone()
            assert found == (-number,), found

    def close() -> None:
        for connection in open_ones.values():
            connection.close()

    return Load(clients, turn, close)


def logins(clients: int, connect: Callable[[int], "psycopg.Connection[Any]"]) -> Load:
    """Clients that come, ask something, and go."""

    def turn(number: int) -> None:
        with contextlib.closing(connect(number)) as connection:
            found = connection.execute("SELECT %s::int", (number,)).fetchone()
            assert found == (number,), found

    return Load(clients, turn)
