"""Where a cancel request goes, and who is spared."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from forebay.net.connector import ConnectError, Target
from forebay.net.tls import ClientContexts
from forebay.protocol.errors import PgError
from forebay.worker import cancel
from forebay.worker.cancel import OWN_STEPS, Canceller

TARGET = Target("db.internal")


class Ledger:
    """`owed`: replies that are owed. `own`: so many looks long, they are to what Forebay itself has
    asked."""

    def __init__(self, owed: int, own: int = 0) -> None:
        self.count = owed
        self.own = own

    def action(self) -> int:
        return int(self.own > 0)

    def is_own_turn(self) -> bool:
        self.own -= 1
        return self.own >= 0


class Connection:
    def __init__(self, owed: int = 1, own: int = 0) -> None:
        self.ledger = Ledger(owed, own)
        self.client: object = None
        self.pid, self.cancel_key, self.place = 4711, b"secret", ("family", "address")
        self.cancels_in_flight = self.finished = 0
        self.retired = False

    def cancel_finished(self) -> None:
        self.cancels_in_flight -= 1
        self.finished += 1


class Client:
    def __init__(self, server: Connection | None = None, *, is_waiting: bool = False) -> None:
        self.server = server
        self.is_waiting = is_waiting
        self.told: list[PgError] = []
        if server is not None:
            server.client = self

    def refuse(self, error: bytes) -> None:
        self.told.append(PgError.parse(error[5:]))


class Deliveries:
    """What was sent. `during`: is called while a request is on its way."""

    def __init__(self) -> None:
        self.sent: list[SimpleNamespace] = []
        self.pauses = 0
        self.during: Callable[[], object] = lambda: None
        self.at_pause: Callable[[], object] = lambda: None

    async def send(self, target: Target, pid: int, key: bytes, **how: object) -> None:
        self.sent.append(SimpleNamespace(target=target, pid=pid, key=key, place=how["place"]))
        self.during()

    async def pause(self) -> None:
        self.pauses += 1
        self.at_pause()


@pytest.fixture
def deliveries(monkeypatch: pytest.MonkeyPatch) -> Deliveries:
    found = Deliveries()
    monkeypatch.setattr("forebay.net.connector.send_cancel", found.send)
    monkeypatch.setattr(cancel, "pause", found.pause)
    return found


async def cancelled(client: Client) -> None:
    await Canceller(lambda: TARGET, ClientContexts()).cancel_client(cast(Any, client))


async def test_who_waits_for_a_connection_is_answered_at_once(deliveries: Deliveries) -> None:
    client = Client(is_waiting=True)
    await cancelled(client)
    (error,) = client.told
    assert (error.sqlstate, error.severity.value) == ("57014", "ERROR")
    assert not deliveries.sent


@pytest.mark.parametrize("server", [None, Connection(owed=0)])
async def test_without_a_statement_under_way_it_means_nothing(
    deliveries: Deliveries, server: Connection | None
) -> None:
    client = Client(server)
    await cancelled(client)
    assert not client.told
    assert not deliveries.sent


async def test_it_is_delivered_once_and_nobody_else_gets_the_connection_before(
    deliveries: Deliveries,
) -> None:
    server = Connection()
    deliveries.during = lambda: in_flight.append(server.cancels_in_flight)
    in_flight: list[int] = []
    await cancelled(Client(server))
    (sent,) = deliveries.sent
    assert vars(sent) == {
        "target": TARGET,
        "pid": 4711,
        "key": b"secret",
        "place": ("family", "address"),
    }
    assert in_flight == [1]
    assert (server.cancels_in_flight, server.finished, server.retired) == (0, 1, False)


async def test_it_waits_for_forebays_own_question_and_does_not_hit_that(
    deliveries: Deliveries,
) -> None:
    server = Connection(own=3)
    deliveries.at_pause = lambda: early.append(len(deliveries.sent))
    early: list[int] = []
    await cancelled(Client(server))
    assert early == [0, 0, 0]
    assert len(deliveries.sent) == 1


@pytest.mark.parametrize("what", ["is another's", "is answered"])
async def test_it_comes_too_late_for_what_is_over_meanwhile(
    deliveries: Deliveries, what: str
) -> None:
    server = Connection(own=3)
    client = Client(server)

    def over() -> None:
        if what == "is answered":
            server.ledger.count = 0
        else:
            server.client = Client()

    deliveries.at_pause = over
    await cancelled(client)
    assert deliveries.pauses == 1
    assert not deliveries.sent
    assert server.finished == 0


async def test_it_does_not_wait_for_ever(deliveries: Deliveries) -> None:
    await cancelled(Client(Connection(own=10**9)))
    assert deliveries.pauses == OWN_STEPS
    assert not deliveries.sent


async def test_a_connection_whose_cancel_may_come_at_any_time_is_not_used_again(
    deliveries: Deliveries, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> None:
        raise ConnectError("timeout expired", transient=True)

    deliveries.during = fails
    server = Connection()
    await cancelled(Client(server))
    assert server.retired
    assert (server.cancels_in_flight, server.finished) == (0, 1)
    assert "could not be delivered: timeout expired" in caplog.text
    assert "secret" not in caplog.text
