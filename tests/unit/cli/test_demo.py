"""Where the demo listens, and what it refuses before anything begins."""

import socket

import pytest

from forebay.cli.demo import _port, demo
from forebay.embedded.errors import SetupError


@pytest.mark.parametrize("port", [None, 0])
def test_a_port_that_was_not_asked_for(port: int | None) -> None:
    assert _port(port) == port


def test_a_port_that_was() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match="choose another with --port"):
            _port(port)
    assert _port(port) == port
    with pytest.raises(SetupError):
        _port(70_000)


@pytest.mark.parametrize("seconds", [0.5, 3601, float("nan")])
def test_how_long(seconds: float, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(seconds=seconds) == 2
    assert "takes 1 to 3600" in capsys.readouterr().err
