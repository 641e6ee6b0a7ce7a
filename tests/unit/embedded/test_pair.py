"""What is known of a pair before it runs. Its life: integration/test_pair.py."""

from pathlib import Path

import pytest

from forebay.embedded.binaries import Binaries
from forebay.embedded.errors import SetupError
from forebay.embedded.pair import Pair

PROGRAMS = Binaries(Path("/nowhere/bin"), "18.0", has_tls=False)


def test_a_writer_and_those_that_follow_it() -> None:
    pair = Pair(PROGRAMS, standbys=2)
    assert len(pair.servers) == 3
    assert pair.servers[0] is pair.writer
    assert all(each.upstream is pair.writer for each in pair.servers[1:])
    assert pair.hosts == [f"127.0.0.1:{each.port}" for each in pair.servers]


def test_none_that_runs_can_be_promoted_and_the_writer_follows_nobody() -> None:
    pair = Pair(PROGRAMS)
    assert pair.standbys == []
    with pytest.raises(SetupError, match="no standby to promote"):
        pair.promote()
    with pytest.raises(SetupError, match="it follows nobody"):
        pair.rejoin(pair.writer)


def test_programs_that_are_not_there() -> None:
    pair = Pair(PROGRAMS)
    with pytest.raises(SetupError):
        pair.start()
    pair.close()
