"""How errors are told."""

import pytest

from forebay.cli import output
from forebay.cli.output import complain, interpreter_problem
from forebay.sql.known_answers import MisreadError


@pytest.mark.parametrize(
    ("problems", "told"),
    [
        (["a is bad"], "forebay check: a is bad\n"),
        (["a", "b"], "forebay check: 2 problems\n  - a\n  - b\n"),
    ],
)
def test_problems(problems: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    complain("check", problems)
    assert capsys.readouterr().err == told


def test_a_python_that_reads_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    assert interpreter_problem() is None

    def misread() -> None:
        raise MisreadError("reads it wrongly")

    monkeypatch.setattr(output, "require_right_reading", misread)
    assert interpreter_problem() == "reads it wrongly"
