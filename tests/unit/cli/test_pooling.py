import asyncio
import json
from pathlib import Path

import pytest

from forebay.cli import run
from forebay.cli.pooling import DONE
from tests.unit.cli.looking import node_of
from tests.unit.control.fakes import serving


async def test_of_a_node(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = node_of()
    node.observer.left = [2, 1, 0]
    socket = ["--socket", str(place / "c")]

    async def told(code: int, *arguments: str) -> tuple[str, str]:
        assert await asyncio.to_thread(run, [*arguments, *socket]) == code
        captured = capsys.readouterr()
        return captured.out, captured.err

    async with serving(node, place / "c"):
        out, err = await told(0, "pause", "shop")
        assert (out, err.splitlines()[0]) == (DONE["pause"] + "\n", "2 connections left")
        assert node.pausing.of("app") == {"shop"}
        assert await told(0, "resume", "shop", "--proxy", "app") == (DONE["resume"] + "\n", "")
        assert json.loads((await told(0, "kill", "--json"))[0]) == {"ok": True}
        assert await told(0, "reconnect", "a") == (DONE["reconnect"] + "\n", "")
        actions = [("app", "kill", ""), ("app", "reconnect", "a")]
        assert node.observer.commands[-2:] == actions
        _, err = await told(1, "pause")
        assert err == f"forebay pause: {place / 'c'}: already suspended/paused\n"
        out, _ = await told(1, "resume", "x", "--json")
        assert json.loads(out)["problems"] == [f"{place / 'c'}: database x is not paused"]


def test_of_none(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for action in DONE:
        assert run([action, "--json", "--socket", str(place / "c")]) == 1
        assert json.loads(capsys.readouterr().out)["ok"] is False
