import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.cli import run
from forebay.node.reloads import Reload, refused
from tests.unit.control.fakes import FakeNode, serving


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="forebay-", dir="/tmp") as directory:
        yield Path(directory) / "control"


class Refusing(FakeNode):
    async def reload(self) -> Reload:
        return refused(["a.toml: node.drain_timeout: is -1", "b"])


async def test_what_has_changed(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(FakeNode(), socket):
        assert await asyncio.to_thread(run, ["reload", "--socket", str(socket)]) == 0
        assert capsys.readouterr().out == "Changed: a: 1 → 2\nReloaded\n"
        assert await asyncio.to_thread(run, ["reload", "--json", "--socket", str(socket)]) == 0
        assert json.loads(capsys.readouterr().out)["changed"] == ["a: 1 → 2"]


async def test_why_nothing_has(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(Refusing(), socket):
        assert await asyncio.to_thread(run, ["reload", "--socket", str(socket)]) == 1
        assert capsys.readouterr().err == (
            "forebay reload: Not reloaded: the configuration before stays in force\n"
            "  a.toml: node.drain_timeout: is -1\n"
            "  b\n"
        )
        assert await asyncio.to_thread(run, ["reload", "--json", "--socket", str(socket)]) == 1
        assert json.loads(capsys.readouterr().out)["ok"] is False


def test_without_a_node(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reload", "--socket", str(socket)]) == 1
    assert "no Forebay runs there" in capsys.readouterr().err
    assert run(["reload", "--json", "--socket", str(socket)]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
