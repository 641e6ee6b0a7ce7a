"""What Patroni runs must never fail because of Forebay."""

import asyncio
import json
from pathlib import Path

import pytest

from forebay.cli import run
from tests.unit.cli.looking import node_of
from tests.unit.control.fakes import serving

ROLE_CHANGE = ["patroni-callback", "on_role_change", "primary", "batman"]


async def test_the_node_looks_for_the_writer(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = node_of()
    socket = ["--socket", str(place / "c")]

    async def told(code: int, *arguments: str) -> tuple[str, str]:
        assert await asyncio.to_thread(run, [*arguments, *socket]) == code
        captured = capsys.readouterr()
        return captured.out, captured.err

    async with serving(node, place / "c"):
        assert await told(0, *ROLE_CHANGE) == ("Forebay looks for the writer of app\n", "")
        assert node.watching.expected == ["app"]
        out, _ = await told(0, *ROLE_CHANGE, "--json", "--strict")
        assert json.loads(out) == {"ok": True, "proxies": ["app"]}
        node.watching.watched = []
        _, err = await told(0, *ROLE_CHANGE)
        assert err.endswith("this Forebay has no proxy with several database servers\n")
        out, _ = await told(1, *ROLE_CHANGE, "--json", "--strict")
        assert json.loads(out) == {"ok": False, "proxies": []}
        _, err = await told(0, *ROLE_CHANGE, "--proxy", "gone")
        assert "there is no proxy 'gone'" in err


async def test_a_reload_is_no_news(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = node_of()
    reload = ["patroni-callback", "on_reload", "replica", "batman", "--socket", str(place / "c")]
    async with serving(node, place / "c"):
        assert await asyncio.to_thread(run, reload) == 0
        assert await asyncio.to_thread(run, [*reload, "--json"]) == 0
    assert capsys.readouterr() == ('{"ok":true,"proxies":[]}\n', "")
    assert node.watching.expected == []


def test_without_forebay_it_fails_only_if_it_is_to(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    socket = ["--socket", str(place / "c")]
    assert run([*ROLE_CHANGE, *socket]) == 0
    out, err = capsys.readouterr()
    assert (out, err.startswith("forebay patroni-callback: ")) == ("", True)
    assert run([*ROLE_CHANGE, *socket, "--strict"]) == 1
    capsys.readouterr()
    assert run([*ROLE_CHANGE, *socket, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert run([*ROLE_CHANGE, *socket, "--config", "both", "--strict"]) == 2
