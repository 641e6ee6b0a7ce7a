"""What is known of a server before it runs. Its life: integration/test_postgres_harness.py."""

from pathlib import Path

import pytest

from forebay.embedded.binaries import Binaries
from forebay.embedded.errors import SetupError
from forebay.embedded.postgres import Postgres

PROGRAMS = Binaries(Path("/nowhere/bin"), "18.0", has_tls=False)


def test_urls() -> None:
    server = Postgres(PROGRAMS, port=5555)
    assert server.url() == f"postgresql://postgres:{server.password}@127.0.0.1:5555/postgres"
    assert server.url("a b", "p/w", "sh op") == "postgresql://a%20b:p%2Fw@127.0.0.1:5555/sh%20op"
    assert server.url("app") == "postgresql://app@127.0.0.1:5555/postgres"


def test_tls_needs_programs_that_have_it() -> None:
    with pytest.raises(SetupError, match="has no TLS"):
        Postgres(PROGRAMS, tls=True)


def test_before_the_start() -> None:
    server = Postgres(PROGRAMS)
    for what in ("pid", "directory", "socket_directory", "ca_file"):
        with pytest.raises(SetupError):
            getattr(server, what)
    server.stop()
    server.kill()
    server.close()


def test_programs_that_are_not_there() -> None:
    server = Postgres(PROGRAMS)
    with pytest.raises(SetupError):
        server.start()
    with pytest.raises(SetupError, match="has not been started"):
        _ = server.directory
