"""What comes in one turn of the loop, and what comes too late."""

from unittest import mock

import pytest

from forebay.worker.connector import ConnectError
from tests.playbooks import wording
from tests.playbooks.rig import Rig


@pytest.mark.parametrize("others", [0, 1])
def test_a_client_vanishes_as_its_answer_comes(others: int) -> None:
    """Its statement has ended: a cancel would hit the next client's."""
    with Rig(limit=1) as rig:
        rig.client("a")
        rig.send("a", wording.encode("Query 'SELECT 1'"))
        for _ in range(others):
            rig.client("b")
            rig.send("b", wording.encode("Query 'SELECT 2'"))
        rig.actors["a"].close()
        rig.actors["db1"].sock.send(wording.encode("Result, Ready I"))
        rig.settle()
        assert not rig.cancels
        assert rig.received("db1").count(b"SELECT") == 1 + others
        rig.check()
        rig.actors["db1"].inbox = b""


def test_a_cancel_that_may_still_arrive() -> None:
    """Its delivery took too long: the database may read it at any time from now on."""

    async def too_late(*_: object, **__: object) -> None:
        raise ConnectError("nowhere: timeout expired", transient=True)

    with Rig(limit=1) as rig, mock.patch("forebay.worker.connector.send_cancel", too_late):
        rig.client("a")
        rig.client("b")
        rig.send("a", wording.encode("Query 'SELECT 1'"))
        rig.send("b", wording.encode("Query 'SELECT 2'"))
        rig.cancel("a")
        rig.send("db1", wording.encode("Result, Ready I"))
        assert rig.received("a").endswith(wording.encode("Ready I"))
        rig.actors["a"].inbox = b""
        assert b"SELECT 2" not in rig.received("db1")
        assert b"SELECT 2" in rig.received("db2")
        for name in ("db1", "db2"):
            rig.actors[name].inbox = b""


@pytest.mark.parametrize("seconds", [10, 40])
def test_a_database_that_does_not_answer_forebay_itself(seconds: int) -> None:
    """Its limits are asked for, say, and its machine is gone: the connection is given up."""
    with Rig(limit=1) as rig:
        rig.client("a")
        rig.send("a", wording.encode("Query 'SELECT 1'"))
        rig.send("db1", wording.encode("Result, Ready I"))
        rig.pass_time(61)
        assert b"max_connections" in rig.received("db1")
        rig.send("a", wording.encode("Query 'SELECT 2'"))
        for _ in range(seconds):
            rig.pass_time(1)
        assert ("db2" in rig.servers) is (seconds > 30)
        for actor in rig.actors.values():
            actor.inbox = b""
