"""A client that lives long and prepares ever new statements leaves none behind."""

import pytest

from tests.playbooks import wording
from tests.playbooks.rig import Rig

ROUNDS = 1500
# What a connection may hold (500), and what is kept of names that are gone.
KEPT_AT_MOST = 750


@pytest.mark.parametrize("ending", ["Close S s{}, Sync", "Query 'DEALLOCATE s{}'"])
def test_statements_that_are_gone_are_forgotten(ending: str) -> None:
    with Rig(limit=1) as rig:
        rig.client("a")
        for number in range(ROUNDS):
            _say(rig, f"Parse s{number} 'SELECT {number}', Describe S s{number}, Sync")
            _say(rig, f"Bind s{number}, Execute, Sync")
            _say(rig, ending.format(number))
        assert len(rig.sessions.texts._statements) < KEPT_AT_MOST


def _say(rig: Rig, words: str) -> None:
    """The client says something, and the database answers whatever it is asked."""
    rig.send("a", wording.encode(words))
    while frames := wording.frames(rig.received("db1"))[0] if "db1" in rig.actors else []:
        rig.actors["db1"].inbox = b""
        rig.send("db1", b"".join(map(_answer, frames)))
    rig.received("a")
    rig.actors["a"].inbox = b""


def _answer(frame: bytes) -> bytes:
    return wording.encode(
        {
            b"P": "ParseComplete",
            b"B": "BindComplete",
            b"D": "ParameterDescription, RowDescription x",
            b"E": "CommandComplete 'SELECT 0'",
            b"C": "CloseComplete",
            b"S": "Ready I",
            b"Q": "HoldsNothing, Ready I",
        }[frame[:1]]
    )
