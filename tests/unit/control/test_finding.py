"""Which of the nodes that run a command means."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from forebay.control import ChoiceError, find, places
from forebay.control.client import ControlError
from tests.unit.control.fakes import FakeNode, serving

Run = Callable[[str, str], Awaitable[Path]]


@pytest.fixture(autouse=True)
def nowhere_else(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "SYSTEM", place / "absent")
    monkeypatch.setattr(places, "TEMPORARY", place / "absent")
    (place / "forebay").mkdir(0o700)


@pytest.fixture
async def run(place: Path) -> AsyncIterator[Run]:
    """Runs a node: ``await run("node-1.sock", "/etc/a.toml")``."""
    async with AsyncExitStack() as stack:

        async def start(name: str, source: str) -> Path:
            path = place / "forebay" / name
            await stack.enter_async_context(serving(FakeNode(source), path))
            return path

        yield start


async def found(
    place: Path,
    socket: str | None = None,
    config: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    given = {"XDG_RUNTIME_DIR": str(place), **(environ or {})}
    return await asyncio.to_thread(find, socket, config, given)


async def test_one_that_is_named(place: Path) -> None:
    assert await found(place, socket="/a") == "/a"
    assert await found(place, environ={"FOREBAY_CONTROL_SOCKET": "/b"}) == "/b"
    assert await found(place, environ={"FOREBAY_NODE_CONTROL_SOCKET": "/c"}) == "/c"
    assert await found(place, socket="/a", environ={"FOREBAY_CONTROL_SOCKET": "/b"}) == "/a"
    relative = await found(place, environ={"FOREBAY_CONTROL_SOCKET": "d"})
    assert relative == str(Path.cwd() / "d")


async def test_not_both(place: Path) -> None:
    with pytest.raises(ChoiceError, match="not both"):
        await found(place, socket="/a", config="/b")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("postgresql://u:hunter2@h/db", " names a file, not a URL"),
        ("u:hunter2@h/db", " names a file, not a URL"),
        ("a\0b", ": holds a zero byte"),
    ],
)
async def test_what_is_no_path_is_not_repeated(place: Path, text: str, told: str) -> None:
    for given, name in (
        ({"socket": text}, "--socket"),
        ({"config": text}, "--config"),
        ({"environ": {"FOREBAY_CONTROL_SOCKET": text}}, "FOREBAY_CONTROL_SOCKET"),
    ):
        with pytest.raises(ChoiceError) as caught:
            await found(place, **given)  # type: ignore[arg-type]
        assert str(caught.value) == f"{name}{told}"


async def test_a_url_in_the_environment_names_no_file(place: Path, run: Run) -> None:
    path = await run("node-1.sock", "URL")
    environ = {"FOREBAY_CONFIG": "postgresql://u:hunter2@h/db"}
    assert await found(place, environ=environ) == str(path)


async def test_the_only_one(place: Path, run: Run) -> None:
    path = await run("node-1.sock", "/etc/a.toml")
    assert await found(place) == str(path)


async def test_within_a_unit_the_units_own(place: Path, run: Run) -> None:
    await run("node-1.sock", "/etc/a.toml")
    (place / "unit").mkdir()
    path = await run("../unit/node-2.sock", "/etc/b.toml")
    (place / "same").symlink_to(place / "unit")  # one directory under two names
    unit = {"RUNTIME_DIRECTORY": f"{place}/unit:{place}/same"}
    assert await found(place, environ=unit) == os.path.realpath(path)  # noqa: ASYNC240


async def test_none(place: Path) -> None:
    with pytest.raises(ControlError) as caught:
        await found(place)
    assert not isinstance(caught.value, ChoiceError)
    assert str(caught.value).startswith(f"no Forebay was found in {place}/forebay, ")
    assert str(caught.value).endswith("(--socket PATH) or its configuration (--config FILE)")


async def test_one_that_has_died(place: Path) -> None:
    path = place / "forebay" / "node-1.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(ControlError) as caught:
        await found(place)
    assert f"\n{path}: left by a node that has ended; the next start removes it" in str(
        caught.value
    )


async def test_several(place: Path, run: Run) -> None:
    one = await run("node-1.sock", "/etc/a.toml")
    two = await run("node-2.sock", "environment")
    with pytest.raises(ChoiceError) as caught:
        await found(place)
    process = f"process {os.getpid()}"
    assert str(caught.value).splitlines() == [
        "2 Forebays run here; name one of them:",
        f"--socket {one}: {process}, /etc/a.toml, on 127.0.0.1:6432",
        f"--socket {two}: {process}, environment, on 127.0.0.1:6432",
    ]


async def test_the_one_with_a_configuration(place: Path, run: Run) -> None:
    file = place / "b.toml"
    file.write_text("this is = no longer [TOML")
    (place / "link.toml").symlink_to(file)
    other = await run("node-1.sock", str(place / "a.toml"))
    path = await run("node-2.sock", str(file.resolve()))
    assert await found(place, config=str(file)) == str(path)
    assert await found(place, config=str(place / "link.toml")) == str(path)
    assert await found(place, environ={"FOREBAY_CONFIG": str(file)}) == str(path)
    with pytest.raises(ControlError) as caught:
        await found(place, config=str(place / "c.toml"))
    text = str(caught.value)
    assert text.startswith(f"no Forebay with {place}/c.toml was found")
    assert f"{other}: process {os.getpid()}, {place}/a.toml, on " in text


async def test_several_with_one_configuration(place: Path, run: Run) -> None:
    file = str((place / "a.toml").resolve())
    await run("node-1.sock", file)
    await run("node-2.sock", file)
    with pytest.raises(ChoiceError, match=f"2 Forebays with {file} run here"):
        await found(place, config=file)


async def test_the_socket_that_a_configuration_names(place: Path, run: Run) -> None:
    file = (place / "a.toml").resolve()
    file.write_text('[node]\ncontrol_socket = "forebay/control"\ndrain_timeout = "wrong"\n')
    path = await run("control", str(file))
    assert await found(place, config=str(file)) == str(path)
    with pytest.raises(ControlError, match="no Forebay was found"):
        await found(place)  # it is in none of the usual places


@pytest.mark.parametrize("text", ["1", '""', '"\\u0000"', "[]"])
async def test_a_configuration_with_a_socket_that_is_none(place: Path, run: Run, text: str) -> None:
    file = (place / "a.toml").resolve()
    file.write_text(f"[node]\ncontrol_socket = {text}\n")
    path = await run("node-1.sock", str(file))
    assert await found(place, config=str(file)) == str(path)
