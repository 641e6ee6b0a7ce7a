import os
from pathlib import Path

import pytest

from forebay.cli.reaching import ReachError, duration, moment, printable, reach
from forebay.control import ChoiceError


def test_not_both() -> None:
    with pytest.raises(ReachError, match="not both") as caught, reach("/a", "/b"):
        pass
    assert caught.value.code == 2


def test_where_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = os.path.relpath(tmp_path / "c")
    with pytest.raises(ReachError) as caught, reach(path, None):
        pass
    assert caught.value.tell("status") == 1
    assert capsys.readouterr().err == (
        f"forebay status: {path}: no Forebay runs there: there is no such socket\n"
    )


def test_where_there_are_several(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find(*_: object) -> str:
        raise ChoiceError("2 run:\n--socket /a\n--socket \x1b[2Jb")

    monkeypatch.setattr("forebay.cli.reaching.find", find)
    with pytest.raises(ReachError) as caught, reach(None, None):
        pass
    assert caught.value.tell("stop") == 2
    assert capsys.readouterr().err == (
        "forebay stop: 2 run:\n  --socket /a\n  --socket \\x1b[2Jb\n"
    )


def test_nothing_steers_the_terminal() -> None:
    assert printable("é → \x1b[31m\n\u202e") == "é → \\x1b[31m\\n\\u202e"


def test_a_moment() -> None:
    assert len(moment(0)) == len("1970-01-01 00:00:00")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (59.9, "59 s"),
        (125, "2 min 5 s"),
        (3600, "1 h 0 min"),
        (86_400 * 3 + 4 * 3600 + 59, "3 d 4 h"),
    ],
)
def test_a_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
