"""F9: a crowd waits for the new writer; it is served without overrunning it."""

import threading
from collections.abc import Callable

import pytest

from tests.harness import Forebay
from tests.nemesis import faults
from tests.nemesis.conftest import IS_WHOLE, POOL, Note
from tests.nemesis.load import Shape
from tests.nemesis.pair import Pair, Server
from tests.nemesis.rig import Rig, at

pytestmark = pytest.mark.nemesis

CROWD = Shape(idle=0, autocommit=1000 if IS_WHOLE else 120, transactions=0, think_s=0.2)


class Counting:
    """Looks all the time how many connections of the rig's user a server has; ``most`` of them."""

    def __init__(self, server: Server) -> None:
        self.most = 0
        self.looks = 0
        self._session = server.session()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Counting":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._session.close()

    def _run(self) -> None:
        # Forebay's own, which asks the server what it is, is no connection of the pool.
        text = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE usename = 'rig' AND application_name <> 'forebay control'"
        )
        while not self._ending.wait(0.02):
            self.most = max(self.most, int(self._session.query(text)[0][0] or 0))
            self.looks += 1


def test_a_crowd_does_not_stampede(
    pair: Pair, watching_forebay: Callable[..., Forebay], note: Note
) -> None:
    forebay = watching_forebay()
    with Rig(pair, at("Forebay", forebay.port), CROWD) as rig, Counting(pair.standby) as counted:
        rig.fail_over(faults.immediate_stop)
        rig.load.go_on(3 * CROWD.clients)
        result = rig.finish()
    result.assert_clean()
    assert counted.looks > 0
    assert 0 < counted.most <= POOL
    assert "53300" not in result.account.errors
    assert "53300" not in result.history.refused
    # Everyone has been served there.
    served = {op.client for op in result.history.ops if op.port == pair.primary.port}
    assert len(served) == CROWD.clients
    note(f"F9 {CROWD.clients} waiters", result, first_success_ms=300)
