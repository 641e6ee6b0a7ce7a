"""Running PostgreSQL as root, which it refuses: it is run as ``nobody`` instead.

Programs in a wheel often lie where others may not look (a virtual environment under /root), so they
are linked or copied beside the data where that is so.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forebay.embedded.errors import SetupError

NOBODY_UID = 65534
# A Unix socket's path has at most 103 bytes on some systems, and the rest of it takes 43 here.
PARENT_NAME_BYTES = 60
READABLE_FILE = 0o644
READABLE_DIRECTORY = 0o755
# What a server needs from an installation; the rest (headers, static libraries) stays behind.
NEEDED_PARTS = ("bin", "lib", "lib64", "share")


@dataclass(frozen=True, slots=True)
class Account:
    """Whom to run the server as; None stands for "as we are"."""

    uid: int | None = None
    gid: int | None = None

    def popen_arguments(self) -> dict[str, Any]:
        """Arguments of ``subprocess.Popen`` that make a process this account's."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def account() -> Account:
    """Ourselves, or ``nobody`` if we are root."""
    if os.geteuid() != 0:
        return Account()
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return Account(NOBODY_UID, NOBODY_UID)
    return Account(entry.pw_uid, entry.pw_gid)


def temporary_parent(who: Account) -> Path:
    """A directory for temporary files that the account can reach, with a short name."""
    places = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108
    for place in places:
        if len(os.fsencode(place)) > PARENT_NAME_BYTES or not place.is_dir():
            continue
        if who.uid is None or _open_to_all(place):
            return place
    raise SetupError(
        "no temporary directory that has a short name and that every user can enter:"
        " set TMPDIR to one"
    )


def reachable_programs(bin_dir: Path, who: Account, directory: Path) -> Path:
    """A directory with the same programs that the account can execute.

    Returns ``bin_dir`` itself where that is possible, else a copy under ``directory``.
    Raises SetupError if the account can execute neither.
    """
    if who.uid is None or _can_run(bin_dir, who):
        return bin_dir
    home = bin_dir.parent
    # Wheels find their libraries by "$ORIGIN/../../../NAME.libs": two levels above are kept.
    copy = directory / "program" / home.parent.name / home.name
    for part in NEEDED_PARTS:
        if (home / part).is_dir():
            _share(home / part, copy / part)
    for libraries in home.parent.parent.glob(f"{home.parent.name}.libs"):
        _share(libraries, copy.parent.parent / libraries.name)
    if not _can_run(copy / bin_dir.name, who):
        raise SetupError(
            f"uid {who.uid} cannot execute PostgreSQL from {bin_dir}, nor a copy under {directory}:"
            " run as a normal user, or set TMPDIR to a file system that allows programs"
        )
    return copy / bin_dir.name


def _can_run(bin_dir: Path, who: Account) -> bool:
    try:
        answer = subprocess.run(  # noqa: S603
            [bin_dir / "postgres", "--version"],
            capture_output=True,
            cwd="/",
            timeout=30,
            **who.popen_arguments(),
        )
    except PermissionError:
        return _explain_missing_rights(who)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def _explain_missing_rights(who: Account) -> bool:
    """False if only the programs are out of reach; raises if the account itself is."""
    try:
        subprocess.run(["/bin/true"], cwd="/", **who.popen_arguments())
    except PermissionError:
        raise SetupError(
            f"PostgreSQL does not run as root, and this root may not become uid {who.uid}:"
            " run as a normal user"
        ) from None
    return False


def _share(source: Path, target: Path) -> None:
    """Links a tree file by file, or copies what cannot be linked or is not for all to read."""
    _make_directories(target)
    for entry in _entries(source):
        place = target / entry.name
        if entry.is_dir(follow_symlinks=False):
            _share(Path(entry.path), place)
        elif not entry.name.endswith(".a"):
            _share_file(Path(entry.path), place)


def _share_file(source: Path, target: Path) -> None:
    mode = source.stat().st_mode
    if mode & 0o004:
        try:
            os.link(source.resolve(), target)
            return
        except OSError:
            pass  # another file system
    shutil.copyfile(source, target)
    target.chmod(READABLE_FILE | (0o111 if mode & 0o100 else 0))


def _make_directories(path: Path) -> None:
    for level in reversed([path, *path.parents]):
        if not level.exists():
            level.mkdir()
            level.chmod(READABLE_DIRECTORY)  # whatever the umask says


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        yield from entries


def _open_to_all(directory: Path) -> bool:
    path = directory.resolve()
    return all(level.stat().st_mode & 0o001 for level in (path, *path.parents))
