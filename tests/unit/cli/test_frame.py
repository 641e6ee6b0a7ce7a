from dataclasses import replace

import msgspec
import pytest

from forebay.channel import Histogram, PinRow, ProxyFigures, ProxyView, WorkerFigures
from forebay.cli.frame import Look, frame, picture, shares
from forebay.node.events import Event
from forebay.node.processes import NodeFigures, ProcessFigures
from forebay.node.status import ProxyStatus
from forebay.node.target_status import ServerStatus, TargetStatus
from tests.unit.cli.looking import holder, row

NUMBERS = {
    "client_connections": 100,
    "clients_waiting": 60,
    "clients_waiting_longest_s": 12.34,
    "database_connections": 40,
    "database_connections_borrowed": 40,
    "max_database_connections_allowed": 40,
    "queries": 100,
}
VIEW = ProxyView(
    holders=[
        holder(each, "idle in transaction", 60.0 - each, application="a" * 60) for each in range(40)
    ],
    holders_count=40,
    waiters=[row(100 + each, "waiting", 12.3, application="w\x1b[2J") for each in range(50)],
    waiters_count=60,
    pins=[PinRow(reason="LISTEN", digest="listen", count=3, now=1, total_s=100.0)] * 2,
    sentence="All 40 are held.",
    hint="Commit.",
)
STATUS = ProxyStatus(name="app", listen=[], target=[], max_client_connections=1, limit="at most 40")


def figures(at: float, worker_started_at: float = 1.0, **numbers: int) -> NodeFigures:
    latency = Histogram(10, 1000.0, {40: 10}) if at > 1000 else Histogram()
    proxy = ProxyFigures(
        target="db:5432", numbers={**NUMBERS, **numbers}, histograms={"query": latency}
    )
    return NodeFigures(
        at=at,
        node=ProcessFigures(pid=1, started_at=900.0),
        worker=ProcessFigures(pid=2, cpu_s=at / 2),
        worker_restarts=0,
        counted=WorkerFigures(started_at=worker_started_at, proxies={"app": proxy}),
    )


LOOK = Look("app", STATUS, figures(1002.0, queries=200), VIEW, figures(1000.0))


@pytest.mark.parametrize("size", [(80, 23), (20, 10), (200, 60), (1, 1), (80, 0)])
@pytest.mark.parametrize("front", ["h", "w", "p"])
def test_it_fits(size: tuple[int, int], front: str) -> None:
    width, height = size
    lines = frame(LOOK, front, width, height)
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    assert all(line.isprintable() for line in lines)


def test_on_a_small_terminal_everything_is_there() -> None:
    lines = frame(LOOK, "h", 80, 23)
    text = "\n".join(lines)
    assert lines[0].startswith("app  ")
    assert "50 queries/s" in lines[0]
    assert "worker 50%" in lines[0]
    assert "p50 0.0 ms" in lines[0]
    assert lines[1] == picture(LOOK, NUMBERS)
    assert lines[1].startswith(
        "100 clients ─▶ 60 waiting, 12 s ─▶ 40 of 40 connections used (≤ 40)"
    )
    assert lines[2:4] == ["limit: at most 40", "Commit."]
    assert "h  40 connections in use" in text
    assert text.count("idle in transaction") >= 5
    assert text.count("w\\x1b[2J") >= 1
    assert text.count("LISTEN") >= 1


def test_what_is_in_front_comes_first_and_has_most_room() -> None:
    for front in ("h", "w", "p"):
        headings = [
            line[0] for line in frame(LOOK, front, 80, 40) if line[1:3] == "  " and line[0] in "hwp"
        ]
        assert headings[0] == front
        assert sorted(headings) == ["h", "p", "w"]
    many = "\n".join(frame(LOOK, "w", 80, 23)).count("w\\x1b[2J")
    assert many > "\n".join(frame(LOOK, "h", 80, 23)).count("w\\x1b[2J")


def test_without_a_terminal_everything_is_told() -> None:
    lines = frame(LOOK, "h", None, None)
    assert sum("idle in transaction" in line for line in lines) == 40
    assert any("a" * 60 in line for line in lines)


def test_there_are_rates_of_one_worker_only() -> None:
    for before in (None, figures(1002.0), figures(1000.0, worker_started_at=0.5)):
        look = Look("app", STATUS, figures(1002.0), VIEW, before)
        assert "queries/s" not in frame(look, "h", 80, 24)[0]


def test_the_latest_warning() -> None:
    event = Event(number=1, at=1001.0, level="WARNING", text="slow\x1b[2J")
    lines = frame(replace(LOOK, warning=event), "h", None, None)
    assert lines[4].endswith(" warning: slow\\x1b[2J")
    old = msgspec.structs.replace(event, at=600.0)
    assert frame(replace(LOOK, warning=old), "h", None, None)[4].startswith("h  ")


def test_trouble_and_others() -> None:
    look = Look("app", STATUS, figures(1.0), ProxyView(), number=2, count=3, trouble="gone")
    lines = frame(look, "h", 80, 24)
    assert lines[0].startswith("app (2 of 3)")
    assert lines[3] == "gone"
    assert lines[4].startswith("h  0 connections")
    unknown = msgspec.structs.replace(look.figures.counted.proxies["app"], numbers={})
    look.figures.counted.proxies["app"] = unknown
    assert (
        picture(look, {}) == "0 clients ─▶ nobody waits ─▶ 0 of 0 connections used (≤ ?) ─▶ db:5432"
    )


@pytest.mark.parametrize(
    ("counts", "room", "given"),
    [
        ([40, 50, 2], 19, [7, 3, 2]),
        ([1, 1, 1], 100, [1, 1, 1]),
        ([40, 0, 0], 20, [16, 0, 0]),
        ([0, 40, 0], 20, [0, 16, 0]),
        ([5, 5, 5], 3, [0, 0, 0]),
    ],
)
def test_shares(counts: list[int], room: int, given: list[int]) -> None:
    found = shares(counts, room)
    assert len(found) == 3
    assert sum(found) + sum(2 if each else 1 for each in counts) <= max(room, 6)
    if counts == [40, 50, 2]:
        assert found[0] > found[1] >= 1
    else:
        assert found == given


def test_the_servers_and_which_of_them_writes() -> None:
    standby = ServerStatus(address="b:1", role="READ_ONLY", health="AVAILABLE", lag_s=0.5)
    found = TargetStatus(
        state="HOLD",
        epoch=3,
        cause="nobody writes",
        since=1000.0,
        servers=[
            ServerStatus(address="a:1", role="READ_WRITE", health="AVAILABLE", timeline=2),
            standby,
            ServerStatus(address="c:1", role="UNKNOWN", health="UNAVAILABLE", text="it is\x1b[2J"),
        ],
    )
    look = replace(LOOK, status=msgspec.structs.replace(STATUS, servers=found))
    lines = frame(look, "h", None, None)
    at = lines.index("servers: HOLD for 2.0 s, epoch 3: nobody writes")
    assert lines[at + 1 : at + 4] == [
        "  a:1  writes, timeline 2",
        "  b:1  standby, 0.5 s behind",
        "  c:1  UNAVAILABLE, it is\\x1b[2J",
    ]
    many = msgspec.structs.replace(found, servers=[standby] * 7)
    look = replace(LOOK, status=msgspec.structs.replace(STATUS, servers=many))
    assert "  and 2 more: forebay status" in frame(look, "h", None, None)


def test_a_single_server_is_not_listed() -> None:
    assert not [each for each in frame(LOOK, "h", None, None) if each.startswith("servers:")]
