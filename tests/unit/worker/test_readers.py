"""Which readers there are, and where clients go."""

import msgspec
import pytest

from tests.unit.worker.readers_world import WRITER, ReadersWorld, Reading

A, B, C = "a:5432", "b:5432", "c:5432"


FAR = (
    "every reader is further behind than max_replica_lag (2 s), or was: a:5432 by 3 s,"
    " b:5432 by an unknown time"
)


def where(clients: list[Reading]) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in clients:
        found[each.address] = found.get(each.address, 0) + 1
    return found


def test_clients_are_spread_by_weight_and_stay() -> None:
    world = ReadersWorld({A: 30, B: 10})
    world.tell(A, B)
    clients = [world.client() for _ in range(40)]
    assert where(clients) == {A: 30, B: 10}
    for _ in range(3):
        for each in clients:
            world.ask(each)
            world.done(each)
        world.tick()
    assert where(clients) == {A: 30, B: 10}


def test_who_waits_in_vain_is_moved_at_once() -> None:
    world = ReadersWorld({A: 1, B: 1})
    world.tell(A, B)
    clients = [world.client() for _ in range(4)]
    first, second, third, _ = clients
    assert [each.address for each in clients] == [A, B, A, B]
    world.ask(first)
    world.ask(third)
    assert (third.address, third.server is not None) == (B, True)
    world.ask(second)
    assert second.is_waiting
    world.done(first)
    world.tick()
    assert (second.address, second.server is not None) == (A, True)


def test_a_reader_that_leaves_gives_its_clients_away_between_transactions() -> None:
    world = ReadersWorld({A: 2, B: 4})
    world.tell(A)
    idle, busy, other, waiting = [world.client() for _ in range(4)]
    world.ask(busy, other, waiting)
    assert waiting.is_waiting
    since = waiting.place.waits_since
    world.clock.pass_time(1.0)
    world.tell(B, epoch=2)
    assert (idle.address, waiting.address) == (B, B)
    assert waiting.server is not None or waiting.place.waits_since == since
    assert (busy.address, other.address) == (A, A)
    (left,) = [each for each in world.all if str(each.target) == A]
    assert len(left.manager.servers) == 2
    world.done(busy)
    world.ask(busy)
    assert busy.address == B  # it was served there, without waiting for a tick
    world.done(other)
    world.tick()
    assert (other.address, left.manager.servers) == (B, set())
    assert not left.manager.has_clients


def test_who_is_pinned_is_told_where_its_reader_is_none_any_more() -> None:
    world = ReadersWorld({A: 2, B: 2})
    for how, is_told in (
        ({"writer": A, "epoch": 2}, True),  # promoted
        ({"epoch": 3}, True),  # taken out of the hosts
    ):
        world.tell(A, epoch=how["epoch"])
        pinned = world.asking()
        pinned.pinned = True
        world.tell(B, **how)
        assert (pinned.farewell is not None) == is_told
        assert A in (pinned.farewell.detail or "") if pinned.farewell else True


def test_who_is_pinned_to_a_reader_that_is_behind_stays() -> None:
    world = ReadersWorld({A: 2, B: 2}, max_replica_lag=5.0)
    world.tell(A)
    pinned = world.asking()
    pinned.pinned = True
    world.tell(A, B, lags={A: 9.0})
    assert (pinned.farewell, pinned.address) == (None, A)
    assert world.client().address == B


def test_connections_to_a_reader_that_is_lost_are_cut() -> None:
    world = ReadersWorld({A: 2, B: 2})
    world.tell(A, B)
    busy = world.asking()
    idle = world.client()
    world.ask(idle)
    assert (busy.address, idle.address) == (A, B)
    connection = busy.server
    world.tell(B, lost=[A])
    assert connection is not None
    assert connection.is_closed
    assert "does not answer" in connection.reason
    busy.lose()
    world.tick()
    assert busy.address == B
    world.tell(A, B)
    assert {str(each.target) for each in world.readers._open.values()} == {A, B}


def test_a_reader_that_joins_gets_idle_clients_a_few_at_a_time() -> None:
    world = ReadersWorld({A: 100, B: 100})
    world.tell(A)
    clients = [world.client() for _ in range(100)]
    busy = clients[:10]
    world.ask(*busy)
    world.tell(A, B)
    assert where(clients) == {A: 100}
    before = 100
    for _ in range(120):
        world.tick()
        now = where(clients)[A]
        assert before - now <= 1
        before = now
    assert 50 <= before <= 53
    assert all(each.address == A for each in busy)


