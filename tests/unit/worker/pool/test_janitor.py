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
