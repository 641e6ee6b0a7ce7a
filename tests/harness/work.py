"""What the clients of several drivers do alike: an account book that must balance."""

import contextlib
import queue
import threading
from collections.abc import Callable

from tests.harness import Forebay

ACCOUNTS = 10
SCHEMA = f"""
    CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL DEFAULT 0);
    CREATE TABLE history (account int, delta int, client int);
    INSERT INTO account SELECT generate_series(1, {ACCOUNTS});
"""


def make_book(forebay: Forebay) -> None:
    """Creates the tables of the account book."""
    forebay.psql(SCHEMA).ok()


def assert_balanced(forebay: Forebay, entries: int) -> None:
    """The balances are what the history adds up to, which has so many entries."""
    found = forebay.psql(
        """SELECT count(*), coalesce(sum(delta), 0) = (SELECT sum(balance) FROM account),
            coalesce(bool_and(delta = 1), true) FROM history"""
    )
    assert found.ok().rows == [(str(entries), "t", "t")]


def in_threads(count: int, work: Callable[[int], None], timeout_s: float = 60.0) -> None:
    """Runs ``work(0)`` to ``work(count - 1)`` at once and raises the first error of any."""
    errors: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            errors.put(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout_s)
    with contextlib.suppress(queue.Empty):
        raise errors.get_nowait()
    assert not any(thread.is_alive() for thread in threads), f"not done within {timeout_s} s"
