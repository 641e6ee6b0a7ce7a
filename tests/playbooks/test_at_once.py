"""What comes together, and is read before anything that it has led to can be done."""

import pytest

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
