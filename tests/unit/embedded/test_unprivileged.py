import os
import stat
from pathlib import Path

import pytest

from forebay.embedded import unprivileged
from forebay.embedded.errors import SetupError
from forebay.embedded.unprivileged import Account


def make_installation(package: Path) -> Path:
    """A wheel's layout; its postgres needs the libraries beside the package."""
    home = package / "pginstall"
    for part in ("bin", "lib", "share", "include"):
        (home / part).mkdir(parents=True)
    libraries = package.parent / f"{package.name}.libs"
    libraries.mkdir()
    (libraries / "libpq.so").write_text("x")
    program = home / "bin" / "postgres"
    program.write_text('#!/bin/sh\ncat "$(dirname "$0")/../../../wheel.libs/libpq.so"\n')
    program.chmod(0o755)
    (home / "share" / "private").write_text("x")
    (home / "share" / "private").chmod(0o600)
    (home / "lib" / "libecpg.a").write_text("x")
    return home / "bin"


def test_a_normal_user_runs_the_server_as_itself(tmp_path: Path) -> None:
    assert Account().popen_arguments() == {}
    assert unprivileged.reachable_programs(tmp_path, Account(), tmp_path) == tmp_path


def test_the_account_fits_who_we_are() -> None:
    account = unprivileged.account()
    assert (account.uid is not None) == (os.geteuid() == 0)
    assert account.uid != 0


def test_a_name_too_long_for_a_socket_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    assert unprivileged.temporary_parent(Account()) != long


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes someone else")
class TestAsRoot:
    def test_programs_others_cannot_reach_are_copied(self) -> None:
        account = unprivileged.account()
        parent = unprivileged.temporary_parent(account)
        with _directory(parent, 0o700) as closed, _directory(parent, 0o711) as open_to_all:
            bin_dir = make_installation(closed / "wheel")
            found = unprivileged.reachable_programs(bin_dir, account, open_to_all)
            assert found == open_to_all / "program" / "wheel" / "pginstall" / "bin"
            private = found.parent / "share" / "private"
            assert stat.S_IMODE(private.stat().st_mode) == 0o644
            assert not (found.parent / "include").exists()
            assert not (found.parent / "lib" / "libecpg.a").exists()

    def test_programs_others_can_reach_stay_where_they_are(self) -> None:
        account = unprivileged.account()
        parent = unprivileged.temporary_parent(account)
        with _directory(parent, 0o755) as directory:
            bin_dir = make_installation(directory / "wheel")
            assert unprivileged.reachable_programs(bin_dir, account, directory) == bin_dir

    def test_programs_that_run_for_nobody_are_an_error(self) -> None:
        account = unprivileged.account()
        parent = unprivileged.temporary_parent(account)
        with _directory(parent, 0o711) as directory:
            bin_dir = make_installation(directory / "other")  # its script wants wheel.libs
            with pytest.raises(SetupError, match="run as a normal user"):
                unprivileged.reachable_programs(bin_dir, account, directory)

    def test_a_temporary_directory_that_others_cannot_enter_is_passed_over(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account = unprivileged.account()
        parent = unprivileged.temporary_parent(account)
        with _directory(parent, 0o700) as closed:
            monkeypatch.setattr("tempfile.tempdir", str(closed))
            assert unprivileged.temporary_parent(account) != closed


class _directory:  # noqa: N801  (used like a function)
    """A temporary directory outside of pytest's, which only its owner may enter."""

    def __init__(self, parent: Path, mode: int) -> None:
        import tempfile

        self._temporary = tempfile.TemporaryDirectory(prefix="forebay-test-", dir=parent)
        self.path = Path(self._temporary.name)
        self.path.chmod(mode)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self._temporary.cleanup()
