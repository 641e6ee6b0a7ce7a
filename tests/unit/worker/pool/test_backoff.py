"""How long a failed opening waits for the next."""

import pytest

from forebay.net.connector import ConnectError
from forebay.protocol.errors import PgError, Severity
from forebay.worker.pool.backoff import Backoff


def refusal(sqlstate: str) -> PgError:
    return PgError(Severity.FATAL, sqlstate, "no")


@pytest.mark.parametrize(
    ("error", "heals"),
    [
        (refusal("53300"), True),
        (refusal("57P03"), True),
        (refusal("08006"), True),
        (refusal("28P01"), False),
        (refusal("3D000"), False),
        (refusal("57014"), True),
        (ConnectError("refused", transient=True), True),
        (ConnectError("no TLS", transient=False), False),
        (ValueError("a bug"), False),
    ],
)
def test_what_time_may_heal(error: Exception, heals: bool) -> None:
    backoff = Backoff.after(error, 5.0, None)
    assert (backoff.error, backoff.is_transient) == (error, heals)


def test_tries_become_rarer_up_to_a_bound() -> None:
    backoff = None
    delays = []
    for _ in range(7):
        backoff = Backoff.after(refusal("53300"), 10.0, backoff)
        assert backoff.retry_at == 10.0 + backoff.delay_s
        assert backoff.since == 10.0
        delays.append(backoff.delay_s)
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_a_refusal_for_good_is_kept_as_long_each_time() -> None:
    first = Backoff.after(refusal("28P01"), 0.0, None)
    again = Backoff.after(refusal("28P01"), 1.0, first)
    assert (first.delay_s, again.delay_s) == (1.0, 1.0)
    assert (first.since, again.since) == (0.0, 0.0)
