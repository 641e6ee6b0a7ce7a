"""The node with a worker whose data plane is a toy (fake_worker.py): start, death, reload, end."""

import asyncio
import errno
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from forebay.channel import Drained, WorkerMessage
from forebay.config import Config, load
from forebay.node import Node, NodeError, WorkerUnavailableError
from forebay.node.worker_process import WorkerProcess

WORKER = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))

CONFIG = """
[node]
drain_timeout = 20
[proxies.app]
listen = "127.0.0.1:0"
[[proxies.app.auth]]
secret = "file:app.json"
[[proxies.app.auth]]
secret = "env:OTHER_SECRET"
[proxies.app.target]
hosts = ["127.0.0.1:1"]
[proxies.app.pool]
max_connections_percent = 90
"""

MakeNode = Callable[[], Node]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "forebay.toml").write_text(CONFIG)
    (tmp_path / "app.json").write_text('{"username": "app", "password": "pw-app"}')
    (tmp_path / "app.json").chmod(0o600)
    return tmp_path


@pytest.fixture
def make_node(folder: Path) -> MakeNode:
    environ = {
        **os.environ,
        "FOREBAY_TEST_DIR": str(folder),
        "OTHER_SECRET": json.dumps({"username": "other", "password": "pw-other"}),
    }

    def read() -> Config:
        return load(folder / "forebay.toml", environ)

    return lambda: Node(read(), reload_from=read, environ=environ, worker_command=WORKER)


@pytest.fixture
async def node(make_node: MakeNode) -> AsyncIterator[Node]:
    async with make_node() as node:
        yield node


async def ask(node: Node, question: str, proxy: str = "app") -> str:
    reader, writer = await asyncio.open_connection(*node.endpoints[proxy])
    try:
        writer.write(f"{question}\n".encode())
        return (await reader.readline()).decode().strip()
    finally:
        writer.close()
        await writer.wait_closed()


async def until(condition: Callable[[], Awaitable[bool]] | Callable[[], bool]) -> None:
    """Wait until it holds; the test's own timeout bounds it."""
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        await asyncio.sleep(0.01)


async def test_serves_and_tells_its_statistics(node: Node) -> None:
    assert await ask(node, "pid") == str(node.worker_pid)
    assert await ask(node, "users") == "app,other"
    assert (await node.stats())["app"]["max_database_connections_allowed"] == 40


async def test_the_start_line_tells_address_and_limits(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "forebay.node")
    async with make_node() as node:
        await until(lambda: "Serving" in caplog.text)
        host, port = node.endpoints["app"]
        assert (
            f"Serving app on {host}:{port} → 127.0.0.1:1, at most 40 database connections"
            " (90 % of max_connections 48 less 3 reserved)"
        ) in caplog.text


async def test_the_worker_has_its_own_session_and_no_secret_in_its_environment(node: Node) -> None:
    assert await ask(node, "signals") == "True True"
    assert await ask(node, "environment") == ""


async def test_clients_wait_in_the_backlog_while_the_worker_is_replaced(node: Node) -> None:
    before = node.worker_pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    # Whether the old one is dead yet or not: nobody is refused, everybody is answered.
    answers = await asyncio.gather(*(_ask_again_if_cut(node) for _ in range(20)))
    assert {int(each) for each in answers} == {node.worker_pid}
    assert node.worker_pid != before
    assert node.restarts == 1


async def test_a_worker_is_replaced_though_there_was_no_descriptor_left(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, failures = socket.socketpair, [OSError(errno.ENFILE, "Too many open files in system")]

    def socketpair() -> tuple[socket.socket, socket.socket]:
        if failures:
            raise failures.pop()
        return pair()

    monkeypatch.setattr(socket, "socketpair", socketpair)
    assert node.worker_pid is not None
    os.kill(node.worker_pid, signal.SIGKILL)
    await until(lambda: node.restarts == 2)
    assert await _ask_again_if_cut(node) == str(node.worker_pid)


async def _ask_again_if_cut(node: Node) -> str:
    """The dying worker may have accepted already; being refused is what must not happen."""
    while True:
        try:
            if answer := await ask(node, "pid"):
                return answer
        except ConnectionRefusedError:
            raise
        except ConnectionError:
            pass


async def test_without_a_worker_there_are_no_statistics(node: Node, folder: Path) -> None:
    (folder / "refuse").touch()
    assert node.worker_pid is not None
    os.kill(node.worker_pid, signal.SIGKILL)
    await until(lambda: node.restarts >= 2)
    with pytest.raises(WorkerUnavailableError):
        await _ask_until_unavailable(node)
    (folder / "refuse").unlink()
    assert int(await ask(node, "pid")) == node.worker_pid


async def _ask_until_unavailable(node: Node) -> None:
    """A new worker may be there for the moment in which it refuses."""
    while True:
        await node.stats()


async def test_draining_waits_for_clients_and_refuses_new_ones(make_node: MakeNode) -> None:
    node = make_node()
    await node.start()
    address = node.endpoints["app"]
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"hello\n")
    assert await reader.readline() == b"hello\n"
    draining = asyncio.ensure_future(node.drain())
    await until(lambda: _is_refused(address))
    writer.write(b"still here\n")
    assert await reader.readline() == b"still here\n"
    assert not draining.done()
    writer.close()
    assert await draining is True
    assert node.worker_pid is None


