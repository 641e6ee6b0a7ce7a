"""What is found out of the servers of a target, and what of it is worth a warning."""

from typing import Any

import msgspec
import pytest

from forebay.cli import servers
from forebay.cli.servers import ServerReport, Standing, lines, look, problems, warnings
from forebay.config import ProxySettings, TargetSettings
from forebay.node.target_status import ServerStatus, TargetStatus
from tests.harness.credentials import credential
from tests.harness.fake_postgres import FakePostgres, rows
from tests.unit.topology.servers import ANSWERS, answering

WRITER = ServerReport(
    server=ServerStatus(address="a:5432", role="READ_WRITE", health="AVAILABLE", timeline=2),
    system_id="7",
    standing=Standing(synchronous_standby_names="ANY 1 (*)", followers=1),
)
STANDBY = ServerReport(
    server=ServerStatus(address="b:5432", role="READ_ONLY", health="AVAILABLE", lag_s=0.5),
    system_id="7",
    standing=Standing(is_following=True),
)
FENCED = ServerReport(
    server=ServerStatus(
        address="b:5432", role="UNKNOWN", health="UNAVAILABLE", reason="FENCED", text="b is over"
    ),
    system_id="7",
)
UP = TargetStatus(state="UP", writer="a:5432")


def of(report: ServerReport, **changes: Any) -> ServerReport:
    """The same, with other values; those of ``server`` and ``standing`` by their own names."""
    for part in ("server", "standing"):
        known = getattr(report, part)
        own = {name: changes.pop(name) for name in list(changes) if hasattr(known, name)}
        if own:
            report = msgspec.structs.replace(
                report, **{part: msgspec.structs.replace(known, **own)}
            )
    return msgspec.structs.replace(report, **changes)


def test_nothing_to_be_said_of_a_writer_with_a_standby() -> None:
    assert list(warnings(UP, [WRITER, STANDBY])) == []
    assert problems(UP) == []


@pytest.mark.parametrize(
    ("reports", "told"),
    [
        ([WRITER, FENCED], ["b is over", "only a:5432 can be used"]),
        ([WRITER], ["there is no standby"]),
        ([WRITER, of(STANDBY, system_id="8")], ["a:5432 of 7, b:5432 of 8"]),
        ([WRITER, of(STANDBY, lag_s=77.0)], ["b:5432 is 77 s behind"]),
        ([WRITER, of(STANDBY, is_read_only=True)], ["b:5432 is read-only for everybody"]),
        ([WRITER, of(STANDBY, is_following=False)], ["b:5432 does not stream"]),
        ([WRITER, of(STANDBY, synchronous_standby_names="*")], ["commits would wait"]),
        ([of(WRITER, synchronous_standby_names=""), STANDBY], ["replication is asynchronous"]),
        ([of(WRITER, text="the control user"), STANDBY], ["the control user"]),
    ],
)
def test_what_will_bite(reports: list[ServerReport], told: list[str]) -> None:
    found = list(warnings(UP, reports))
    assert len(found) == len(told)
    for text, part in zip(found, told, strict=True):
        assert part in text


def test_where_nothing_streams_nobody_is_asked_whether_it_does() -> None:
    reports = [of(WRITER, synchronous_standby_names=""), of(STANDBY, is_following=False)]
    assert list(warnings(UP, reports, has_wal=False)) == []


def test_why_nobody_writes_is_told_once() -> None:
    found = TargetStatus(state="HOLD", cause="b is over", trouble="the name has no address")
    assert problems(found) == ["b is over"]
    assert list(warnings(found, [FENCED, FENCED])) == ["the name has no address"]


def test_in_lines() -> None:
    assert list(lines([WRITER, STANDBY, FENCED])) == [
        "  server   a:5432: read-write, timeline 2, cluster 7",
        "  server   b:5432: read-only, 0.5 s behind, cluster 7",
        "  server   b:5432: UNAVAILABLE, cluster 7",
    ]


async def test_one_server_is_not_asked() -> None:
    proxy = ProxySettings(target=TargetSettings(hosts=["a"]))
    assert await look("app", proxy, []) is None


async def test_servers_are_asked_as_a_running_forebay_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    probe = {
        "writes": answering(),
        "follows": answering(in_recovery="t", timeline=None, is_caught_up="t"),
    }
    own = {"writes": ["*\x1b", "1", "0"], "follows": ["", "0", "1"]}

    def speaker(name: str) -> Any:
        return lambda sql: (
            rows(own[name]) if "synchronous_standby_names" in sql else probe[name](sql)
        )

    async with FakePostgres(speaker("writes")) as one, FakePostgres(speaker("follows")) as other:
        hosts = [f"127.0.0.1:{each.port}" for each in (one, other)]
        proxy = ProxySettings(target=TargetSettings(hosts=hosts))
        credentials = [credential("app", "secret")]
        found = await look("app", proxy, credentials)
        assert found is not None
        assert (found.target.state, found.target.writer) == ("UP", hosts[0])
        assert (found.problems, found.warnings) == ([], [])
        writer, standby = found.reports
        assert writer.standing == Standing(synchronous_standby_names="*", followers=1)
        assert standby.standing == Standing(is_following=True)
        assert writer.system_id == ANSWERS["system_id"]
        monkeypatch.setattr(servers, "SETTLE_S", 0.2)
        probe["writes"] = probe["follows"]
        found = await look("app", proxy, credentials)
        assert found is not None
        assert found.target.state == "HOLD"
        assert "Promote it if it is to write" in found.problems[0]
