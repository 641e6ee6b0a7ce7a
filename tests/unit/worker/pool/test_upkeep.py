"""Which connections have had their time."""

from forebay.worker.pool.upkeep import RENEWAL_S, UNANSWERED_S
from tests.unit.worker.pool.pools import World


def test_the_oldest_surplus_goes_when_it_was_idle_for_long() -> None:
    world = World(limit=4, idle_percent=50)
    clients = world.clients(4)
    for client in clients:
        world.done(client)
        world.pass_time(100)

    def close(max_idle_time_s: float) -> list[bool]:
        world.manager.upkeep.close_idle(world.clock.now(), max_idle_time_s, max_age_s=1e6)
        world.settle()
        return [each.is_closed for each in world.connections]

    assert close(350) == [True, False, False, False]
    assert world.connections[0].reason == "it was idle beyond the limit for idle connections"
    assert close(50) == [True, True, False, False]
    assert close(0) == [True, True, False, False], "so many may stay"


def test_connections_end_at_their_age_and_those_in_use_when_they_come_free() -> None:
    world = World(limit=3)
    clients = world.clients(3)
    world.connections[2].age_jitter = 0.9
    world.done(clients[0])
    world.pass_time(95)
    world.manager.upkeep.close_idle(world.clock.now(), max_idle_time_s=1e6, max_age_s=100)
    assert [each.retired for each in world.connections] == [False, False, True]
    world.pass_time(10)
    world.manager.upkeep.close_idle(world.clock.now(), max_idle_time_s=1e6, max_age_s=100)
    world.settle()
    assert [each.is_closed for each in world.connections] == [True, False, False]
    world.done(clients[1], clients[2])
    assert not world.open


def test_connections_with_an_old_password_are_replaced_not_all_at_once() -> None:
    world = World(limit=40, idle_percent=100)
    clients = world.clients(30)
    world.done(*clients[:29])
    world.manager.upkeep.renew("app", {"new"}, world.clock.now())
    left = []
    for _ in range(6):
        world.pass_time(RENEWAL_S / 6 + 0.1)
        world.manager.upkeep.close_idle(world.clock.now(), max_idle_time_s=1e6, max_age_s=1e6)
        world.settle()
        left.append(len([each for each in world.connections if not each.is_closed]))
    assert left[0] > left[3] > left[5] == 1, "the one in use goes when it comes free"
    world.done(clients[29])
    assert not [each for each in world.connections if not each.is_closed]


def test_those_that_were_made_by_a_login_that_lasts_stay() -> None:
    world = World(limit=4, idle_percent=100)
    world.done(*world.clients(2))
    world.connections[0].made_by = "new"
    world.manager.upkeep.renew("app", {"new"}, world.clock.now())
    world.pass_time(2 * RENEWAL_S)
    world.manager.upkeep.close_idle(world.clock.now(), max_idle_time_s=1e6, max_age_s=1e6)
    world.settle()
    assert [each.is_closed for each in world.connections] == [False, True]


def test_those_of_another_user_stay() -> None:
    world = World(limit=4, idle_percent=100)
    world.done(world.client("bob"))
    world.manager.upkeep.renew("alice", {"new"}, world.clock.now())
    world.pass_time(2 * RENEWAL_S)
    world.manager.upkeep.close_idle(world.clock.now(), max_idle_time_s=1e6, max_age_s=1e6)
    world.settle()
    assert not world.connections[0].is_closed


def test_one_that_does_not_answer_forebay_is_closed() -> None:
    world = World(limit=2)
    world.clients(2)
    silent, busy = world.connections
    silent.client = None
    silent.owed = busy.owed = 1
    for _ in range(4):
        world.manager.upkeep.close_unanswering(world.clock.now())
        world.pass_time(UNANSWERED_S / 3)
        assert not silent.is_closed
    world.manager.upkeep.close_unanswering(world.clock.now())
    assert silent.reason == "it does not answer"
    assert not busy.is_closed, "it is its client who waits"
