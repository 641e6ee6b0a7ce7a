"""Secrets in real files, changed as operators, editors and Kubernetes change them."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from forebay.identity import keeper as keeping
from forebay.identity.keeper import Keeper
from forebay.identity.rotation import plans
from forebay.identity.sources.making import Sources
from tests.harness.waiting import POLL_INTERVAL_S

OVERLAP_S = 300.0
TIMEOUT_S = 30.0


class Following:
    """A keeper that looks often, and what it was told."""

    def __init__(self) -> None:
        self.changed: asyncio.Queue[str] = asyncio.Queue()
        self.keeper = Keeper(Sources({}, {}), self.changed.put_nowait)

    def passwords(self, source: str) -> dict[str, list[str]]:
        held = self.keeper.versions(source)
        return {
            name: [each.reveal() for each in found]
            for plan in plans(held, self.keeper._clock(), OVERLAP_S)
            for name, found in plan.passwords.items()
        }

    async def change(self) -> str:
        return await asyncio.wait_for(self.changed.get(), TIMEOUT_S)


@pytest.fixture
async def following(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Following]:
    monkeypatch.setattr(keeping, "FOLLOW_S", 0.01)
    monkeypatch.setattr(keeping, "FIRST_RETRY_S", 0.01)
    following = Following()
    yield following
    await following.keeper.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - what is looked at sends no events
            await asyncio.sleep(POLL_INTERVAL_S)


def secret(password: str) -> str:
    return json.dumps({"username": "app", "password": password})


def replace(path: Path, content: str) -> None:
    """As editors do it."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(content)
    new.replace(path)


def mount(directory: Path, generation: int, password: str) -> None:
    """As kubelet does it: what was there before is gone at the end."""
    directory.mkdir(exist_ok=True)
    data = directory / f"..{generation}"
    data.mkdir()
    (data / "username").write_text("app")
    (data / "password").write_text(password)
    before = os.readlink(directory / "..data") if generation > 1 else None  # noqa: PTH115
    (directory / "..new").symlink_to(data.name)
    (directory / "..new").replace(directory / "..data")
    if before is None:
        for name in ("username", "password"):
            (directory / name).symlink_to(f"..data/{name}")
        return
    for each in (directory / before).iterdir():
        each.unlink()
    (directory / before).rmdir()


async def test_a_file_is_replaced_and_written_anew(following: Following, tmp_path: Path) -> None:
    path = tmp_path / "app.json"
    path.write_text(secret("one"))
    source = f"file:{path}"
    await following.keeper.open([source])
    replace(path, secret("two"))
    assert await following.change() == source
    assert following.passwords(source) == {"app": ["two", "one"]}
    path.write_text(secret("three"))
    assert await following.change() == source
    assert following.passwords(source) == {"app": ["three", "two"]}


async def test_a_file_is_spoilt_and_gone_and_there_again(
    following: Following, tmp_path: Path
) -> None:
    path = tmp_path / "app.json"
    path.write_text(secret("one"))
    source = f"file:{path}"
    await following.keeper.open([source])

    def error() -> str:
        return following.keeper.versions(source).error or ""

    path.write_text(secret("two")[:20])
    await until(lambda: "is not JSON" in error())
    path.unlink()
    await until(lambda: "No such file" in error())
    assert following.passwords(source) == {"app": ["one"]}
    assert following.changed.empty()
    path.write_text(secret("two"))
    assert await following.change() == source
    assert following.passwords(source) == {"app": ["two", "one"]}
    assert error() == ""


async def test_kubernetes_swaps_a_directory(following: Following, tmp_path: Path) -> None:
    directory = tmp_path / "mounted"
    source = f"file:{directory}"
    mount(directory, 1, "p1")
    await following.keeper.open([source])
    for generation in range(2, 6):
        mount(directory, generation, f"p{generation}")
        assert await following.change() == source
        assert following.passwords(source) == {"app": [f"p{generation}", f"p{generation - 1}"]}
    assert following.keeper.versions(source).error is None


async def test_a_userlist_is_edited(following: Following, tmp_path: Path) -> None:
    path = tmp_path / "userlist.txt"
    path.write_text('"a" "1"\n"b" "1"\n')
    source = f"userlist:{path}"
    await following.keeper.open([source])
    replace(path, '"a" "2"\n; "b" is gone\n"c" ""\n')
    assert await following.change() == source
    assert following.passwords(source) == {"a": ["2", "1"], "c": []}
    path.write_text('"a" "3"\n"c" "\n')
    await until(lambda: following.keeper.versions(source).error is not None)
    assert (following.keeper.versions(source).error or "").startswith("line 2 is not")
    assert following.passwords(source) == {"a": ["2", "1"], "c": []}
