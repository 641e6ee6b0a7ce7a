from collections.abc import AsyncIterator
from typing import Any, TypeVar

import msgspec
import pytest

from forebay.channel import (
    AdminQuery,
    AdminResult,
    ClientRow,
    Clients,
    ClientsRequest,
    ConnectionRow,
    Connections,
    PoolFigures,
)
from forebay.config.settings import Config, ProxySettings, TargetSettings
from forebay.control.console.console import ROWS_AT_ONCE, Console
from forebay.node import WorkerUnavailableError
from forebay.node.reloads import Reload
from tests.unit.control.fakes import FakeNode, FakeObserver

T = TypeVar("T")


class Observer(FakeObserver):
    """One whose clients and connections are asked for in parts, too."""

    def __init__(self) -> None:
        super().__init__()
        self.servers: list[ConnectionRow] = []

    async def connections(self, proxy: str) -> AsyncIterator[ConnectionRow]:
        for each in self.servers:
            yield each

    async def ask(self, request: Any, expected: type[T]) -> T:
        self._fail()
        of_clients = isinstance(request, ClientsRequest)
        rows: list[Any] = self.rows[request.proxy] if of_clients else self.servers
        end = request.offset + request.limit
        kind: Any = Clients if of_clients else Connections
        found = kind(rows=rows[request.offset : end], next_offset=end if end < len(rows) else 0)
        assert isinstance(found, expected)
        return found


class Node(FakeNode):
    """One with a configuration, and two proxies, of which ``app`` has users for the console."""

    observer: Observer

    def __init__(self) -> None:
        super().__init__()
        self.observer = Observer()
        self.pausing._asked = self.observer
        target = TargetSettings(hosts=["db:5432"])
        app = ProxySettings(target=target, admin_users=["ops"], stats_users=["metrics"])
        self.config = Config(proxies={"app": app, "other": ProxySettings(target=target)})

    def users_of(self, proxy: str) -> list[str]:
        return ["ops", "metrics"]


@pytest.fixture
async def node() -> Node:
    return Node()


@pytest.fixture
async def console(node: Node) -> Console:
    return Console(node)


async def asked(console: Console, text: str, user: str = "ops", **others: Any) -> AdminResult:
    query = AdminQuery(proxy=others.pop("proxy", "app"), user=user, text=text, **others)
    return await console.answer(query)


async def test_each_proxy_has_users_of_its_own(console: Console) -> None:
    assert (await asked(console, "SHOW VERSION")).tag == "SHOW"
    for others in ({"user": "app"}, {"proxy": "other"}):
        found = await asked(console, "SHOW VERSION", **others)
        assert (found.error, found.sqlstate) == ("not allowed", "42501")
    found = await asked(console, "SHOW VERSION", proxy="gone")
    assert found.sqlstate == "57P01"


async def test_what_is_described_is_not_done(console: Console, node: Node) -> None:
    found = await asked(console, "KILL", step="describe")
    assert (found.columns, found.tag) == ([], "KILL")
    found = await asked(console, "SHOW STATE", step="describe")
    assert (found.columns, found.rows) == ([("key", "text"), ("value", "text")], [])
    assert node.observer.commands == []
    assert (await asked(console, "PAUSE", "metrics", step="describe")).sqlstate == "42501"


async def test_errors(console: Console, node: Node) -> None:
    found = await asked(console, "SHOW FDS")
    assert (found.error, found.sqlstate) == ("invalid command 'SHOW FDS', use SHOW HELP;", "42601")
    node.observer.failure = WorkerUnavailableError("gone")
    found = await asked(console, "SHOW POOLS")
    assert (found.error, found.sqlstate) == ("gone", "58000")
    node.observer.failure = None
    node.observer.pools = {}
    assert "does not serve this proxy yet" in (await asked(console, "SHOW POOLS")).error


