"""What is told of the servers of a proxy."""

from forebay.config.addresses import Address
from forebay.node.target_status import ServerStatus, TargetStatus, target_status
from forebay.topology.reports import Report, Server, State, Verdict

A, B, C = (Address(name, 5432) for name in "abc")
SERVERS = (
    Server(A, "AVAILABLE", report=Report(in_recovery=False, timeline=2)),
    Server(B, "AVAILABLE", report=Report(in_recovery=True, lag_s=0.5)),
    Server(C, "UNAVAILABLE", "UNREACHABLE", "c:5432: Connection refused"),
)


def verdict(state: State, cause: str = "") -> Verdict:
    return Verdict(state, 3, A, SERVERS, 0.0, cause)


def test_each_server_with_its_role_and_health() -> None:
    found = target_status(verdict("UP"), 7, "")
    assert (found.state, found.epoch, found.writer) == ("UP", 7, "a:5432")
    assert found.servers == [
        ServerStatus(address="a:5432", role="READ_WRITE", health="AVAILABLE", timeline=2),
        ServerStatus(address="b:5432", role="READ_ONLY", health="AVAILABLE", lag_s=0.5),
        ServerStatus(
            address="c:5432",
            role="UNKNOWN",
            health="UNAVAILABLE",
            reason="UNREACHABLE",
            text="c:5432: Connection refused",
        ),
    ]


def test_who_wrote_is_not_known_to_write_while_requests_wait() -> None:
    found = target_status(verdict("HOLD", "a:5432 is silent"), 7, "the name has no address")
    assert (found.cause, found.trouble) == ("a:5432 is silent", "the name has no address")
    assert found.servers[0].role == "UNKNOWN"


def test_nothing_is_known_yet() -> None:
    assert target_status(None, 0, "") == TargetStatus(cause="no server has answered yet")
