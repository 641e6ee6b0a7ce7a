"""F3: all of the old primary stands still, connections to it stay open, and it wakes up later."""

import contextlib
import threading
from collections.abc import Callable

import psycopg2
import pytest

from tests.harness import Forebay, eventually
from tests.nemesis import faults
from tests.nemesis.conftest import Note
from tests.nemesis.load import Shape
from tests.nemesis.pair import LOGIN, Pair, Server
from tests.nemesis.rig import Rig, at

pytestmark = pytest.mark.nemesis


def written_beyond(old: Server, known: set[tuple[int, int, int]]) -> set[tuple[int, int, int]]:
    """The rows that one server has, and the other has not."""
    return old.rows().keys() - known


def test_a_server_that_stands_still(
    pair: Pair,
    watching_forebay: Callable[..., Forebay],
    shape: Shape,
    rounds: Callable[[int], int],
    note: Note,
) -> None:
    forebay = watching_forebay()
    with Rig(pair, at("Forebay", forebay.port), shape) as rig:
        for number in range(count := rounds(20)):
            rig.fail_over(faults.freeze)
            old = pair.standby
            # It no longer waits for a standby: whatever reaches it would be done, and told.
            old.configure(synchronous_standby_names="")
            old.thaw()
            rig.load.go_on(100)
            if number < count - 1:
                pair.rejoin()
        result = rig.finish()
        beyond = written_beyond(pair.standby, set(pair.primary.rows()))
    result.assert_clean()
    result.assert_idle_stayed()
    unknown = {row for op in result.history.ops if op.outcome == "info" for row in op.rows}
    # Only what was there before it stood still can have been written when it woke up.
    assert beyond <= unknown
    note("F3 SIGSTOP", result, first_success_ms=300, stall_ms=3000)


def test_a_postmaster_that_stands_still(
    pair: Pair, watching_forebay: Callable[..., Forebay], shape: Shape
) -> None:
    """Sessions there go on; the probe that needs a new connection is not answered: whether or not
    it counts as dead, the one that is promoted is the writer."""
    forebay = watching_forebay()
    with Rig(pair, at("Forebay", forebay.port), shape) as rig:
        rig.fail_over(faults.freeze_postmaster)
        pair.standby.thaw()
        rig.load.go_on(100)
        result = rig.finish()
    result.assert_clean()
    result.assert_idle_stayed()


@pytest.mark.parametrize(
    "proxy", [{}, {"in_transaction_error": "retryable"}], ids=["close", "retryable"]
)
def test_a_begin_that_nobody_has_answered_is_sent_to_the_next_writer(
    pair: Pair, watching_forebay: Callable[..., Forebay], proxy: dict[str, str]
) -> None:
    """psycopg2 takes a BEGIN that fails for none: a transaction that was open behind it, in which
    nothing is done but its end, would be open for ever."""
    forebay = watching_forebay(proxy=proxy)
    place = {"host": "127.0.0.1", "port": forebay.port, "dbname": LOGIN.name}
    connection = psycopg2.connect(user=LOGIN.user, password=LOGIN.password, **place)
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        connection.commit()
        faults.freeze(pair)
        asking = threading.Thread(target=cursor.execute, args=("INSERT INTO writes VALUES (1, 1)",))
        asking.start()  # BEGIN, to the server that says nothing
        eventually(lambda: forebay.logged("Requests wait"), "it is noticed")
        pair.promote()
        asking.join()
        connection.commit()
    assert pair.primary.rows() == {(1, 1, 0): 1}
