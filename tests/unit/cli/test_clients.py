import asyncio
import json
from pathlib import Path

import pytest

from forebay.channel import ClientRow
from forebay.cli import run
from forebay.cli.clients import COLUMNS, cells, first, lines, order, pinned
from tests.unit.cli.looking import node_of, row
from tests.unit.control.fakes import serving

IDLE = row(1, "idle", 900)
WAITING = row(2, "waiting", 3)
HOLDING = row(3, "idle in transaction", 20, connection=77, pins=["CURSOR"])
EVERYONE = [("app", IDLE), ("app", WAITING), ("app", HOLDING)]


def ids(found: list[tuple[str, ClientRow]]) -> list[int]:
    return [each.id for _, each in found]


def test_who_takes_something_away_from_others_comes_first() -> None:
    assert ids(first(EVERYONE, 0)) == [3, 2, 1]
    assert ids(first(EVERYONE, 1)) == [3]
    assert order(HOLDING) < order(WAITING) < order(IDLE)
    assert ids(pinned(EVERYONE)) == [3]


def test_for_people() -> None:
    assert cells(HOLDING)[:6] == ["idle in transaction", "20 s", "3", "u", "d", "77"]
    titles, *told = lines(first(EVERYONE, 2), 3, None)
    assert titles.split() == [each.title for each in COLUMNS]
    assert told[0].startswith("idle in transaction")
    assert told[0].endswith("CURSOR")
    assert told[-1] == "… and 1 more (--limit 0 tells all)"
    assert list(lines([], 0, None)) == ["There are no such clients"]
    titles, *_ = lines([("app", IDLE), ("other", IDLE)], 2, None)
    assert titles.startswith("PROXY")


async def test_of_a_node(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = node_of(rows=[each for _, each in EVERYONE])
    socket = ["--socket", str(place / "c")]

    async def told(*options: str) -> dict[str, object]:
        assert await asyncio.to_thread(run, ["clients", "--json", *options, *socket]) == 0
        answer: dict[str, object] = json.loads(capsys.readouterr().out)
        return answer

    async with serving(node, place / "c"):
        everything = await told()
        assert (everything["ok"], everything["count"]) == (True, 3)
        assert [each["id"] for each in everything["clients"]] == [3, 2, 1]
        assert everything["clients"][0]["proxy"] == "app"
        some = await told("--state", "idle", "--limit", "1")
        assert (some["count"], [each["id"] for each in some["clients"]]) == (2, [3])
        assert (await told("--user", "nobody"))["count"] == 0
        assert (await told("--database", "d"))["count"] == 3
        assert await asyncio.to_thread(run, ["clients", *socket]) == 0
        assert "waiting" in capsys.readouterr().out
        assert await asyncio.to_thread(run, ["clients", "--proxy", "x", *socket]) == 1
        assert "there is no proxy 'x': there is app" in capsys.readouterr().err


def test_of_none(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["clients", "--json", "--socket", str(place / "c")]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