def _is_refused(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


async def test_a_second_drain_ends_at_once(make_node: MakeNode) -> None:
    node = make_node()
    await node.start()
    reader, writer = await asyncio.open_connection(*node.endpoints["app"])
    draining = asyncio.ensure_future(node.drain(3600))
    await asyncio.sleep(0)
    assert await node.drain(0) is True
    assert await draining is True
    assert await reader.read() == b""
    writer.close()


async def test_a_worker_that_ended_in_order_need_not_be_heard(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two signals at once: the worker ends with the second word unread, which resets the channel
    and may lose its last one."""
    hear = WorkerProcess._hear

    def lose(self: WorkerProcess, message: WorkerMessage) -> None:
        if not isinstance(message, Drained):
            hear(self, message)

    monkeypatch.setattr(WorkerProcess, "_hear", lose)
    node = make_node()
    await node.start()
    assert await node.drain() is True


async def test_a_worker_that_does_not_end_is_killed(
    make_node: MakeNode, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forebay.node.node.DRAIN_GRACE_S", 0.2)
    node = make_node()
    await node.start()
    (folder / "hang").touch()
    assert await node.drain(0) is False
    assert node.worker_pid is None


async def test_sigterm_makes_the_worker_drain_itself_and_another_takes_over(node: Node) -> None:
    before = node.worker_pid
    assert before is not None
    os.kill(before, signal.SIGTERM)
    await until(lambda: node.restarts == 1)
    assert await _ask_again_if_cut(node) == str(node.worker_pid)


async def test_reload_changes_what_can_change_and_names_the_rest(
    node: Node, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "forebay.node")
    changed = CONFIG.replace("= 90", "= 50").replace("20", "21")
    changed = changed.replace("[node]", '[node]\ncontrol_listen = "127.0.0.1:1"')
    (folder / "forebay.toml").write_text(changed)
    (folder / "app.json").write_text('{"username": "app2", "password": "pw-app"}')
    assert (await node.reload()).ok
    assert await ask(node, "percent") == "50"
    assert await ask(node, "users") == "app2,other"
    for text in (
        "proxies.app.pool.max_connections_percent: 90 → 50",
        "node.drain_timeout: 20 → 21",
        'user "app2" is new',
        'user "app" is gone',
        'node.control_listen can\'t change while running; it stays "127.0.0.1:6480"',
    ):
        assert text in caplog.text
    assert "pw-" not in caplog.text


async def test_proxies_come_change_where_they_listen_and_go(
    node: Node, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "forebay.node")
    before = node.endpoints["app"]
    more = CONFIG[CONFIG.index("[proxies.app]") :].replace("proxies.app", "proxies.more")
    (folder / "forebay.toml").write_text(CONFIG + more.replace("app.json", "more.json"))
    (folder / "more.json").write_text('{"username": "more", "password": "pw-more"}')
    assert (await node.reload()).ok
    assert "Changed: proxies.more is new" in caplog.text
    assert node.endpoints["app"] == before
    added = node.endpoints["more"]
    assert await ask(node, "hello", "more") == "hello"
    elsewhere = CONFIG.replace('"127.0.0.1:0"', f'["127.0.0.1:0", "{folder}:7"]')
    (folder / "forebay.toml").write_text(elsewhere)
    (folder / "more.json").unlink()
    assert (await node.reload()).ok
    assert "Changed: proxies.more is gone" in caplog.text
    assert node.endpoints == {"app": before}
    await until(lambda: _is_refused(added))
    reader, writer = await asyncio.open_unix_connection(folder / ".s.PGSQL.7")
    writer.write(b"hello\n")
    assert await reader.readline() == b"hello\n"
    writer.close()


async def test_if_an_address_is_taken_nothing_changes(
    node: Node, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        more = CONFIG[CONFIG.index("[proxies.app]") :].replace("proxies.app", "proxies.more")
        more = more.replace(":0", f":{taken.getsockname()[1]}")
        (folder / "forebay.toml").write_text(CONFIG.replace("= 90", "= 50") + more)
        assert not (await node.reload()).ok
    assert "can't listen on" in caplog.text
    assert node.endpoints.keys() == {"app"}
    assert await ask(node, "percent") == "90"


async def test_what_was_changed_holds_for_the_next_worker(node: Node, folder: Path) -> None:
    (folder / "forebay.toml").write_text(CONFIG.replace("= 90", "= 50"))
    (folder / "app.json").write_text('{"username": "app2", "password": "pw-app"}')
    assert (await node.reload()).ok
    assert node.worker_pid is not None
    os.kill(node.worker_pid, signal.SIGKILL)
    await until(lambda: node.restarts == 1)
    await _ask_again_if_cut(node)
    assert await ask(node, "percent") == "50"
    assert await ask(node, "users") == "app2,other"


async def test_a_bad_configuration_leaves_the_old_one_running(
    node: Node, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "forebay.toml").write_text(CONFIG.replace("= 90", "= 900").replace("20", "-1"))
    assert not (await node.reload()).ok
    assert "max_connections_percent: is 900" in caplog.text
    assert "drain_timeout: is -1" in caplog.text
    (folder / "forebay.toml").write_text(CONFIG)
    (folder / "app.json").unlink()
    assert not (await node.reload()).ok
    assert "app.json: can't be read: No such file" in caplog.text
    assert await ask(node, "percent") == "90"
    assert await ask(node, "users") == "app,other"


async def test_what_the_worker_refuses_does_not_stay(
    node: Node, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "forebay.toml").write_text(CONFIG.replace("= 90", "= 50"))
    (folder / "refuse").touch()
    assert not (await node.reload()).ok
    assert "told to refuse" in caplog.text
    assert node.config.proxies["app"].pool.max_connections_percent == 90


async def test_secrets_of_what_is_refused_are_not_kept(node: Node, folder: Path) -> None:
    (folder / "new.json").write_text('{"username": "new", "password": "pw"}')
    (folder / "refuse").touch()
    used = node._reconciler.kept.figures().keys()
    (folder / "forebay.toml").write_text(CONFIG.replace("file:app.json", "file:new.json"))
    assert not (await node.reload()).ok
    assert node._reconciler.kept.figures().keys() == used


async def test_a_worker_that_refuses_at_start_is_an_error(
    make_node: MakeNode, folder: Path
) -> None:
    (folder / "refuse").touch()
    with pytest.raises(NodeError, match="told to refuse"):
        await make_node().start()


async def test_all_that_is_wrong_at_start_is_told(make_node: MakeNode, folder: Path) -> None:
    (folder / "app.json").write_text("{}")
    node = make_node()
    broken = msgspec.structs.replace(
        node.config.proxies["app"],
        tls_certificate=str(folder / "absent.crt"),
        tls_private_key=str(folder / "absent.key"),
    )
    config = msgspec.structs.replace(node.config, proxies={"app": broken})
    with pytest.raises(NodeError) as caught:
        await Node(config, environ={"OTHER_SECRET": "x"}).start()
    assert len(caught.value.problems) == 3


async def test_an_address_in_use_is_named(make_node: MakeNode) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        node = make_node()
        proxy = msgspec.structs.replace(node.config.proxies["app"], listen=f"127.0.0.1:{port}")
        config = msgspec.structs.replace(node.config, proxies={"app": proxy})
        environ = {"OTHER_SECRET": '{"username":"o","password":"p"}'}
        with pytest.raises(NodeError, match=f"can't listen on 127.0.0.1:{port}: Address already"):
            await Node(config, environ=environ).start()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("/nowhere/python",), "the worker can't be started: "),
        ((sys.executable, "-c", "pass"), "the worker has ended"),
        (
            (sys.executable, "-c", "import os, sys; os.write(int(sys.argv[1]), b'HTTP')"),
            "has ended",
        ),
    ],
)
async def test_a_worker_that_is_none(
    make_node: MakeNode, command: tuple[str, ...], said: str
) -> None:
    config = make_node().config
    environ = {"OTHER_SECRET": '{"username":"o","password":"p"}'}
    with pytest.raises(NodeError, match=said):
        await Node(config, environ=environ, worker_command=command).start()
