"""What the janitor keeps of clients."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from forebay.protocol.errors import parse_fields
from forebay.relay.statements.statement import Account, Text
from forebay.worker.pool.chores import Timeouts
from forebay.worker.pool.janitor import DUE_SPARE, Janitor

TIMEOUTS = Timeouts(120, 1800, 86_400, 300, 86_400)


def test_clients_that_come_and_go_leave_nothing_behind() -> None:
    """Functions that connect anew for every event would else be kept for half an hour each."""
    now = 0.0
    sessions = SimpleNamespace(clients={})
    agenda = SimpleNamespace(now=lambda: now)
    janitor = Janitor(cast(Any, agenda), TIMEOUTS, [], cast(Any, sessions))
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


class Client:
    """As much of a client as is looked after."""

    def __init__(self, clients: dict[int, "Client"], **state: Any) -> None:
        self.process_id = 7
        self.connected_at = self.last_progress = 0.0
        self.is_busy = self.is_stalled = False
        self.unsent_seen = self.unsent_bytes = 0
        self.told: list[tuple[str, str]] = []
        self.clients = clients
        self.may_part = False
        vars(self).update(state)
        clients[7] = self

    def part(self, error: bytes) -> None:
        if self.may_part:
            self.fail(error, "parted")

    def fail(self, error: bytes, reason: str) -> None:
        self.told.append((parse_fields(error[5:])["M"], reason))
        del self.clients[7]


def looked_after(**state: Any) -> tuple[Client, Janitor]:
    clients: dict[int, Client] = {}
    client = Client(clients, **state)
    agenda = SimpleNamespace(now=lambda: 0.0)
    sessions = SimpleNamespace(clients=clients)
    janitor = Janitor(cast(Any, agenda), TIMEOUTS, [], cast(Any, sessions))
    janitor.watch(cast(Any, client))
    return client, janitor


IDLE_S, AGE_S = TIMEOUTS.idle_client_timeout_s, TIMEOUTS.max_client_age_s
IDLE = ("terminating connection due to idle-session timeout", "it was idle for too long")
OLD = "terminating connection because it has reached the maximum client connection age"


def test_a_client_beyond_its_age_may_still_be_idle_for_too_long() -> None:
    """One that is in the middle of a transaction then is let to end it, but not to forget it."""
    client, janitor = looked_after(last_progress=AGE_S - 400)
    janitor._end_clients(AGE_S - 1)
    assert client.told == []
    client.last_progress = AGE_S - 1
    for now in (AGE_S + 1, AGE_S + 900, AGE_S - 1 + IDLE_S - 1):
        janitor._end_clients(now)
        assert client.told == []
    janitor._end_clients(AGE_S - 1 + IDLE_S + 61)
    assert client.told == [IDLE]
    assert janitor._due == []


def test_a_client_that_stands_still_is_idle() -> None:
    client, janitor = looked_after(is_stalled=True, last_progress=100.0)
    janitor._end_clients(IDLE_S + 1)
    assert client.told == []
    janitor._end_clients(IDLE_S + 101)
    assert client.told == [IDLE]


def test_a_client_that_waits_for_others_is_not() -> None:
    client, janitor = looked_after(is_busy=True)
    for turn in range(1, 9):
        janitor._end_clients(turn * IDLE_S + turn)
    assert client.told == []
    client.is_busy = False
    client.last_progress = 9 * IDLE_S
    janitor._end_clients(10 * IDLE_S - 1)
    assert client.told == []
    janitor._end_clients(10 * IDLE_S + 1)
    assert client.told == [IDLE]


def test_a_client_that_reads_slowly_is_not() -> None:
    """Its socket here takes nothing for long, and what the kernel has for it becomes less."""
    client, janitor = looked_after(is_stalled=True, unsent_bytes=1_000_000)
    now = IDLE_S
    for _ in range(50):
        janitor._end_clients(now)
        assert client.told == []
        client.unsent_bytes -= 1000
        now += IDLE_S / 4 + 1
    janitor._end_clients(now)
    janitor._end_clients(now + IDLE_S / 4 - 1)
    assert client.told == []
    janitor._end_clients(now + IDLE_S / 4 + 1)
    assert client.told == [IDLE]


@pytest.mark.parametrize("is_stalled", [False, True])
def test_a_client_ends_at_its_age(is_stalled: bool) -> None:
    """If it stands still it has a minute; while it goes on, as long as that takes."""
    client, janitor = looked_after(is_stalled=is_stalled, last_progress=AGE_S - 1)
    client.may_part = not is_stalled
    janitor._end_clients(AGE_S + 1)
    if not is_stalled:
        assert client.told == [(OLD, "parted")]
        return
    for turn in range(1, 5):
        client.last_progress = AGE_S + 50 * turn
        janitor._end_clients(AGE_S + 50 * turn + 49)
        assert client.told == []
    client.is_busy = True
    client.is_stalled = False
    janitor._end_clients(AGE_S + 10_000)
    client.is_busy = False
    client.is_stalled = True
    client.last_progress = AGE_S + 10_000
    janitor._end_clients(AGE_S + 10_059)
    assert client.told == []
    janitor._end_clients(AGE_S + 20_000)
    assert client.told == [(OLD, "it had reached its limit, and was stalled")]


def test_memory_is_given_back_when_what_was_prepared_is_gone() -> None:
    account = Account(1 << 30)
    sessions = SimpleNamespace(clients={}, texts=SimpleNamespace(account=account))
    given_back: list[str] = []
    agenda = SimpleNamespace(now=lambda: 0.0)
    agenda.spawn = lambda coroutine, name: (coroutine.close(), given_back.append(name))
    janitor = Janitor(cast(Any, agenda), TIMEOUTS, [], cast(Any, sessions))
    janitor._trim = lambda: None
    there = [Text(bytes(12 << 20), account), Text(bytes(20 << 20), account)]
    janitor._give_memory_back()
    there.pop(0)
    janitor._give_memory_back()
    assert given_back == []
    there.clear()
    janitor._give_memory_back()
    janitor._give_memory_back()
    assert given_back == ["give memory back"]
    Text(bytes(9 << 20), account)  # is gone before anybody looks
    janitor._give_memory_back()
    assert len(given_back) == 2


def test_chores_of_all_servers_are_done_and_no_others() -> None:
    """Haste is made where it is needed; a server that is new is looked after from then on."""
    done: list[tuple[str, str]] = []

    class Noted:
        def __init__(self, name: str) -> None:
            self.name = name

        def tick(self, now: float, timeouts: Timeouts) -> None:
            assert timeouts is janitor.timeouts
            done.append((self.name, "tick"))

        def slow_tick(self, now: float, timeouts: Timeouts) -> None:
            done.append((self.name, "slow"))

        def stop(self, now: float) -> None:
            done.append((self.name, "stop"))

    agenda = SimpleNamespace(now=lambda: 0.0)
    sessions = SimpleNamespace(clients={}, texts=SimpleNamespace(account=Account(0)))
    a, b = cast(Any, Noted("a")), cast(Any, Noted("b"))
    janitor = Janitor(cast(Any, agenda), TIMEOUTS, [a], cast(Any, sessions))
    janitor.tick(5.0)
    assert done == [("a", "tick"), ("a", "slow")]
    janitor.chores = [b, a]
    done.clear()
    janitor.tick(5.5)
    assert done == [("b", "tick"), ("a", "tick")]
    janitor.chores = [b]
    done.clear()
    janitor.tick(6.1)
    janitor.stop()
    assert done == [("b", "tick"), ("b", "slow"), ("b", "stop")]
