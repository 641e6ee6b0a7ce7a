"""The command ``forebay plan``, without a database."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from forebay.cli import run

WEB = ("--client", "web=10x10,hold=5ms,think=95ms")
FUNCTIONS = ("--client", "functions=200")


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["plan", *arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["sample"] is answer["running"] is None
    return dict(answer["plan"])


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = planned(capsys, *WEB, *FUNCTIONS, "--acu", "0.5-1", "--max-connections-percent", "90")
    assert found["demand"] == 300
    assert found["load"] == pytest.approx(15)
    assert found["connections_needed"] == 16
    assert [each["assumed"] for each in found["clients"]] == [[], ["hold", "think"]]
    (outlook,) = found["outlooks"]
    assert outlook["capacity"]["max_connections"] == 189
    assert (outlook["limit"], outlook["percent_needed"]) == (165, 9)
    assert outlook["predicted"]["transactions_per_s"] == pytest.approx(3000, rel=0.01)


def test_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", *WEB, *FUNCTIONS, "--acu", "0.5-1", "--acu", "0.5-2"]) == 0
    said = capsys.readouterr().out
    assert "web (10 × 10)" in said
    assert "* assumed hold time: 5 ms in a transaction (functions)" in said
    assert "Aurora 0.5-1 ACU: 189" in said
    assert "Aurora 0.5-2 ACU: about 400" in said
    assert "Connections needed: 300 without a proxy; 16 with one" in said


def test_every_way_to_name_a_database(capsys: pytest.CaptureFixture[str]) -> None:
    places = ("--max-connections", "45", "--acu", "1-4", "--instance-class", "db.r6g.large")
    found = planned(capsys, *WEB, *places, "--memory", "16GiB", "--memory", "512MiB")
    assert [each["capacity"]["max_connections"] for each in found["outlooks"]] == [
        *(45, 823, 1722, 1514, 47),
    ]
    found = planned(capsys, *WEB, *places, "--engine", "postgres", "--reserved", "10")
    assert [each["capacity"]["max_connections"] for each in found["outlooks"]] == [45, 823, 1514]
    assert {each["capacity"]["reserved"] for each in found["outlooks"]} == {10}


def test_the_goal(capsys: pytest.CaptureFixture[str]) -> None:
    place = ("--max-connections", "45")
    patient = planned(capsys, *WEB, *place, "--wait-p99", "1s")
    hasty = planned(capsys, *WEB, *place, "--wait-p99", "0s")
    assert patient["connections_needed"] < hasty["connections_needed"]
    found = planned(capsys, *WEB, *place, "--connection-borrow-timeout", "0.001")
    assert any("borrow timeout (0.001 s)" in text for text in found["outlooks"][0]["warnings"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "who connects?"),
        (WEB, "to what?"),
        (("--max-connections", "45"), "who connects?"),
        (("--client", "web", "--max-connections", "45"), "'web': clients are NAME="),
        ((*WEB, "--max-connections", "0"), "max_connections of 0"),
        ((*WEB, "--acu", "0.5"), "AWS takes no maximum below 1 ACU"),
        ((*WEB, "--instance-class", "db.q1.large"), "is not known here"),
        ((*WEB, "--memory", "16"), "memory is a number with GiB or MiB"),
        ((*WEB, "--memory", "1MiB"), "no instance class has less"),
        ((*WEB, "--max-connections", "45", "--max-connections-percent", "0"), "from 1 to 100"),
        ((*WEB, "--max-connections", "45", "--connection-borrow-timeout", "301"), "from 0 to 300"),
        ((*WEB, "--max-connections", "45", "--connection-borrow-timeout", "nan"), "from 0 to 300"),
        ((*WEB, "--max-connections", "45", "--pool-max-connections", "0"), "1 or more"),
        ((*WEB, "--max-connections", "45", "--wait-p99", "soon"), "a time is a number"),
        ((*WEB, "--max-connections", "45", "--reserved", "-1"), "0 or more"),
        ((*WEB, *("--max-connections", "45") * 21), "more than 20 databases"),
        ((*FUNCTIONS * 600, "--max-connections", "45"), "more than 100000 clients"),
        ((*WEB, "--sample", "postgresql://u:hunter2@h/d", "--seconds", "0"), "from 1 to 3600"),
        (("--sample", "postgresql://u:hunter2@h:port/d"), "forebay plan: "),
        (("--sample", "u:hunter2@h"), "forebay plan: "),
        (("--sample", "/no/file"), "takes a URL"),
        ((*WEB, "--engine", "mysql"), "forebay"),
        (("--running", "--sample", "postgresql://u:hunter2@h/d"), "--running at a proxy"),
        ((*WEB, "--acu", "1-2", "--proxy", "app"), "are for --running only"),
    ],
)
def test_wrong_use(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plan", *arguments]) == 2
    written = capsys.readouterr()
    assert said in written.err
    assert "hunter2" not in written.out + written.err


def test_no_forebay_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["plan", "--running", "--socket", str(tmp_path / "none.sock")]) == 1
    assert "no Forebay runs there" in capsys.readouterr().err


def test_the_page_shows_what_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "planning.md").read_text()
    typed = re.search(r"```\nforebay (plan .*?)```", page, re.DOTALL)
    shown = re.search(r"```text\n(.*?)\n```", page, re.DOTALL)
    assert typed
    assert shown
    assert run(typed[1].replace("\\\n", " ").split()) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert printed == shown[1].splitlines()
