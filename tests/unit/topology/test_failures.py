"""What it means that a probe failed."""

import pytest

from forebay.net.connector import ConnectError
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.messages import MalformedMessageError
from forebay.topology.failures import MAX_TEXT, failure, hint, sentence


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("57P01", "lost"),
        ("57P02", "lost"),
        ("57P03", "starting"),
        ("28P01", "auth"),
        ("28000", "auth"),
        ("53300", "too_many"),
        ("3D000", "other"),
        ("57014", "other"),
    ],
)
def test_what_a_server_says(sqlstate: str, kind: str) -> None:
    found = failure(PgError(Severity.FATAL, sqlstate, "a reason"))
    assert found.kind == kind
    assert found.text == f"a reason (SQLSTATE {sqlstate})"


def test_what_happens_to_a_connection() -> None:
    assert failure(ConnectError("x", transient=True, kind="refused")).kind == "refused"
    refused = ConnectError("db.test:5432: Connection refused", transient=True, kind="refused")
    assert failure(refused, "db.test:5432").text == "Connection refused"
    assert failure(TimeoutError()).kind == "timeout"
    assert failure(ConnectionResetError()).kind == "lost"
    assert failure(MalformedMessageError("nonsense")).kind == "protocol"
    assert failure(ZeroDivisionError("with a secret")).text == "ZeroDivisionError"


def test_endings() -> None:
    assert [hint(each) for each in ("57P01", "57P02", "57P03")] == [
        "terminated",
        "crashed",
        "starting",
    ]
    assert hint("01000") is None


def test_texts_are_fit_for_a_log() -> None:
    assert sentence("one\ntwo\x1b[31m") == "one two [31m"
    assert len(sentence("x" * 5_000)) == MAX_TEXT
