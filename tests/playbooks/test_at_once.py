"""What comes in one turn of the loop, and what comes too late."""

from unittest import mock

import pytest

from forebay.net.connector import ConnectError
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

    with Rig(limit=1) as rig, mock.patch("forebay.net.connector.send_cancel", too_late):
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


@pytest.mark.parametrize("size", [1, 3, 8, 9, 1000])
def test_a_notification_of_its_own_in_pieces(size: int) -> None:
    """It names the client as its login did; one from elsewhere, and rows, stay as they are."""

    def cut(data: bytes) -> list[bytes]:
        return [data[at : at + size] for at in range(0, len(data), size)]

    with Rig(limit=1, chunker=cut) as rig:
        client = rig.client("a")
        rig.send("a", wording.encode("Query 'NOTIFY news'"))
        sent = wording.encode("Notification news")
        own, mine = rig.servers["db1"].pid.to_bytes(4, "big"), client.process_id.to_bytes(4, "big")
        long = b"A" + (68).to_bytes(4, "big") + own + b"c" * 58 + b"\0\0"
        row = wording.encode("DataRow x 30")
        rig.send("db1", row + sent.replace(bytes((0, 0, 0, 7)), own) + sent + long + row)
        rig.send("db1", wording.encode("CommandComplete NOTIFY, Ready I"))
        assert rig.received("a") == (
            row
            + sent.replace(bytes((0, 0, 0, 7)), mine)
            + sent
            + long.replace(own, mine, 1)
            + row
            + wording.encode("CommandComplete NOTIFY, Ready I")
        )
        for name in ("a", "db1"):
            rig.actors[name].inbox = b""