def test_opening_fails_and_another_reader_serves() -> None:
    """As when it has died, and the node has not noticed yet."""
    world = ReadersWorld({A: 2, B: 2})
    world.tell(A, B)
    world.down.add(A)
    client = world.client()
    assert client.address == A
    world.ask(client)
    world.tick()
    assert (client.address, client.server is not None) == (B, True)
    assert (A, "refused") in world.hints
    assert world.client().address == B


def test_who_was_sent_away_comes_back() -> None:
    """However short it was that the reader could not be reached."""
    world = ReadersWorld({A: 2, B: 2})
    world.tell(A, B)
    clients = [world.client() for _ in range(6)]
    for _ in range(30):
        world.tick()
    world.down.add(A)
    for each in clients:
        world.ask(each)
        if each.server is not None:
            world.done(each)
    assert where(clients) == {B: 6}
    world.down.clear()
    (reader,) = [each.manager for each in world.all if str(each.target) == A]
    pool = reader.pool("shop", "app")
    reader.probe(pool)  # as who waits there has it done
    world.settle()
    assert not reader.openings.is_failing
    for _ in range(30):
        world.tick()
    assert where(clients) == {A: 3, B: 3}


def test_without_a_reader_requests_wait_and_are_served_in_order() -> None:
    world = ReadersWorld({A: 1, B: 1}, borrow_timeout_s=5.0)
    early = world.asking()
    world.tell(lost=[A])
    late = world.asking()
    assert early.is_waiting
    assert late.is_waiting
    world.tick(3.0)
    assert early.is_waiting
    world.tell(A)
    world.tick()
    assert early.server is not None
    assert late.is_waiting
    world.done(early)
    assert late.server is not None


def test_who_has_waited_too_long_is_told_what_is_missing() -> None:
    world = ReadersWorld({A: 1, B: 1}, borrow_timeout_s=5.0, max_replica_lag=2.0)
    details = []
    for near, given in (
        ((), {"lost": [A, B]}),
        ((A, B), {"lags": {A: 3.0, B: None}}),
        ((), {"servers": 0}),  # it is not told
    ):
        world.tell(*near, **given)
        client = world.asking()
        world.tick(6.0)
        assert client.error is not None
        details.append(client.error.detail)
    assert details == [
        "no reader is available: a:5432, b:5432 cannot be used",
        FAR,
        "no reader is available",
    ]


def test_where_there_is_no_server_but_the_writer_nobody_waits() -> None:
    world = ReadersWorld({A: 1})
    waiting = world.asking()
    world.tell(servers=1)
    assert waiting.error is not None
    assert (waiting.error.sqlstate, waiting.error.message) == ("08000", "The target has no reader.")
    late = world.asking()
    assert late.error is not None
    assert late.error.sqlstate == "08000"
    assert {str(each.target) for each in world.all} == {WRITER}  # the lobby's name alone
    assert not any(each.manager.servers for each in world.all)


@pytest.mark.parametrize("state", ["SUSPECT", "HOLD"])
def test_while_nobody_writes_readers_serve(state: str) -> None:
    world = ReadersWorld({A: 1})
    world.tell(A, state=state)
    assert world.asking().server is not None
    world.tell(state=state)
    assert world.asking().is_waiting


def test_old_news_and_a_writer_among_standbys_are_nothing() -> None:
    world = ReadersWorld({A: 1, B: 1})
    world.tell(A, epoch=5)
    world.tell(B, epoch=4)
    assert list(world.readers._open) == [A]
    world.tell(A, B, writer=A, epoch=6)
    assert list(world.readers._open) == [B]


def test_a_server_alone_is_taken_at_its_word() -> None:
    """Nobody watches it; it may be another one by a reload."""
    world = ReadersWorld({})
    world.limits |= {WRITER: 1, A: 1}
    assert list(world.readers._open) == [WRITER]
    target = msgspec.structs.replace(world.settings.target, hosts=[A])
    world.readers.apply(msgspec.structs.replace(world.settings, target=target))
    world.settle()
    assert list(world.readers._open) == [A]
    assert world.asking().server is not None


def test_a_bound_that_changes_holds_at_once() -> None:
    world = ReadersWorld({A: 1, B: 1}, max_replica_lag=5.0)
    world.tell(A, B, lags={A: 4.0})
    assert set(world.readers._open) == {A, B}
    target = msgspec.structs.replace(world.settings.target, max_replica_lag=1.0)
    world.readers.apply(msgspec.structs.replace(world.settings, target=target))
    assert set(world.readers._open) == {B}


def test_servers_that_left_are_not_remembered_for_ever() -> None:
    addresses = [f"s{number}:5432" for number in range(150)]
    world = ReadersWorld(dict.fromkeys(addresses, 1))
    for epoch, each in enumerate(addresses, 1):
        world.tell(each, epoch=epoch)
    assert len(world.all) <= 103
