"""What the janitor keeps of clients."""

from types import SimpleNamespace
from typing import Any, cast

from forebay.worker.pool.janitor import DUE_SPARE, Janitor, Timeouts

TIMEOUTS = Timeouts(120, 1800, 86_400, 300, 86_400)


def test_clients_that_come_and_go_leave_nothing_behind() -> None:
    """Functions that connect anew for every event would else be kept for half an hour each."""
    now = 0.0
    sessions = SimpleNamespace(clients={})
    agenda = SimpleNamespace(now=lambda: now)
    janitor = Janitor(cast(Any, agenda), TIMEOUTS, cast(Any, None), cast(Any, sessions))
    stay = list(range(500))
    for number in range(20_000):
        now += 0.001
        client = SimpleNamespace(process_id=number)
        sessions.clients[number] = client
        janitor.watch(cast(Any, client))
        if number not in stay:
            del sessions.clients[number]
        assert len(janitor._due) <= 2 * len(stay) + DUE_SPARE + 2
    assert {number for _, number in janitor._due} >= set(stay)
    assert janitor._due[0] == min(janitor._due)


def test_a_client_beyond_its_age_may_still_be_idle_for_too_long() -> None:
    """One that is in the middle of a transaction then is let to end it, but not to forget it."""
    told: list[str] = []
    sessions = SimpleNamespace(clients={})
    client = SimpleNamespace(process_id=7, connected_at=0.0, last_active=86_000.0, is_busy=False)
    client.part = lambda _: told.append("too old")

    def fail(error: bytes, reason: str) -> None:
        told.append(reason)
        del sessions.clients[7]

    client.fail = fail
    sessions.clients[7] = client
    agenda = SimpleNamespace(now=lambda: 0.0)
    janitor = Janitor(cast(Any, agenda), TIMEOUTS, cast(Any, None), cast(Any, sessions))
    janitor.watch(cast(Any, client))
    janitor._end_clients(86_399.0)
    assert told == []
    client.last_active = 86_399.0
    janitor._end_clients(86_401.0)
    assert told == ["too old"]
    janitor._end_clients(86_399.0 + TIMEOUTS.idle_client_timeout_s - 1)
    assert told[-1] == "too old"
    janitor._end_clients(86_399.0 + TIMEOUTS.idle_client_timeout_s + 1)
    assert told[-1] == "it was idle for too long"
    assert janitor._due == []
