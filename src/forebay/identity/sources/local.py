"""Secrets that this machine holds: files, directories, environment variables, what was given.

A directory is what Kubernetes mounts for a Secret: files ``username`` and ``password``, which are
links into a directory ``..data``, itself a link that is swapped when the Secret changes. It is
handed over as the JSON that a file would hold.
"""

import os
import stat
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from forebay.config.settings import Hidden
from forebay.identity.sources.source import (
    MAX_SECRET_BYTES,
    MAX_USERLIST_BYTES,
    SourceError,
    Versions,
)
from forebay.identity.threads import Threads

DIRECTORY_FILES: Final = ("username", "password")
KUBERNETES_DATA: Final = "..data"
"""What kubelet swaps in one step (its AtomicWriter)."""
READ_ATTEMPTS: Final = 3
"""How often a file that changes while it is read is read again."""

# A pipe without a writer would block for ever; a device would never end.
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class FileSource:
    """``file:PATH`` and ``userlist:PATH``."""

    is_remote = False

    def __init__(self, source: str, threads: Threads) -> None:
        self.source = source
        kind, _, self._path = source.partition(":")
        self._max_bytes = MAX_USERLIST_BYTES if kind == "userlist" else MAX_SECRET_BYTES
        self._threads = threads
        self._may_be_directory = kind == "file"

    async def fetch(self) -> Versions:
        """Raises SourceError."""
        return Versions(await self._threads.run(self._read))

    def fingerprint(self) -> Hashable:
        """Changes with the file, and when a link on the way to it points elsewhere."""
        return fingerprint(self._path)

    def _read(self) -> bytes:
        before = self.fingerprint()
        for _ in range(READ_ATTEMPTS):
            try:
                content = self._read_once()
            except ValueError as error:
                if (after := self.fingerprint()) == before:
                    raise SourceError(str(error)) from None
            else:
                if (after := self.fingerprint()) == before:
                    return content
            before = after
        raise SourceError("changes all the time while it is read", transient=True)

    def _read_once(self) -> bytes:
        if self._may_be_directory:
            return read_path(self._path, self._max_bytes)
        return read_file(self._path, self._max_bytes)


class FixedSource:
    """``env:NAME`` and ``given:NAME``: in memory, looked up anew at each fetch."""

    is_remote = False

    def __init__(self, source: str, environ: Mapping[str, str], given: Mapping[str, Hidden]):
        self.source = source
        self._environ = environ
        self._given = given

    async def fetch(self) -> Versions:
        """Raises SourceError."""
        try:
            return Versions(read_local(self.source, self._environ, self._given))
        except ValueError as error:
            raise SourceError(str(error)) from None

    def fingerprint(self) -> Hashable:
        return None


def read_local(source: str, environ: Mapping[str, str], given: Mapping[str, Hidden]) -> bytes:
    """What ``file:``, ``env:`` or ``given:`` holds now.

    At most one byte more than MAX_SECRET_BYTES of a file. Raises ValueError with what is wrong,
    and nothing of what is there.
    """
    kind, _, name = source.partition(":")
    if kind == "file":
        return read_path(name, MAX_SECRET_BYTES)
    if kind == "env":
        if not environ.get(name):
            raise ValueError("this environment variable is not set")
        return environ[name].encode(errors="surrogateescape")
    if kind == "given":
        if name not in given:
            raise ValueError('no such secret was given; in a file, use "file:" or "env:"')
        return given[name].reveal().encode()
    if kind in ("arn", "secretsmanager"):
        raise ValueError('secrets in AWS can\'t be used here; use "file:" or "env:"')
    raise ValueError("must be file:PATH or env:NAME")


def read_path(name: str, max_bytes: int) -> bytes:
    """A file, or a directory as JSON. Raises ValueError."""
    try:
        descriptor = os.open(name, _FLAGS)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            try:
                return _read_directory(descriptor, max_bytes)
            finally:
                os.close(descriptor)
    except (OSError, ValueError) as error:
        raise _unreadable(error) from None
    return _read_open(descriptor, max_bytes)


def read_file(name: str, max_bytes: int) -> bytes:
    """A regular file, at most one byte more than ``max_bytes``. Raises ValueError."""
    try:
        descriptor = os.open(name, _FLAGS)
    except (OSError, ValueError) as error:
        raise _unreadable(error) from None
    return _read_open(descriptor, max_bytes)


def fingerprint(name: str) -> Hashable:
    """What can be seen of a file or a directory without reading it."""
    whole = _stat(name)
    parts = [KUBERNETES_DATA, *DIRECTORY_FILES]
    return whole, tuple(_stat(f"{name}/{part}") for part in parts) if _is_directory(whole) else ()


def world_readable(source: str) -> bool:
    """Whether it is a file that every user of this machine can read, or a directory in which they
    can read the password (best effort)."""
    kind, _, name = source.partition(":")
    if kind not in ("file", "userlist"):
        return False
    try:
        mode = Path(name).stat().st_mode
        if stat.S_ISDIR(mode):
            if not mode & stat.S_IXOTH:
                return False
            mode = (Path(name) / "password").stat().st_mode
    except (OSError, ValueError):
        return False
    return bool(mode & stat.S_IROTH)


def _read_directory(directory: int, max_bytes: int) -> bytes:
    """All files from one state of the directory: ``..data`` is followed once. Raises ValueError
    and OSError."""
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        data = os.open(KUBERNETES_DATA, flags, dir_fd=directory)
    except FileNotFoundError:
        data = os.dup(directory)
    try:
        found = {}
        for name in DIRECTORY_FILES:
            try:
                descriptor = os.open(name, _FLAGS, dir_fd=data)
            except FileNotFoundError:
                continue
            try:
                found[name] = _text(_read_open(descriptor, max_bytes))
            except ValueError as error:
                raise ValueError(f'the file "{name}" in it {error}') from None
    finally:
        os.close(data)
    if "username" not in found:
        raise ValueError(
            'is a directory without a file "username"; in it stand "username" and "password"'
        )
    return msgspec.json.encode(found)


def _read_open(descriptor: int, max_bytes: int) -> bytes:
    """Reads and closes it. Raises ValueError."""
    try:
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError("is not a regular file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read(max_bytes + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(error) from None


def _text(content: bytes) -> str:
    """Without the line feed that `echo` and editors put at the end. Raises ValueError."""
    if content.endswith(b"\n"):
        content = content[:-1].removesuffix(b"\r")
    if not content:
        raise ValueError("is empty")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None


def _unreadable(error: OSError | ValueError) -> ValueError:
    """What to say of it."""
    if not isinstance(error, OSError):
        return error
    return ValueError(f"can't be read: {error.strerror or type(error).__name__}")


def _stat(name: str) -> tuple[int, ...]:
    try:
        found = os.stat(name)  # noqa: PTH116 - a million times a day
    except OSError as error:
        return (error.errno or 0,)
    except ValueError:  # a zero byte in the name
        return ()
    times = found.st_mtime_ns, found.st_ctime_ns
    return found.st_dev, found.st_ino, found.st_mode, found.st_size, *times


def _is_directory(found: tuple[int, ...]) -> bool:
    return len(found) > 2 and stat.S_ISDIR(found[2])
