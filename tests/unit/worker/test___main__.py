"""``python -m forebay.worker``."""

import runpy
import sys

import pytest


@pytest.mark.parametrize("arguments", [[], ["x"], ["3"], ["3", "x"], ["3", "4", "5"], ["-1"]])
def test_started_by_hand_it_says_who_starts_it(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["forebay.worker", *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("forebay.worker", run_name="__main__")
    assert ended.value.code == 2
    assert "started by forebay serve" in capsys.readouterr().err


def test_imported_it_does_nothing() -> None:
    runpy.run_module("forebay.worker", run_name="forebay.worker.__main__")
