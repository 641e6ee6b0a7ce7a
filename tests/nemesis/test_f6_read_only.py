"""F6: a server that can no longer write while sessions to it are still there: what clients see of
25006 is only what they have asked for themselves."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from forebay.protocol import messages
from tests.harness import FaultProxy, Forebay
from tests.harness.raw import RawClient
from tests.nemesis import faults
from tests.nemesis.conftest import Note
from tests.nemesis.load import Shape
from tests.nemesis.pair import LOGIN, Pair
from tests.nemesis.rig import Rig, at

pytestmark = pytest.mark.nemesis

READ_ONLY = "25006"


def test_read_only_for_all_before_the_switch(
    pair: Pair,
    watching_forebay: Callable[..., Forebay],
    shape: Shape,
    rounds: Callable[[int], int],
    note: Note,
) -> None:
    """As blue/green deployments do: sessions stay, and every write fails; then the old one goes."""
    forebay = watching_forebay()
    with Rig(pair, at("Forebay", forebay.port), shape) as rig:
        for number in range(count := rounds(20)):
            rig.fail_over(faults.read_only)
            pair.standby.stop("fast")
            rig.load.go_on(40)
            pair.standby.configure(default_transaction_read_only="off")
            if number < count - 1:
                pair.rejoin()
        result = rig.finish()
    result.assert_clean()
    result.assert_idle_stayed()
    seen = [
        op for op in result.failed_between if op.sqlstate == READ_ONLY and op.kind == "autocommit"
    ]
    assert not seen
    note("F6 read-only", result, first_success_ms=300)


def test_back_as_a_standby_behind_open_connections(
    pair: Pair, watching_forebay: Callable[..., Forebay], shape: Shape
) -> None:
    """The old primary restarts as a standby at the same address, and nobody hears that the
    connections to it have ended."""
    with FaultProxy(pair.a.port) as to_a, FaultProxy(pair.b.port) as to_b:
        forebay = watching_forebay(hosts=[f"127.0.0.1:{each.port}" for each in (to_a, to_b)])
        with Rig(pair, at("Forebay", forebay.port), shape) as rig:
            rig.load.go_on(40)
            to_a.hide_ends()
            old, new = pair.primary, pair.standby
            pair.stop_waiting()
            pair.promote()
            old.rebase(new)
            rig.settle(new, 0)
            to_a.heal()
            pair.wait_for_sync()
            rig.load.go_on(100)
            result = rig.finish()
    seen = [op for op in result.failed_between if op.sqlstate == READ_ONLY]
    assert [op for op in seen if op.kind == "autocommit"] == []
    assert not result.account.dup
    assert not result.account.phantom
    result.assert_idle_stayed()


def test_who_asks_for_read_only_gets_it(
    pair: Pair, watching_forebay: Callable[..., Forebay]
) -> None:
    """A user's own default_transaction_read_only is no failover, and its 25006 is the user's."""
    forebay = watching_forebay()
    with Rig(pair, at("Forebay", forebay.port), Shape(idle=5, autocommit=8)) as rig:
        settings = {"default_transaction_read_only": "on"}
        with RawClient(forebay.port, LOGIN, settings) as client:
            for number in range(50):
                client.send(messages.query(f"INSERT INTO writes VALUES (-1, {number})"))
                errors = [m.fields["C"] for m in client.until("Z") if m.kind == "E"]
                assert errors == [READ_ONLY]
        rig.load.go_on(40)
        result = rig.finish()
    result.assert_clean()
    assert not result.failed_between
    assert not forebay.logged("HOLD")


Connection = psycopg.Connection[tuple[int]]


def write_prepared(client: Connection) -> None:
    client.execute("INSERT INTO writes VALUES (-1, %s)", [1], prepare=True)


def write_by_copy(client: Connection) -> None:
    with client.cursor() as cursor, cursor.copy("COPY writes (client, seq) FROM STDIN") as copy:
        copy.write_row((-1, 1))


@pytest.mark.parametrize("write", [write_prepared, write_by_copy])
def test_what_a_driver_writes_waits_for_the_switch(
    pair: Pair, watching_forebay: Callable[..., Forebay], write: Callable[[Connection], None]
) -> None:
    forebay = watching_forebay()
    with (
        psycopg.connect(forebay.dsn(sslmode="disable"), autocommit=True) as client,
        ThreadPoolExecutor(1) as thread,
    ):
        for _ in range(2):
            write(client)
        faults.read_only(pair)
        written = thread.submit(write, client)
        forebay.wait_for_log("Requests wait")
        pair.promote()
        written.result(timeout=60)
        assert not client.execute("SELECT pg_is_in_recovery()").fetchall()[0][0]
    assert pair.primary.rows()[-1, 1, 0] == 3
