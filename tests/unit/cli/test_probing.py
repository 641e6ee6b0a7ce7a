"""What the databases' answers mean."""

import pytest

from forebay.cli.probing import _parse

ROW: list[str | None] = ["16.1", "160001", "false", "true", "-1", "5", "0", "0", "md5", "7"]
LIMITS: list[list[str | None]] = [["100", "1", "0", "2"]]


def test_an_answer() -> None:
    facts = _parse([ROW], LIMITS, None, asks_password=False)
    assert (facts.server_version, facts.server_version_number) == ("16.1", 160_001)
    assert (facts.is_replica, facts.is_superuser) == (False, True)
    assert (facts.user_limit, facts.database_limit, facts.others_connected) == (-1, 5, 7)
    assert (facts.max_connections, facts.reserved) == (100, 3)
    assert facts.tls is None
    assert not facts.asks_password


@pytest.mark.parametrize(
    ("rows", "limits"),
    [
        ([], LIMITS),
        ([ROW, ROW], LIMITS),
        ([ROW[:-1]], LIMITS),
        ([ROW], []),
        ([[*ROW[:-1], None]], LIMITS),
        ([ROW], [["x", "3", "0", "0"]]),
    ],
)
def test_what_is_no_answer(rows: list[list[str | None]], limits: list[list[str | None]]) -> None:
    with pytest.raises(ValueError):
        _parse(rows, limits, None, asks_password=True)
