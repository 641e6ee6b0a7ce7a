from typing import Any

import msgspec
import pytest

from forebay.demo.result import Result

GOOD: dict[str, Any] = {
    "clients": 300,
    "database_connection_limit": 45,
    "pool_connection_limit": 40,
    "database_connections_peak": 40,
    "transactions": 1000,
    "books_balance": True,
}


def test_a_good_run() -> None:
    assert Result(**GOOD).is_good


@pytest.mark.parametrize(
    ("figure", "value", "complaint"),
    [
        ("refused", 2, "2 clients were refused"),
        ("unconnected", 1, "could not connect"),
        ("failed_transactions", 3, "3 transactions failed"),
        ("transactions", 0, "no transaction"),
        ("database_connections_peak", 41, "41 database connections"),
        ("worker_restarts", 1, "worker died"),
        ("books_balance", False, "do not add up"),
        ("errors", {"lost": 4}, "4 × lost"),
    ],
)
def test_whatever_went_wrong_is_said(figure: str, value: object, complaint: str) -> None:
    result = Result(**(GOOD | {figure: value}))
    assert not result.is_good
    assert complaint in "; ".join(result.complaints())


def test_the_json_has_the_promised_keys() -> None:
    promised = {
        "clients", "database_connection_limit", "database_connections_peak", "direct_refused",
        "refused", "failed_transactions", "transactions", "wait_ms_p50", "wait_ms_p99",
        "latency_ms_p50", "latency_ms_p99", "added_latency_us_p50",
    }  # fmt: skip
    assert promised <= msgspec.json.decode(msgspec.json.encode(Result(**GOOD))).keys()
