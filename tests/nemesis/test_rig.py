"""The rig itself: clients that look for the writer themselves lose no write, and the rig sees what
is lost, or done twice, where something does that."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.failover.fronts import pgbouncer
from bench.sides import PgBouncer
from tests.nemesis import faults
from tests.nemesis.account import account
from tests.nemesis.conftest import Note
from tests.nemesis.faults import Fault
from tests.nemesis.load import Shape
from tests.nemesis.pair import Pair
from tests.nemesis.rig import Rig, direct

pytestmark = pytest.mark.nemesis


@pytest.mark.parametrize("fault", [faults.fast_stop, faults.immediate_stop, faults.kill_postmaster])
def test_nothing_is_lost_without_a_proxy(
    pair: Pair,
    shape: Shape,
    fault: Fault,
    rounds: Callable[[int], int],
    note: Note,
) -> None:
    with Rig(pair, direct(pair), shape) as rig:
        rig.fail_over_often(fault, rounds(3))
        result = rig.finish()
    result.assert_clean()
    assert len(result.history.dropped) == shape.idle  # a session ends with its server
    note(f"direct, {fault.__name__}", result)


def test_a_pair_changes_places(pair: Pair) -> None:
    assert pair.primary is pair.a
    assert pair.a.ask("SELECT sync_state FROM pg_stat_replication") == "sync"
    with pair.a.session("rig") as session:
        session.query("INSERT INTO writes VALUES (1, 1)")
    assert pair.b.rows() == {(1, 1, 0): 1}
    faults.kill_postmaster(pair)
    pair.promote()
    pair.rejoin()
    assert pair.primary is pair.b
    assert pair.a.ask("SELECT pg_is_in_recovery()") == "t"
    assert pair.b.ask("SELECT sync_state FROM pg_stat_replication") == "sync"


def test_two_that_write_lose_what_only_the_old_one_has(pair: Pair) -> None:
    """A client that stays at the old one while both write: the account says what is lost."""
    with Rig(pair, direct(pair), Shape(idle=0, autocommit=4, transactions=2)) as rig:
        rig.load.go_on(20)
        faults.nothing(pair)
        pair.promote()
        rig.load.go_on(40)  # no connection was lost, so all are still at the old one
        result = rig.finish()
    assert result.account.lost
    assert not result.account.dup
    assert not result.account.phantom


def test_what_is_planted_is_found(pair: Pair) -> None:
    with Rig(pair, direct(pair), Shape(idle=1, autocommit=4, transactions=2)) as rig:
        rig.load.go_on(40)
        result = rig.finish()
    result.assert_clean()
    with pair.primary.session() as session:
        session.query("INSERT INTO writes SELECT * FROM writes WHERE client = 0 AND seq = 0")
        session.query("DELETE FROM writes WHERE client = 1 AND seq = 1")
    found = account(result.history.ops, pair.primary.rows())
    assert found.dup == [(0, 0, 0)]
    assert found.lost == [(1, 1, 0)]


def test_nothing_is_lost_through_pgbouncer(pair: Pair) -> None:
    """A pooler that is told where to go keeps its idle clients, and loses nothing either."""
    found = PgBouncer.find(None)
    if found is None:
        pytest.skip("no pgbouncer on PATH: apt-get install pgbouncer")
    start = pgbouncer(found, "server_login_retry = 0.1", is_told=True)
    with tempfile.TemporaryDirectory(prefix="forebay-") as name:
        Path(name).chmod(0o755)  # PgBouncer does not run as root
        with start(pair, Path(name) / "pgbouncer") as front, Rig(pair, front) as rig:
            rig.fail_over(faults.kill_postmaster)
            result = rig.finish()
    result.assert_clean()
    result.assert_idle_stayed()
    assert result.failed_between  # what was under way is lost, and said to be
