from collections.abc import Callable
from pathlib import Path

import pytest

from forebay.embedded import binaries
from forebay.embedded.binaries import Binaries, find_binaries, find_client, inspect
from forebay.embedded.errors import SetupError


@pytest.fixture
def make_programs(tmp_path: Path) -> Callable[..., Path]:
    """Makes a directory of scripts that look like PostgreSQL's programs."""

    def make(name: str, version: str = "18.6", tls: bool = False, client_tls: bool = True) -> Path:
        directory = tmp_path / name / "bin"
        directory.mkdir(parents=True)
        complaint = "" if client_tls else "echo 'sslmode value \"require\" invalid' >&2; exit 2"
        scripts = {
            "initdb": "",
            "psql": complaint,
            "pgbench": "",
            "postgres": f"echo 'postgres (PostgreSQL) {version}'\n# {'libssl.so.3' if tls else ''}",
        }
        for program, script in scripts.items():
            path = directory / program
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)
        return directory

    return make


@pytest.fixture(autouse=True)
def only_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is found but what a test names."""
    monkeypatch.delenv(binaries.ENVIRONMENT_NAME, raising=False)
    monkeypatch.setattr(binaries, "WHEELS", ())
    monkeypatch.setattr(binaries, "SYSTEM_GLOBS", ())
    monkeypatch.setenv("PATH", "/nonexistent")


def test_the_environment_names_the_directory(
    make_programs: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = make_programs("named", version="17.2")
    monkeypatch.setenv(binaries.ENVIRONMENT_NAME, str(directory))
    found = find_binaries()
    assert found == Binaries(directory, "17.2", has_tls=False)
    assert found.major == 17
    # The programs run in other directories than this one.
    monkeypatch.chdir(directory.parent)
    monkeypatch.setenv(binaries.ENVIRONMENT_NAME, "bin")
    assert find_binaries() == found


def test_a_wrong_name_in_the_environment_is_an_error_not_a_search(
    make_programs: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(binaries, "SYSTEM_GLOBS", (str(make_programs("good")),))
    monkeypatch.setenv(binaries.ENVIRONMENT_NAME, str(tmp_path))
    with pytest.raises(SetupError, match="holds no PostgreSQL"):
        find_binaries()


def test_nothing_found_names_the_way_out() -> None:
    with pytest.raises(SetupError, match="pip install"):
        find_binaries()
    with pytest.raises(SetupError, match="client programs"):
        find_client("psql")


def test_newer_versions_come_first_and_tls_can_be_preferred(
    make_programs: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = make_programs("9", version="9.6", tls=True)
    new = make_programs("16", version="16.1")
    monkeypatch.setattr(binaries, "SYSTEM_GLOBS", (f"{tmp_path}/*/bin",))
    assert find_binaries().bin_dir == new
    assert find_binaries(prefer_tls=True) == Binaries(old, "9.6", has_tls=True)


def test_without_tls_anywhere_the_first_one_is_the_answer(
    make_programs: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = make_programs("plain")
    monkeypatch.setattr(binaries, "SYSTEM_GLOBS", (str(directory),))
    assert find_binaries(prefer_tls=True) == Binaries(directory, "18.6", has_tls=False)


def test_the_path_is_searched_last(
    make_programs: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = make_programs("path")
    monkeypatch.setenv("PATH", f"{directory}:/bin:/usr/bin")
    assert find_binaries().bin_dir == directory


def test_what_does_not_run_is_no_postgresql(make_programs: Callable[..., Path]) -> None:
    directory = make_programs("broken")
    (directory / "postgres").write_bytes(b"\x7fELF of another machine")
    assert inspect(directory) is None


def test_a_client_with_tls_is_preferred(
    make_programs: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = make_programs("18", client_tls=False)
    monkeypatch.setattr(binaries, "SYSTEM_GLOBS", (f"{tmp_path}/*/bin",))
    assert find_client("pgbench") == (plain / "pgbench", False)
    encrypted = make_programs("15")
    assert find_client("pgbench") == (encrypted / "pgbench", True)


def test_a_missing_program_is_named(make_programs: Callable[..., Path]) -> None:
    found = Binaries(make_programs("some"), "18.6", has_tls=False)
    assert found.program("psql").exists()
    with pytest.raises(SetupError, match="has no pg_rewind"):
        found.program("pg_rewind")
