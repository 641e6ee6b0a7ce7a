"""What is known of a server before it runs. Its life: integration/test_pair.py."""

from pathlib import Path

import pytest

from forebay.embedded.binaries import Binaries
from forebay.embedded.errors import SetupError
from forebay.embedded.member import Member

PROGRAMS = Binaries(Path("/nowhere/bin"), "18.0", has_tls=False)


def test_roles_and_their_passwords_are_the_upstreams() -> None:
    writer = Member(PROGRAMS)
    standby = Member(PROGRAMS, upstream=writer)
    assert standby.upstream is writer
    assert standby.password == writer.password
    assert standby.port != writer.port


def test_before_the_start() -> None:
    server = Member(PROGRAMS)
    assert not server.is_running
    with pytest.raises(SetupError, match="not running"):
        server.freeze()
    server.thaw()
    server.kill()
    server.stop()
    server.close()
