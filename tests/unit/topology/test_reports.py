"""What is known of servers."""

from forebay.config.addresses import Address
from forebay.topology.reports import Failure, Report, Server, Verdict

A, B, C = (Address(name, 5432) for name in "abc")


def test_standbys_are_those_in_recovery_that_answer() -> None:
    servers = (
        Server(A, "AVAILABLE", report=Report(in_recovery=False, timeline=2)),
        Server(B, "AVAILABLE", report=Report(in_recovery=True)),
        Server(C, "UNAVAILABLE", "UNREACHABLE", "refused", Report(in_recovery=True)),
    )
    assert Verdict("UP", 1, A, servers, 0.0).standbys == [B]


def test_a_failure_says_what_it_is() -> None:
    assert Failure("refused", "a:5432: Connection refused").kind == "refused"
