import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.config.settings import Hidden
from forebay.identity.sources import local as module
from forebay.identity.sources.local import FileSource, FixedSource, world_readable
from forebay.identity.sources.source import SourceError
from forebay.identity.threads import Threads

GOOD = b'{"username": "app", "password": "hunter2"}'


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads("files", most=1)
    yield threads
    threads.close()


def mount(directory: Path, generation: str, username: str, password: str) -> None:
    """Puts a Secret there as kubelet does, and swaps it in."""
    directory.mkdir(exist_ok=True)
    data = directory / f"..{generation}"
    data.mkdir()
    (data / "username").write_text(username)
    (data / "password").write_text(password)
    (directory / "..new").symlink_to(data.name)
    (directory / "..new").replace(directory / "..data")
    for name in ("username", "password"):
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")


async def problem(source: str, threads: Threads) -> str:
    with pytest.raises(SourceError) as caught:
        await FileSource(source, threads).fetch()
    assert "hunter2" not in str(caught.value)
    return caught.value.sentence


async def test_a_file(tmp_path: Path, threads: Threads) -> None:
    (tmp_path / "a").write_bytes(GOOD)
    found = await FileSource(f"file:{tmp_path}/a", threads).fetch()
    assert (found.current, found.previous, found.pending, found.version_id) == (
        GOOD,
        None,
        None,
        "",
    )


@pytest.mark.parametrize(
    ("password", "read"),
    [
        ("hunter2", "hunter2"),
        ("hunter2\n", "hunter2"),
        ("hunter2\r\n", "hunter2"),
        ("hunter2\n\n", "hunter2\n"),
        (" hunter2 ", " hunter2 "),
    ],
)
async def test_a_directory(tmp_path: Path, threads: Threads, password: str, read: str) -> None:
    (tmp_path / "username").write_text("app\n")
    (tmp_path / "password").write_bytes(password.encode())
    found = await FileSource(f"file:{tmp_path}", threads).fetch()
    assert json.loads(found.current) == {"username": "app", "password": read}


async def test_a_directory_of_a_user_without_password(tmp_path: Path, threads: Threads) -> None:
    (tmp_path / "username").write_text("app")
    found = await FileSource(f"file:{tmp_path}", threads).fetch()
    assert json.loads(found.current) == {"username": "app"}


async def test_a_directory_of_kubernetes_is_swapped(tmp_path: Path, threads: Threads) -> None:
    source = FileSource(f"file:{tmp_path}/secret", threads)
    mount(tmp_path / "secret", "1", "app", "one")
    before = source.fingerprint()
    assert source.fingerprint() == before
    assert json.loads((await source.fetch()).current)["password"] == "one"
    mount(tmp_path / "secret", "2", "app", "two")
    assert source.fingerprint() != before
    assert json.loads((await source.fetch()).current)["password"] == "two"


async def test_both_files_are_of_one_generation(
    tmp_path: Path, threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Secret is swapped between the reading of one file and of the other."""
    mount(tmp_path / "secret", "1", "u1", "p1")
    read_open, reads = module._read_open, 0

    def read(descriptor: int, max_bytes: int) -> bytes:
        nonlocal reads
        reads += 1
        if reads == 2:
            mount(tmp_path / "secret", "2", "u2", "p2")
        return read_open(descriptor, max_bytes)

    monkeypatch.setattr(module, "_read_open", read)
    found = module.read_path(str(tmp_path / "secret"), 1000)
    assert json.loads(found) == {"username": "u1", "password": "p1"}
    found = (await FileSource(f"file:{tmp_path}/secret", threads).fetch()).current
    assert json.loads(found) == {"username": "u2", "password": "p2"}


async def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, reads = tmp_path / "a", 0
    path.write_bytes(b"half")
    read_open = module._read_open

    def read(descriptor: int, max_bytes: int) -> bytes:
        nonlocal reads
        reads += 1
        found = read_open(descriptor, max_bytes)
        if reads <= writes:
            path.write_bytes(GOOD + b" " * reads)
        return found

    monkeypatch.setattr(module, "_read_open", read)
    writes = 2
    found = await FileSource(f"file:{path}", threads).fetch()
    assert found.current == GOOD + b"  "
    reads, writes = 0, 100
    with pytest.raises(SourceError, match="changes all the time") as caught:
        await FileSource(f"file:{path}", threads).fetch()
    assert caught.value.transient


def test_what_changes_a_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "a"
    seen = [module.fingerprint(str(path))]
    path.write_bytes(b"one")
    seen.append(module.fingerprint(str(path)))
    path.write_bytes(b"three")
    seen.append(module.fingerprint(str(path)))
    (tmp_path / "b").write_bytes(b"three")
    (tmp_path / "b").replace(path)
    seen.append(module.fingerprint(str(path)))
    path.unlink()
    path.mkdir()
    seen.append(module.fingerprint(str(path)))
    (path / "password").write_bytes(b"x")
    seen.append(module.fingerprint(str(path)))
    assert len(set(seen)) == len(seen)
    assert module.fingerprint("a\0b") == ((), ())


async def test_what_cannot_be_read(tmp_path: Path, threads: Threads) -> None:
    assert "can't be read: No such file" in await problem(f"file:{tmp_path}/none", threads)
    assert 'a directory without a file "username"' in await problem(f"file:{tmp_path}", threads)
    (tmp_path / "username").write_bytes(b"\n")
    assert 'the file "username" in it is empty' in await problem(f"file:{tmp_path}", threads)
    (tmp_path / "username").write_bytes(b"hunter2\xff")
    assert 'the file "username" in it is not UTF-8' in await problem(f"file:{tmp_path}", threads)
    (tmp_path / "username").unlink()
    os.mkfifo(tmp_path / "username")
    assert '"username" in it is not a regular file' in await problem(f"file:{tmp_path}", threads)
    assert "is not a regular file" in await problem(f"userlist:{tmp_path}", threads)
    assert "is not a regular file" in await problem("file:/dev/zero", threads)


async def test_no_more_is_read_than_can_be_used(tmp_path: Path, threads: Threads) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    assert len((await FileSource(f"file:{tmp_path}/a", threads).fetch()).current) == 65_537
    assert len((await FileSource(f"userlist:{tmp_path}/a", threads).fetch()).current) == 100_000


async def test_variables_and_what_was_given() -> None:
    environ, given = {"A": "one"}, {"g": Hidden("two")}
    variable, handed_over = (FixedSource(each, environ, given) for each in ("env:A", "given:g"))
    assert (await variable.fetch()).current == b"one"
    assert (await handed_over.fetch()).current == b"two"
    assert variable.fingerprint() is None
    environ.clear()
    given["g"] = Hidden("three")
    with pytest.raises(SourceError, match="this environment variable is not set"):
        await variable.fetch()
    assert (await handed_over.fetch()).current == b"three"


def test_files_that_everybody_can_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    path.chmod(0o600)
    assert not world_readable(f"file:{path}")
    path.chmod(0o604)
    assert world_readable(f"file:{path}")
    assert world_readable(f"userlist:{path}")
    assert not world_readable("file:/nowhere")
    assert not world_readable("env:A")
    tmp_path.chmod(0o755)
    assert not world_readable(f"file:{tmp_path}")  # it has no password
    path.rename(tmp_path / "password")
    assert world_readable(f"file:{tmp_path}")
    tmp_path.chmod(0o700)
    assert not world_readable(f"file:{tmp_path}")
