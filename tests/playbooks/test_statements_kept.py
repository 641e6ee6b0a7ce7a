"""Statements that are gone leave nothing behind: neither those of a client that lives long and
prepares ever new ones, nor the last one of a client that has left."""

import gc
import tracemalloc

import pytest

from tests.playbooks import wording
from tests.playbooks.rig import Rig

ROUNDS = 1500
# What a connection may hold (500), and what is kept of names that are gone.
KEPT_AT_MOST = 750
CLIENTS = 6
LONG_BYTES = 60_000


@pytest.mark.parametrize("ending", ["Close S s{}, Sync", "Query 'DEALLOCATE s{}'"])
def test_statements_that_are_gone_are_forgotten(ending: str) -> None:
    with Rig(limit=1) as rig:
        rig.client("a")
        for number in range(ROUNDS):
            _say(rig, f"Parse s{number} 'SELECT {number}', Describe S s{number}, Sync")
            _say(rig, f"Bind s{number}, Execute, Sync")
            _say(rig, ending.format(number))
        assert len(rig.sessions.texts._statements) < KEPT_AT_MOST


def test_the_unnamed_statement_of_a_client_that_has_left_is_forgotten() -> None:
    """Its connection has the statement until the next one, but nobody needs the text."""
    with Rig(limit=CLIENTS) as rig:
        names = [f"c{number}" for number in range(CLIENTS)]
        for name in names:
            rig.client(name)
        _kept_bytes(rig, names, "x")
        before = _kept_bytes(rig, names, "x")
        after = _kept_bytes(rig, names, "y" * LONG_BYTES)
        assert after - before > CLIENTS * LONG_BYTES  # while they are there
        for name in names:
            rig.leave(name)
        rig.clients.clear()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < LONG_BYTES
        tracemalloc.stop()


def _kept_bytes(rig: Rig, names: list[str], text: str) -> int:
    """What Python holds once each client has prepared the text on a connection of its own, and
    these are free again."""
    for name in names:
        rig.send(name, wording.encode(f"Parse '' 'SELECT {text}', Sync"))
    for number in range(len(names)):
        rig.received(f"db{number + 1}")
        rig.actors[f"db{number + 1}"].inbox = b""
        rig.send(f"db{number + 1}", wording.encode("ParseComplete, Ready I"))
    for name in names:
        rig.received(name)
        rig.actors[name].inbox = b""
    gc.collect()
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    return tracemalloc.get_traced_memory()[0]


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
