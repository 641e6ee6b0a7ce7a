"""What make tells of an installation: what it does, and in a sentence what keeps it from it."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "tools" / "install.py"


@pytest.fixture(scope="module")
def install() -> ModuleType:
    specification = importlib.util.spec_from_file_location("install", INSTALL)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """As far as it matters: a directory with a python that has pip."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return tmp_path


def test_without_a_network(
    install: ModuleType, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip's own words for it change; these are those of the pip that is here."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(install.InstallError) as caught:
        install.pip("Installing", venv, ["no-such-package-of-forebay"])
    (line,) = str(caught.value).splitlines()
    assert line.startswith("what Forebay needs comes from PyPI, which does not answer")
    assert str(venv / "install.log") in line


def test_another_failure_is_told_by_its_last_words(
    install: ModuleType, venv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(install.InstallError, match=r"it failed .*\n.*\n    the last word$"):
        install.run("Trying", ["sh", "-c", "echo first; echo the last word; exit 3"], venv)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "Trying …\n")  # what is made may be read by a program


def test_what_is_missing_is_told_before_anything_is_done(
    install: ModuleType, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "run", lambda *_: pytest.fail("it began"))
    monkeypatch.setenv("CC", "no-such-compiler -pipe")
    with pytest.raises(install.InstallError, match=r"no C compiler \(no-such-compiler\): apt-get"):
        install.install_forebay(venv)
    monkeypatch.setenv("CC", "sh")
    monkeypatch.setattr(install.sysconfig, "get_path", lambda _: "/nowhere")
    with pytest.raises(install.InstallError, match=r"headers .* are missing: apt-get"):
        install.install_forebay(venv)


def test_groups_are_read_from_pyproject(
    install: ModuleType, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(install, "pip", lambda _what, _venv, wanted: asked.extend(wanted))
    install.install_groups(venv, "lint")
    assert any(each.startswith("mypy") for each in asked)
    assert any(each.startswith("pytest>") for each in asked)


def test_the_way_to_the_demo_shows_no_commands() -> None:
    rules = (ROOT / "Makefile").read_text()
    for target in ("demo:", "$(VENV)/.demo:"):
        recipe = rules.split(f"\n{target}")[1].split("\n\n")[0].splitlines()[1:]
        assert recipe
        assert all(line.startswith("\t@") for line in recipe)
