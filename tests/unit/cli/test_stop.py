import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.cli import run
from forebay.cli.stop import wait
from forebay.control import ControlClient, Progress, Stopped
from tests.unit.control.fakes import FakeNode, serving, until


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="forebay-", dir="/tmp") as directory:
        yield Path(directory) / "control"


def test_each_number_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    progress = [Progress(id=1, clients=each) for each in (3, 3, None, 1, 1, 0)]
    assert wait([*progress, Stopped(id=1, ok=True)])
    assert capsys.readouterr().out == "3 clients left\n1 client left\n0 clients left\n"


def test_where_nobody_is_left_there_is_nothing_to_tell(capsys: pytest.CaptureFixture[str]) -> None:
    assert not wait([Progress(id=1, clients=0), Stopped(id=1, ok=False)])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("ok", "has_exited", "code", "told"),
    [
        (True, True, 0, "Forebay (process PID) has ended"),
        (False, True, 1, "has ended, but its worker had to be killed: see its log"),
        (True, False, 1, "has stopped serving, but its process has not ended yet"),
    ],
)
async def test_how_it_ends(
    ok: bool,
    has_exited: bool,
    code: int,
    told: str,
    socket: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ControlClient, "wait_for_exit", lambda _: has_exited)
    node = FakeNode()
    async with serving(node, socket) as server:
        command = ["stop", "--now", "--socket", str(socket)]
        stopping = asyncio.ensure_future(asyncio.to_thread(run, command))
        await until(lambda: bool(node.stops))
        await server.finish(ok)
        assert await stopping == code
    assert node.stops == [True]
    said = capsys.readouterr()
    assert told.replace("PID", str(os.getpid())) in said.out + said.err
    assert said.out.startswith(f"Stopping Forebay (process {os.getpid()})\n")


def test_without_a_node(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stop", "--socket", str(socket)]) == 1
    assert capsys.readouterr().err.startswith("forebay stop: ")
