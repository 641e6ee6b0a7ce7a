"""Every playbook, with every way of cutting the bytes into pieces."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.playbooks.rig import Chunker
from tests.playbooks.script import Playbook, longest_send, play, read

SCRIPTS = Path(__file__).parent / "scripts"
PLAYBOOKS = [book for path in sorted(SCRIPTS.glob("*.playbook")) for book in read(path)]
# Every place to cut is tried in conversations of usual size; in long messages the ends matter.
SPLITS = 150
RANDOM_CHUNKINGS = 5


def one_byte_at_a_time(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        yield data[at : at + 1]


def cut_at(place: int) -> Chunker:
    def chunker(data: bytes) -> Iterator[bytes]:
        yield data[:place]
        if place < len(data):
            yield data[place:]

    return chunker


def at_random(seed: int) -> Chunker:
    generator = random.Random(seed)

    def chunker(data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            size = generator.choice((1, 2, 4, 5, 6, generator.randint(1, 40)))
            yield data[at : at + size]
            at += size

    return chunker


def named(playbook: Playbook) -> str:
    return f"{playbook.file.partition('.')[0]}: {playbook.title}"


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=named)
class TestPlaybooks:
    def test_whole(self, playbook: Playbook) -> None:
        play(playbook)

    def test_one_byte_at_a_time(self, playbook: Playbook) -> None:
        play(playbook, one_byte_at_a_time)

    def test_cut_in_two(self, playbook: Playbook) -> None:
        """Each thing that is sent is cut behind its first byte, behind its second, ..."""
        for place in range(1, min(longest_send(playbook), SPLITS)):
            play(playbook, cut_at(place))

    def test_at_random(self, playbook: Playbook) -> None:
        for seed in range(RANDOM_CHUNKINGS):
            play(playbook, at_random(seed))


def test_there_are_playbooks() -> None:
    assert len(PLAYBOOKS) > 50
    titles = [named(each) for each in PLAYBOOKS]
    assert len(titles) == len(set(titles))
