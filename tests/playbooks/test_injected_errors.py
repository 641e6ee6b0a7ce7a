"""A batch with all that Forebay adds to it, failing at every message in turn.

The client's settings are put in place and its statement is prepared anew in the same write as its
batch. Whichever message the database refuses, the client hears what it would hear directly, and
what was noted ahead of the answers is taken back.
"""

from collections.abc import Iterator

import pytest

from tests.playbooks import wording
from tests.playbooks.rig import Chunker, Rig, whole
from tests.playbooks.test_playbooks import at_random, one_byte_at_a_time

ERROR = wording.encode("Error 42P01 'no such thing'")
# The client's batch, and how the database answers each of its messages.
BATCH = (
    ("Parse '' 'SELECT 1'", "ParseComplete"),
    ("Bind", "BindComplete"),
    ("Execute", "DataRow 1, CommandComplete 'SELECT 1'"),
    ("Bind mine", "BindComplete"),
    ("Execute", "DataRow 2, CommandComplete 'SELECT 1'"),
    ("Parse other 'SELECT 3'", "ParseComplete"),
    ("Close S mine", "CloseComplete"),
)
# What the database gets: the number of the client's message, or why Forebay sends it.
SENT: tuple[int | str, ...] = ("settings", 0, 1, 2, "prepare mine", 3, 4, 5)
CHUNKINGS: dict[str, Chunker] = {
    "whole": whole,
    "one byte at a time": one_byte_at_a_time,
    "at random": at_random(7),
}


def answers(failing: int | None) -> bytes:
    """What the database says when it refuses that message of `SENT`."""
    found = b""
    for number, sent in enumerate(SENT):
        if sent == "settings":
            if number == failing:
                # The database skips the rest, up to the Sync.
                return wording.encode("Refused 42P01, Ready I")
            found += wording.encode("Changed")
        elif number == failing:
            return found + ERROR + wording.encode("Ready I")
        elif sent == "prepare mine":
            found += wording.encode("ParseComplete")
        else:
            found += wording.encode(BATCH[int(sent)][1])
    return found + wording.encode("Ready I")


def heard(failing: int | None) -> Iterator[str]:
    """What the client is to hear then."""
    if failing is not None and SENT[failing] == "settings":
        yield "Error 42P01 refused"
        yield "Ready I"
        return
    fails_at = None if failing is None else SENT[failing]
    last = 3 if fails_at == "prepare mine" else fails_at  # it is the Bind that fails
    for number, (_, answer) in enumerate(BATCH):
        if number == last:
            yield "Error 42P01 'no such thing'"
            break
        yield answer
    yield "Ready I"


def names_of_statements(frames: list[bytes]) -> list[bytes]:
    return [frame[5 : frame.index(b"\0", 5)] for frame in frames if frame[:1] == b"P"]


@pytest.mark.parametrize("chunking", CHUNKINGS)
@pytest.mark.parametrize("failing", [None, *range(len(SENT))])
def test_an_error_at_every_message(failing: int | None, chunking: str) -> None:
    with Rig(limit=2, chunker=CHUNKINGS[chunking]) as rig:
        rig.client("a", (("work_mem", "1MB"),))
        rig.client("b")
        _prepare_elsewhere(rig)
        rig.send("a", wording.encode(", ".join([each[0] for each in BATCH] + ["Sync"])))
        frames, rest = wording.frames(rig.received("db2"))
        kinds = b"".join(frame[:1] for frame in frames)
        assert (kinds, rest) == (b"CQDCPBEPBEPS", b"")
        _, mine, _ = names_of_statements(frames)
        rig.actors["db2"].inbox = b""
        rig.send("db2", answers(failing))
        got, rest = wording.frames(rig.received("a"))
        assert wording.compare(got, wording.messages(", ".join(heard(failing)))) is None
        rig.actors["a"].inbox = b""
        rig.check()
        assert rig.servers["db2"].is_closed == (failing == 0)
        _go_on(rig, failing, mine)


def _prepare_elsewhere(rig: Rig) -> None:
    """The client's statement is known to db1, which another client keeps."""
    rig.send("a", wording.encode("Parse mine 'SELECT 2', Sync"))
    assert rig.received("db1")
    rig.actors["db1"].inbox = b""
    rig.send("db1", wording.encode("Changed, ParseComplete, Ready I"))
    assert rig.received("a") == wording.encode("ParseComplete, Ready I")
    rig.actors["a"].inbox = b""
    rig.send("b", wording.encode("Query BEGIN"))
    assert rig.received("db1")
    rig.actors["db1"].inbox = b""
    rig.send("db1", wording.encode("Changed, CommandComplete BEGIN, Ready T"))
    assert rig.received("b") == wording.encode("CommandComplete BEGIN, Ready T")
    rig.actors["b"].inbox = b""


def _go_on(rig: Rig, failing: int | None, mine: bytes) -> None:
    """What is there afterwards: the client's statements, and those of the connection."""
    closed = failing is None
    known = closed or SENT.index("prepare mine") < (failing or 0)
    rig.send("a", wording.encode("Bind mine, Execute, Sync"))
    db = "db3" if failing == 0 else "db2"  # a connection that was not changed over is gone
    if failing == 0:  # the settings are tried again, and their success is waited for from now on
        frames, _ = wording.frames(rig.received(db))
        assert [frame[:1] for frame in frames] == [b"Q"]
        rig.actors[db].inbox = b""
        rig.send(db, wording.encode("Result, Ready I"))
    frames, _ = wording.frames(rig.received(db))
    rig.actors[db].inbox = b""
    kinds = b"".join(frame[:1] for frame in frames)
    if closed:
        assert kinds == b"DES"  # made to fail
        rig.send(db, wording.encode("Error 26000 'no such statement', Ready I"))
        got, _ = wording.frames(rig.received("a"))
        assert wording.compare(got, wording.messages("Error 26000, Ready I")) is None
    elif known:
        assert kinds == b"BES"
        rig.send(db, wording.encode("BindComplete, CommandComplete 'SELECT 1', Ready I"))
        answer = wording.encode("BindComplete, CommandComplete 'SELECT 1', Ready I")
        assert rig.received("a") == answer
    else:
        assert kinds == b"PBES"
        assert names_of_statements(frames) == [mine]
        done = "BindComplete, CommandComplete 'SELECT 1', Ready I"
        rig.send(db, wording.encode("ParseComplete, " + done))
        assert rig.received("a") == wording.encode(done)
    rig.actors["a"].inbox = b""
    rig.check()
