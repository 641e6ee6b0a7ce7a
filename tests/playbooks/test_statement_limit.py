"""What all clients have prepared together is counted, and has a limit."""

import logging
from collections.abc import Iterator

import pytest

from forebay.relay.statements.statement import Account
from forebay.worker.sessions.statements import StatementTable
from tests.playbooks import wording
from tests.playbooks.rig import Rig

LONG = "SELECT '" + "x" * 5000 + "'"
OTHER = "SELECT '" + "y" * 5000 + "'"
REFUSED = b"too many prepared statements of all clients: at most 10000 bytes"


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(limit=1) as rig:
        rig.sessions.texts._statements = StatementTable(Account(10_000))
        rig.client("a")
        rig.client("b")
        yield rig


def counted(rig: Rig) -> int:
    return rig.sessions.texts.account.bytes


def test_a_new_one_beyond_it_is_refused(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    _exchange(rig, "a", f'Parse s "{LONG}", Sync', "ParseComplete, Ready I")
    before = counted(rig)
    with caplog.at_level(logging.WARNING, "forebay.session"):
        for name in ("t", "u"):
            _send(rig, "b", f'Parse {name} "{OTHER}", Sync')
            _send(rig, "db1", "Error 26000 'no such statement', Ready I")
            said = rig.received("b")
            assert REFUSED in said
            assert b"C54000\0" in said
            assert b"\0HLet clients prepare the same texts" in said
            rig.actors["b"].inbox = b""
    (told,) = [each for each in caplog.records if "may prepare no more" in each.message]
    assert told.__dict__["fields"]["clientConnection"] == rig.clients["b"].process_id
    assert counted(rig) == before
    # Others do not notice: neither who has one, nor who prepares the same.
    _exchange(
        rig, "a", "Bind s, Execute, Sync", "BindComplete, CommandComplete 'SELECT 1', Ready I"
    )
    _send(rig, "b", f'Parse s "{LONG}", Sync')
    assert rig.received("b") == wording.encode("ParseComplete, Ready I")
    assert counted(rig) == before


def test_who_leaves_makes_room(rig: Rig) -> None:
    _exchange(rig, "a", f'Parse s "{LONG}", Sync', "ParseComplete, Ready I")
    _leave(rig, "a")
    assert counted(rig) == 0
    _exchange(rig, "b", f'Parse s "{OTHER}", Sync', "ParseComplete, Ready I")
    _leave(rig, "b")
    assert counted(rig) == 0


def test_a_connection_knows_again_what_nobody_has(rig: Rig) -> None:
    _exchange(rig, "a", f'Parse s "{LONG}", Sync', "ParseComplete, Ready I")
    _leave(rig, "a")
    _send(rig, "b", f'Parse other "{LONG}", Sync')
    assert rig.received("b") == wording.encode("ParseComplete, Ready I")
    rig.actors["b"].inbox = b""
    _send(rig, "b", "Bind other, Execute, Sync")
    assert _kinds(rig) == ["B", "E", "S"]
    _send(rig, "db1", "BindComplete, CommandComplete 'SELECT 1', Ready I")


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        ("Close S s, Sync", None),
        ("Query 'DEALLOCATE s'", None),
        ("Query 'DEALLOCATE ALL'", "CommandComplete 'DEALLOCATE ALL', Ready I"),
        ("Query 'DISCARD ALL'", "CommandComplete 'DISCARD ALL', Ready I, HoldsNothing, Ready I"),
    ],
)
def test_what_is_closed_makes_room(rig: Rig, said: str, answered: str | None) -> None:
    _exchange(rig, "a", f'Parse s "{LONG}", Sync', "ParseComplete, Ready I")
    assert counted(rig) > len(LONG)
    _send(rig, "a", said)
    if answered:
        _send(rig, "db1", answered)
    rig.received("a")
    assert counted(rig) == 0


def test_what_has_failed_makes_room(rig: Rig) -> None:
    answer = "Error 42601 'syntax error', Ready I"
    _exchange(rig, "a", f"Parse s nonsense, Parse t '{'z' * 3000}', Sync", answer)
    assert counted(rig) == 0


def test_two_types_of_parameters_have_one_text(rig: Rig) -> None:
    """The types that were found at Parse are given wherever it is prepared again."""
    text = "SELECT $1 || '" + "x" * 3000 + "'"
    _exchange(
        rig,
        "a",
        f'Parse s "{text}", Sync',
        "ParseComplete, ParameterDescription 25, NoData, Ready I",
    )
    once = counted(rig)
    rig.actors["db1"].inbox = b""
    assert len(text) < once < len(text) + 1000
    rig.leave("db1")  # another connection is to prepare it
    _send(rig, "a", "Bind s, Execute, Sync")
    assert text.encode() + b"\0\0\1\0\0\0\x19" in rig.received("db2")
    assert once < counted(rig) < once + 1000


def _exchange(rig: Rig, client: str, said: str, answered: str) -> None:
    _send(rig, client, said)
    _send(rig, "db1", answered)
    rig.received(client)
    rig.actors[client].inbox = b""
    rig.received("db1")
    rig.actors["db1"].inbox = b""


def _leave(rig: Rig, client: str) -> None:
    rig.leave(client)
    del rig.clients[client]  # the rig's own


def _send(rig: Rig, actor: str, words: str) -> None:
    rig.send(actor, wording.encode(words))


def _kinds(rig: Rig) -> list[str]:
    """What the database was sent."""
    frames, _ = wording.frames(rig.received("db1"))
    return [frame[:1].decode() for frame in frames]
