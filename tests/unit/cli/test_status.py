import asyncio
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from forebay.cli import run
from forebay.cli.status import lines, reload_lines
from forebay.node.reloads import Reload
from forebay.node.status import ProxyStatus, Status, WorkerStatus
from forebay.node.target_status import ServerStatus, TargetStatus
from tests.unit.control.fakes import FakeNode, serving

PROXY = ProxyStatus(
    name="app",
    listen=["127.0.0.1:6432", "/run:6432"],
    target=["db:5432"],
    max_client_connections=50,
    client_connections=12,
    clients_waiting=3,
    clients_pinned=1,
    database_connections=20,
    database_connections_borrowed=15,
    max_database_connections_allowed=40,
    limit="at most 40 database connections",
)
STATUS = Status(
    ok=True,
    problems=[],
    state="serving",
    version="1.2.3",
    pid=7,
    started_at=1000.0,
    configuration="/etc/forebay.toml",
    worker=WorkerStatus(pid=8, started_at=1060.0),
    worker_restarts=0,
    reload=None,
    proxies=[PROXY],
)
SINCE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def told(status: Status) -> list[str]:
    return list(lines(status, "/run/c.sock", 1065.0))


def test_one_that_serves() -> None:
    first, *others = told(STATUS)
    assert re.fullmatch(rf"Forebay 1\.2\.3, process 7, since {SINCE} \(1 min 5 s\)", first)
    assert re.fullmatch(rf"  worker          process 8, since {SINCE} \(5 s\)", others.pop(2))
    assert others == [
        "  configuration   /etc/forebay.toml",
        "  control socket  /run/c.sock",
        "  last reload     none",
        "proxy app: 127.0.0.1:6432, /run:6432 → db:5432",
        "  clients         12 (at most 50), 3 waiting, 1 pinned",
        "  connections     20, 15 of them borrowed",
        "  limit           at most 40 database connections",
        "It serves.",
    ]


def test_one_that_does_not() -> None:
    proxy = ProxyStatus(name="app", listen=[], target=["db:5432"], max_client_connections=50)
    changes = {"ok": False, "problems": ["a", "b"], "worker": None, "proxies": [proxy]}
    text = told(msgspec.structs.replace(STATUS, worker_restarts=2, **changes))
    assert "  worker          none at the moment" in text
    assert "                  2 had died before" in text
    assert "proxy app: no address yet → db:5432" in text
    assert not any("clients  " in line for line in text)
    assert text[-2:] == ["It does not serve: a", "It does not serve: b"]


def test_the_servers_of_a_target() -> None:
    servers = TargetStatus(
        state="HOLD",
        epoch=3,
        cause="nobody writes",
        since=1000.0,
        trouble="the name has no address",
        servers=[
            ServerStatus(address="a:1", role="UNKNOWN", health="UNAVAILABLE", text="a is down"),
            ServerStatus(address="b:1", role="READ_ONLY", health="AVAILABLE", lag_s=0.52),
            ServerStatus(address="c:1", role="READ_WRITE", health="AVAILABLE", timeline=2),
        ],
    )
    proxy = msgspec.structs.replace(PROXY, servers=servers)
    text = told(msgspec.structs.replace(STATUS, proxies=[proxy]))
    at = text.index("  servers         HOLD for 1 min 5 s, epoch 3: nobody writes")
    assert [each.strip() for each in text[at + 1 : at + 5]] == [
        "a:1 UNAVAILABLE, a is down",
        "b:1 AVAILABLE, read-only, 0.5 s behind",
        "c:1 AVAILABLE, read-write, timeline 2",
        "the name has no address",
    ]


def test_what_is_paused() -> None:
    proxy = msgspec.structs.replace(PROXY, paused=["", "shop"])
    text = told(msgspec.structs.replace(STATUS, proxies=[proxy]))
    assert "  paused          all databases, shop" in text


def test_the_last_reload() -> None:
    good = Reload(at=1064.0, ok=True, changed=["a: 1 → 2"])
    text = told(msgspec.structs.replace(STATUS, reload=good))
    assert re.fullmatch(rf"  last reload     {SINCE}", text[4])
    assert text[5] == "                  Changed: a: 1 → 2"
    bad = Reload(at=1064.0, ok=False, problems=["a: is 0"])
    text = told(msgspec.structs.replace(STATUS, reload=bad))
    assert text[4].endswith(": nothing has changed")
    assert text[5] == "                  a: is 0"


@pytest.mark.parametrize(
    ("reload", "text"),
    [
        (Reload(at=0, ok=True), ["Nothing has changed"]),
        (Reload(at=0, ok=True, waiting=["a stays"]), ["a stays", "Nothing else has changed"]),
        (
            Reload(at=0, ok=True, changed=["b"], waiting=["a"], warnings=["c"]),
            ["a", "Changed: b", "Warning: c"],
        ),
        (Reload(at=0, ok=False, problems=["a", "b"]), ["a", "b"]),
    ],
)
def test_what_a_reload_came_to(reload: Reload, text: list[str]) -> None:
    assert list(reload_lines(reload)) == text


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="forebay-", dir="/tmp") as directory:
        yield Path(directory) / "control"


async def test_of_a_node(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(FakeNode("/etc/\x1b[2J.toml"), socket):
        assert await asyncio.to_thread(run, ["status", "--socket", str(socket)]) == 0
        assert "  configuration   /etc/\\x1b[2J.toml\n" in capsys.readouterr().out
        assert await asyncio.to_thread(run, ["status", "--json", "--socket", str(socket)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["control_socket"]) == (True, str(socket))
    assert answer["configuration"] == "/etc/\x1b[2J.toml"


def test_of_none(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--json", "--socket", str(socket)]) == 1
    told = f"{socket}: no Forebay runs there: there is no such socket"
    assert json.loads(capsys.readouterr().out) == {"ok": False, "problems": [told]}
    assert run(["status", "--socket", str(socket), "--config", "x"]) == 2
