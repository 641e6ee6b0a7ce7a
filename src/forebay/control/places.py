"""Where control sockets are: the directories that will do, and why another will not.

A node without ``node.control_socket`` takes the first of these that it can use:

    $RUNTIME_DIRECTORY           systemd's, of a unit with RuntimeDirectory=
    $XDG_RUNTIME_DIR/forebay     a user's, made if it is not there
    /run/forebay                 the system's, made if it is not there (by root)
    /tmp/forebay-UID             the user's own: nobody else may own it, or look into it

and calls its socket ``node-PID.sock`` there, so that nodes never get in each other's way. Commands
look through all of them, and through ``/run/forebay*``, which units make; but where there is a
RUNTIME_DIRECTORY, they look only there.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from forebay.control.peer import user_name

# sockaddr_un has 108 bytes, of which the last is zero: unix(7).
MAX_PATH_BYTES = 107
SOCKETS = "node-*.sock"
# More than anybody runs: a bound for what a full directory may cost.
MAX_SOCKETS = 256

SYSTEM = Path("/run")
TEMPORARY = Path("/tmp")  # noqa: S108 - the directory in it is checked
_NAME = "forebay"


@dataclass(frozen=True, slots=True)
class Place:
    """A directory for control sockets. ``mode``: what it is made with, None if it is not made;
    ``is_private``: it is in a place where everybody may make one."""

    path: Path
    mode: int | None
    is_private: bool = False


def places(environ: Mapping[str, str]) -> list[Place]:
    """The directories that a node tries, in this order."""
    found = _of_the_unit(environ)
    user = environ.get("XDG_RUNTIME_DIR", "")
    if user.startswith("/"):  # others are to be ignored: XDG Base Directory Specification
        found.append(Place(Path(user) / _NAME, 0o700))
    found.append(Place(SYSTEM / _NAME, 0o755))
    own = TEMPORARY / f"{_NAME}-{os.geteuid()}"
    return [*found, Place(own, 0o700, is_private=True)]


def _of_the_unit(environ: Mapping[str, str]) -> list[Place]:
    named = environ.get("RUNTIME_DIRECTORY", "").split(":")
    return [Place(Path(each), None) for each in named if each.startswith("/")]


def prepare(place: Place) -> str | None:
    """Make the directory if that is its way. Returns why no socket can be made there, or None."""
    if place.mode is not None:
        try:
            place.path.mkdir(mode=place.mode)
        except FileExistsError:
            pass
        except OSError as error:
            return f"can't be made: {error.strerror}"
    doubt = distrust(place)
    if doubt is None and not os.access(place.path, os.W_OK | os.X_OK):
        return "can't be written"
    return doubt


def distrust(place: Place) -> str | None:
    """Why sockets in the directory are not to be believed, or None."""
    try:
        seen = place.path.lstat() if place.is_private else place.path.stat()
    except OSError as error:
        return f"can't be read: {error.strerror}"
    if not stat.S_ISDIR(seen.st_mode):
        return "is no directory"
    if place.is_private and seen.st_uid != os.geteuid():
        return f"belongs to {user_name(seen.st_uid)}"
    if place.is_private and seen.st_mode & 0o077:
        return "is open to other users (its mode must be 0700)"
    if seen.st_mode & stat.S_IWOTH:
        return "can be written by every user"
    return None


def sockets(environ: Mapping[str, str]) -> tuple[list[Path], list[str]]:
    """All sockets that nodes may have by default, and where they were sought, in words.

    Within a unit of systemd's (ExecReload=) these are the unit's alone."""
    found: list[Path] = []
    sought: list[str] = []
    units = (Place(path, None) for path in sorted(SYSTEM.glob(f"{_NAME}?*")))
    for place in _of_the_unit(environ) or dict.fromkeys((*places(environ), *units)):
        doubt = distrust(place) if place.path.exists() else None
        if doubt is None:
            found += sockets_in(place.path)
            sought.append(str(place.path))
        else:
            sought.append(f"{place.path} (not used: it {doubt})")
    return found[:MAX_SOCKETS], sought


def sockets_in(directory: Path) -> Iterator[Path]:
    """The sockets in one directory; none if it can't be read."""
    try:
        yield from sorted(directory.glob(SOCKETS))[:MAX_SOCKETS]
    except OSError:
        return


def too_long(path: str | os.PathLike[str]) -> str | None:
    """What to tell of a path that no socket can have, or None."""
    count = len(os.fsencode(path))
    if count <= MAX_PATH_BYTES:
        return None
    return (
        f"{os.fspath(path)}: has {count} bytes; a Unix socket's path has at most {MAX_PATH_BYTES}"
    )
