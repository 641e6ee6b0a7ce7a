"""Unnamed statements that are too long to be kept live on the connection that has parsed them."""

from collections.abc import Iterator

import pytest

from tests.playbooks import wording
from tests.playbooks.rig import Rig

LONG = "SELECT '" + "x" * 200_000 + "'"
PARSED = f"Parse '' \"{LONG}\""


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(limit=1) as rig:
        rig.client("a")
        rig.client("b")
        yield rig


def test_its_client_keeps_the_connection_until_it_is_bound(rig: Rig) -> None:
    _exchange(rig, "a", f"{PARSED}, Sync", "ParseComplete, Ready I")
    _send(rig, "b", "Query 'SELECT 1'")
    assert not _passed(rig, "db1")
    _exchange(rig, "a", "Bind, Execute, Sync", "BindComplete, CommandComplete 'SELECT 1', Ready I")
    assert _passed(rig, "db1") == ["Q"]


def test_it_is_bound_again_as_long_as_it_is_there(rig: Rig) -> None:
    _exchange(rig, "a", f"{PARSED}, Sync", "ParseComplete, Ready I")
    for _ in range(3):
        done = "BindComplete, CommandComplete 'SELECT 1', Ready I"
        _exchange(rig, "a", "Bind, Execute, Sync", done)
    _exchange(rig, "b", "Parse '' 'SELECT 1', Sync", "ParseComplete, Ready I")
    _send(rig, "a", "Bind, Sync")
    assert _passed(rig, "db1") == ["D", "S"]
    _send(rig, "db1", "Error 26000 'no such statement', Ready I")
    assert b"unnamed prepared statement does not exist" in rig.received("a")


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        (f"{PARSED}, Sync", "Error 42601 'syntax error', Ready I"),
        (f"Parse '' nonsense, {PARSED}, Sync", "Error 42601 'syntax error', Ready I"),
    ],
    ids=["failed", "skipped"],
)
def test_one_that_is_not_there_keeps_nothing(rig: Rig, said: str, answered: str) -> None:
    _exchange(rig, "a", said, answered)
    _send(rig, "b", "Query 'SELECT 1'")
    assert _passed(rig, "db1") == ["Q"]


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        ("Query 'SELECT 1'", "Result, Ready I"),
        ("Close S '', Sync", "CloseComplete, Ready I"),
        ("Parse '' 'SELECT 1', Sync", "ParseComplete, Ready I"),
    ],
    ids=["query", "close", "parse"],
)
def test_what_ends_it_lets_the_connection_go(rig: Rig, said: str, answered: str) -> None:
    _exchange(rig, "a", f"{PARSED}, Sync", "ParseComplete, Ready I")
    _exchange(rig, "a", said, answered)
    _send(rig, "b", "Query 'SELECT 1'")
    assert _passed(rig, "db1") == ["Q"]


def test_a_failed_one_leaves_the_one_before(rig: Rig) -> None:
    _exchange(rig, "a", "Parse '' 'SELECT 1', Sync", "ParseComplete, Ready I")
    _send(rig, "a", f"Bind unknown, {PARSED}, Sync")
    assert _passed(rig, "db1") == ["D", "P", "S"]
    _send(rig, "db1", "Error 26000 'no such statement', Ready I")
    assert _passed(rig, "a") == ["E", "Z"]
    done = "BindComplete, CommandComplete 'SELECT 1', Ready I"
    _exchange(rig, "a", "Bind, Execute, Sync", done)


def _exchange(rig: Rig, client: str, said: str, answered: str) -> None:
    """The client says something that passes as it is, and so does the answer."""
    _send(rig, client, said)
    assert _passed(rig, "db1") == _kinds(wording.encode(said))
    _send(rig, "db1", answered)
    assert _passed(rig, client) == _kinds(wording.encode(answered))


def _send(rig: Rig, name: str, words: str) -> None:
    rig.send(name, wording.encode(words))


def _passed(rig: Rig, name: str) -> list[str]:
    """The kinds of messages that have come there since the last time."""
    if name not in rig.actors:
        return []
    kinds = _kinds(rig.received(name))
    rig.actors[name].inbox = b""
    return kinds


def _kinds(data: bytes) -> list[str]:
    frames, rest = wording.frames(data)
    assert not rest
    return [frame[:1].decode() for frame in frames]