async def test_what_is_long_comes_in_parts(console: Console, node: Node) -> None:
    row = ClientRow(id=1, database="d", user="u", identity="u", state="idle")
    node.observer.rows["app"] = [row] * (ROWS_AT_ONCE + 1)
    first = await asked(console, "SHOW CLIENTS")
    assert (len(first.rows), first.next_offset) == (ROWS_AT_ONCE, ROWS_AT_ONCE)
    rest = await asked(console, "SHOW CLIENTS", offset=first.next_offset)
    assert (len(rest.rows), rest.next_offset) == (1, 0)
    server = ConnectionRow(id=1, database="d", user="u", state="active")
    node.observer.servers = [msgspec.structs.replace(server, id=each) for each in range(300)]
    for name in ("SERVERS", "HOLDERS"):
        first = await asked(console, f"SHOW {name}")
        rest = await asked(console, f"SHOW {name}", offset=first.next_offset)
        assert (len(first.rows), len(rest.rows), rest.next_offset) == (200, 100, 0)
    pools = [PoolFigures(database=str(each), user="u") for each in range(ROWS_AT_ONCE + 1)]
    node.observer.pools["app"] = pools
    first = await asked(console, "SHOW POOLS")
    rest = await asked(console, "SHOW POOLS", offset=first.next_offset)
    assert (len(first.rows), len(rest.rows)) == (ROWS_AT_ONCE, 1)


async def test_servers_are_those_of_the_present_writer(console: Console, node: Node) -> None:
    node.observer.servers = [ConnectionRow(id=1, database="d", user="u", state="active")]
    places = []
    for written in ({}, {"app": "[2001:db8::1]:5433"}):
        node.watching.written = written
        found = await asked(console, "SHOW SERVERS")
        names = [name for name, _ in found.columns]
        places += [[row[names.index("addr")], row[names.index("port")]] for row in found.rows]
    assert places == [["db", "5432"], ["2001:db8::1", "5433"]]


async def test_help_is_a_notice(console: Console) -> None:
    found = await asked(console, "SHOW HELP", "metrics")
    assert (found.notice, found.rows, found.columns) == ("Console usage", [], [])
    assert "RECONNECT [<db>]" in found.notice_detail


async def test_a_pause_is_waited_for_and_may_be_undone(console: Console, node: Node) -> None:
    node.observer.left = [2, 1, 0]
    node.observer.pools["app"] = [PoolFigures(database="shop", user="u")]
    found = await asked(console, "PAUSE shop")
    assert (found.tag, found.pending, found.notice) == ("PAUSE", 2, "")
    assert (await asked(console, "PAUSE shop", step="wait")).pending == 1
    assert node.pausing.of("app") == {"shop"}
    await asked(console, "PAUSE shop", step="undo")
    assert node.pausing.of("app") == frozenset()
    found = await asked(console, "PAUSE shop", step="wait")
    assert (found.error, found.sqlstate) == (
        "it was resumed before it had come to a pause",
        "55000",
    )


async def test_other_commands_on_pools(console: Console, node: Node) -> None:
    found = await asked(console, "KILL nowhere")
    assert "no client uses a database named nowhere" in found.notice
    assert (await asked(console, "RECONNECT")).tag == "RECONNECT"
    assert node.observer.commands == [("app", "kill", "nowhere"), ("app", "reconnect", "")]
    assert (await asked(console, "RESUME nowhere")).tag == "RESUME"
    assert (await asked(console, "RESUME")).error == "pooler is not paused/suspended"
    for name in ("pgbouncer", "forebay"):
        assert (await asked(console, f"PAUSE {name}")).error == f"cannot pause admin db: {name}"


async def test_reload(console: Console, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await asked(console, "RELOAD")).tag == "RELOAD"
    assert node.reloads == 1

    async def fail() -> Reload:
        return Reload(at=0.0, ok=False, problems=["other.secret: is wrong"])

    monkeypatch.setattr(node, "reload", fail)
    found = await asked(console, "RELOAD")
    assert found.error == "RELOAD failed, see logs for additional details"


async def test_what_drivers_say(console: Console) -> None:
    for text, tag in (("BEGIN", "BEGIN"), ("SET DateStyle = ISO", "SET"), ("END", "COMMIT")):
        assert await asked(console, text, "metrics") == AdminResult(tag=tag)


async def test_samples_are_taken_while_it_is_used(console: Console, node: Node) -> None:
    console.start()
    console.close()
    await console._samples.take()
    assert console._samples.before("app") is not None
    assert console._samples.before("other") is None
