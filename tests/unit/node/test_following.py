"""Files that are followed: looked at by hand, without waiting."""

import asyncio
import logging
import os
from pathlib import Path

import pytest

from forebay.node.following import Follower


class Node:
    """Reads a certificate and its key when it hears that they have changed."""

    def __init__(self, *paths: Path) -> None:
        self.paths = paths
        self.read: list[list[str | None]] = []
        self.error: Exception | None = None
        self.meanwhile: Path | None = None
        self.follower = Follower(self.on_change, interval_s=3600.0)
        self.follow()

    def follow(self) -> None:
        self.follower.follow(map(str, self.paths))

    async def on_change(self) -> None:
        if self.error is not None:
            raise self.error
        self.read.append([_text(path) for path in self.paths])
        if self.meanwhile is not None:
            write(self.meanwhile, "changed while it was being put in force")
            self.meanwhile = None
        self.follow()

    async def look(self) -> int:
        """How often it has read by now."""
        await self.follower.look()
        return len(self.read)


def _text(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def write(path: Path, text: str) -> None:
    """As everything that replaces certificates does: the new file takes the old one's place."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.replace(path)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    one, other = tmp_path / "server.crt", tmp_path / "server.key"
    one.write_text("1")
    other.write_text("1")
    return one, other


async def test_a_change_is_told_once_it_has_settled(files: tuple[Path, Path]) -> None:
    node = Node(*files)
    assert await node.look() == 0
    write(files[0], "2")
    assert await node.look() == 0, "its key may be yet to come"
    write(files[1], "2")
    assert await node.look() == 0
    assert await node.look() == 1
    assert node.read == [["2", "2"]]
    assert await node.look() == 1
    node.follower.close()


async def test_a_file_that_changes_again_and_again_is_waited_for(files: tuple[Path, Path]) -> None:
    node = Node(*files)
    for text in ("2", "3", "4"):
        write(files[0], text)
        assert await node.look() == 0
    assert await node.look() == 1
    node.follower.close()


async def test_a_file_that_is_gone_and_comes_back(files: tuple[Path, Path]) -> None:
    node = Node(*files)
    files[0].unlink()
    await node.look()
    assert await node.look() == 1
    files[0].write_text("2")
    await node.look()
    assert await node.look() == 2
    assert node.read == [[None, "1"], ["2", "1"]]
    node.follower.close()


async def test_where_a_link_leads_is_looked_at(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    link = tmp_path / "server.crt"
    link.symlink_to("one")
    node = Node(link)
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").replace(link)
    await node.look()
    assert await node.look() == 1
    node.follower.close()


async def test_what_changes_while_it_is_being_read_is_read_again(files: tuple[Path, Path]) -> None:
    node = Node(*files)
    node.meanwhile = files[1]
    write(files[0], "2")
    await node.look()
    assert await node.look() == 1
    await node.look()
    assert await node.look() == 2
    assert node.read[-1] == ["2", "changed while it was being put in force"]
    node.follower.close()


async def test_other_files_from_now_on(files: tuple[Path, Path], tmp_path: Path) -> None:
    node = Node(files[0])
    node.paths = (files[1], tmp_path / "none")
    node.follow()
    write(files[0], "2")
    await node.look()
    assert await node.look() == 0
    write(files[1], "2")
    await node.look()
    assert await node.look() == 1
    node.follower.close()


async def test_a_mistake_does_not_end_it(
    files: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    node = Node(*files)
    node.error = RuntimeError("our own fault")
    write(files[0], "2")
    await node.look()
    with caplog.at_level(logging.ERROR):
        assert await node.look() == 0
    assert "our own fault" in caplog.text
    node.error = None
    write(files[0], "3")
    await node.look()
    assert await node.look() == 1
    node.follower.close()


async def test_it_looks_by_itself_until_it_is_closed(files: tuple[Path, Path]) -> None:
    heard = asyncio.Event()

    async def on_change() -> None:
        heard.set()

    follower = Follower(on_change, interval_s=0.001)
    follower.follow([])
    assert follower._task is None, "there is nothing to look at"
    follower.follow([str(files[0]), str(files[0])])
    os.utime(files[0], (1, 1))
    async with asyncio.timeout(30):
        await heard.wait()
    task = follower._task
    assert task is not None
    follower.close()
    await asyncio.wait([task])
    assert task.cancelled()
    follower.close()


async def test_a_name_that_no_file_can_have() -> None:
    node = Node(Path("a\0b"))
    assert await node.look() == 0
    node.follower.close()
