import asyncio
import json
from pathlib import Path

import pytest

from forebay.channel import ProxyView
from forebay.cli import run
from forebay.cli.top import Looks, screen_of
from forebay.control import ControlClient
from tests.unit.cli.looking import holder, node_of
from tests.unit.control.fakes import serving

VIEW = ProxyView(holders=[holder(70, "active", 5.0)], holders_count=1)


async def test_one_look_without_a_terminal(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = node_of(view=VIEW, numbers={"client_connections": 3})
    arguments = ["top", "--socket", str(place / "c")]
    async with serving(node, place / "c"):
        assert await asyncio.to_thread(run, arguments) == 0
        captured = capsys.readouterr()
        assert "3 clients ─▶ nobody waits" in captured.out
        assert "this was one look" in captured.err
        assert await asyncio.to_thread(run, [*arguments, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["view"]["holders"][0]["id"] == 70
        assert await asyncio.to_thread(run, [*arguments, "--proxy", "x"]) == 1
        assert "there is no proxy 'x'" in capsys.readouterr().err
        node.observer.pools = {}
        assert await asyncio.to_thread(run, arguments) == 1
        assert "no proxy that is served yet" in capsys.readouterr().err


async def test_one_look_after_the_other(place: Path) -> None:
    node = node_of(view=VIEW)

    def look() -> None:
        looks = Looks("")
        with ControlClient(str(place / "c")) as client:
            looks.take(client)
            first = looks.current
            assert first is not None
            assert (first.name, first.before) == ("app", None)
            looks.take(client)  # at the same figures
            assert looks.current is not None
            assert looks.current.before is None
            looks.fail("gone")
            assert looks.current.trouble == "gone"
            looks.next()
            assert looks.proxy == "app"
            looks.take(client)
            assert looks.current.trouble == ""
            assert looks.current.warning is None
            node.observer.events.add("WARNING", "of this one", "app")
            node.observer.events.add("INFO", "no warning")
            node.observer.events.add("WARNING", "of another one", "other")
            looks.take(client)
            assert looks.current.warning is not None
            assert looks.current.warning.text == "of this one"

    async with serving(node, place / "c"):
        await asyncio.to_thread(look)


def test_wrong_use_and_none(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["top", "--interval", "100"]) == 2
    assert run(["top", "--json", "--socket", str(place / "c")]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_a_screen_is_full() -> None:
    lines = screen_of(["one [bold]", "two"], 20, 5).plain.split("\n")
    assert lines == ["one [bold]", "two", "", "", "h holders  w waiters"]
    assert len(screen_of(["x"] * 50, 20, 5).plain.split("\n")) == 5
