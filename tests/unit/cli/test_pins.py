import asyncio
import json
from pathlib import Path

import pytest

from forebay.channel import PinRow, ProxyView
from forebay.cli import run
from forebay.cli.pins import PINNED_TOLD, as_object, kind_cells, lines
from tests.unit.cli.looking import node_of, row
from tests.unit.control.fakes import serving

KIND = PinRow(
    reason="LISTEN",
    digest="a1b2",
    application="jobs\x07",
    count=3,
    now=1,
    total_s=100.0,
    longest_s=61.0,
    sentence="The session listens.",
    hint="Listen on a connection of its own.",
)
PINNED = row(5, "idle, pinned", 7.5, connection=70, application="jobs", pins=["LISTEN", "CURSOR"])


def test_for_people() -> None:
    told = list(lines({"app": ProxyView(pins=[KIND, KIND])}, [("app", PINNED)], None))
    assert told[0] == "1 client is pinned now:"
    assert told[2].split()[:4] == ["5", "u", "d", "70"]
    assert told[2].endswith("LISTEN, CURSOR")
    assert told[4] == "What has pinned since the worker started, by the time that it took:"
    assert told[6].split()[:3] == ["LISTEN", "3", "1"]
    assert "jobs\\x07" in told[6]
    assert told[8:] == ["LISTEN: Listen on a connection of its own."]
    assert kind_cells(KIND)[3:5] == ["1 min 40 s", "1 min 1 s"]


def test_of_many_some_are_told() -> None:
    many = [("app", PINNED)] * (PINNED_TOLD + 2)
    told = list(lines({"app": ProxyView()}, many, None))
    assert told[0] == f"{PINNED_TOLD + 2} clients are pinned now:"
    assert told[-1] == "… and 2 more"


def test_where_nobody_is() -> None:
    assert list(lines({"app": ProxyView()}, [], None)) == ["No client is pinned now."]
    told = list(lines({"app": ProxyView(), "b": ProxyView()}, [("b", PINNED)], None))
    assert told[:3] == ["proxy app:", "No client is pinned now.", "proxy b:"]


def test_as_an_object() -> None:
    found = as_object({"app": ProxyView(pins=[KIND])}, [("app", PINNED), ("x", PINNED)])
    assert [each["id"] for each in found["app"]["clients"]] == [5]
    assert found["app"]["kinds"][0]["hint"] == KIND.hint


async def test_of_a_node(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = node_of(view=ProxyView(pins=[KIND]), rows=[PINNED, row(6, "idle", 1.0)])
    arguments = ["pins", "--socket", str(place / "c")]
    async with serving(node, place / "c"):
        assert await asyncio.to_thread(run, [*arguments, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert [each["id"] for each in found["proxies"]["app"]["clients"]] == [5]
        assert await asyncio.to_thread(run, arguments) == 0
        assert "1 client is pinned now" in capsys.readouterr().out


def test_of_none(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pins", "--json", "--socket", str(place / "c")]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
