import asyncio
import json
from pathlib import Path

import pytest

from forebay.channel import PoolFigures
from forebay.cli import run
from forebay.cli.pools import as_object, cells, lines, summary
from tests.unit.cli.looking import node_of
from tests.unit.control.fakes import serving

SMALL = PoolFigures(database="a", user="u", clients=3, connections=1, idle=1)
LARGE = PoolFigures(database="b", user="u", clients=9, connections=5, borrowed=5)
WAITED = PoolFigures(database="c\x1b", user="u", clients=2, waiting=2, waited_s=61.0, opening=1)
NUMBERS = {
    "client_connections": 14,
    "clients_waiting": 2,
    "database_connections": 6,
    "database_connections_borrowed": 5,
    "max_database_connections_allowed": 40,
}


def test_for_people() -> None:
    head, titles, told = lines({"app": [WAITED]}, {"app": NUMBERS}, None)
    assert head == (
        "proxy app: 14 clients, 2 of them waiting; 6 connections of at most 40, 5 of them borrowed"
    )
    assert titles.split()[:3] == ["DATABASE", "USER", "CLIENTS"]
    assert told.split() == ["c\\x1b", "u", "2", "2", "1", "min", "1", "s", "0", "0", "0", "1"]
    assert cells(LARGE) == ["b", "u", "9", "0", "", "5", "5", "0", "0"]
    assert "(their limit is not known yet)" in summary({})
    assert list(lines({}, {"app": {}}, None)) == [f"proxy app: {summary({})}"]


def test_as_an_object() -> None:
    found = as_object({"app": [SMALL]}, {"app": NUMBERS, "other": {}})
    assert found["app"]["max_database_connections_allowed"] == 40
    assert found["app"]["pools"][0]["database"] == "a"
    assert found["other"]["pools"] == []


async def test_of_a_node(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = node_of(pools=[SMALL, LARGE, WAITED], numbers=NUMBERS)
    arguments = ["pools", "--socket", str(place / "c")]
    async with serving(node, place / "c"):
        assert await asyncio.to_thread(run, [*arguments, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert [each["database"] for each in found["proxies"]["app"]["pools"]] == [
            "c\x1b",
            "b",
            "a",
        ]
        assert await asyncio.to_thread(run, arguments) == 0
        assert "of at most 40" in capsys.readouterr().out
        assert await asyncio.to_thread(run, [*arguments, "--proxy", "x"]) == 1


def test_of_none(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pools", "--json", "--socket", str(place / "c")]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
