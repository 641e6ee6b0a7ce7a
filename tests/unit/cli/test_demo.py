"""Where the demo listens, and what it refuses before anything begins."""

import socket
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from forebay.cli.demo import Evening, _port, demo
from forebay.demo.failover.result import Outcome, Part
from forebay.demo.result import Result
from forebay.demo.view import View
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


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("lost", [0, 1])
def test_a_promise_that_was_not_kept(
    as_json: bool, lost: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = Outcome(clients=300, idle_clients=100, is_writing_again=True)
    outcome.direct, outcome.forebay = Part(writes_lost=7), Part(writes_lost=lost)
    act = SimpleNamespace(port=1, page="", outcome=outcome)

    def run(evening: Evening, port: int | None, seconds: float) -> None:
        evening._tell_failover(cast(Any, act))

    monkeypatch.setattr(Evening, "run", run)
    assert demo(act="failover", as_json=as_json) == lost
    out = capsys.readouterr().out
    if as_json:
        assert msgspec.json.decode(out)["failover"]["forebay"]["writes_lost"] == lost
    else:
        assert ("acknowledged and are lost" in out) == bool(lost)


def test_the_second_act_does_not_make_up_for_the_first() -> None:
    result = Result(clients=300, database_connection_limit=45, pool_connection_limit=40, refused=1)
    evening = Evening("both", False, True, View())
    evening._tell_pooling(result)
    outcome = Outcome(clients=300, idle_clients=100, is_writing_again=True)
    evening._tell_failover(cast(Any, SimpleNamespace(port=1, page="", outcome=outcome)))
    assert not evening.is_good
