"""Limits of single users and databases."""

import math
from typing import Any

import pytest

from forebay.config.settings import LimitSettings, PoolSettings, ProxySettings, TargetSettings
from tests.unit.worker.pool.pools import Client, World

TARGET = TargetSettings(hosts=["db"])


def settings(
    users: dict[str, LimitSettings] | None = None,
    databases: dict[str, LimitSettings] | None = None,
    **pool: Any,
) -> ProxySettings:
    return ProxySettings(
        target=TARGET, users=users or {}, databases=databases or {}, pool=PoolSettings(**pool)
    )


def most(**connections: int) -> dict[str, LimitSettings]:
    return {name: LimitSettings(max_connections=count) for name, count in connections.items()}


@pytest.fixture
def world() -> World:
    """Ten connections; app may have two of them, and the archive two."""
    world = World(limit=10)
    world.manager.groups.apply(settings(most(app=2), most(archive=2)))
    world.done(world.client("probe"))  # the limit is known
    return world


def change(world: World, given: ProxySettings) -> None:
    """What a reload does."""
    world.manager.groups.apply(given)
    world.manager.apply(world.limits())
    world.manager.schedule()
    world.settle()


def served(*clients: Client) -> list[bool]:
    return [client.server is not None for client in clients]


class TestConnections:
    def test_a_user_at_its_limit_gets_no_more_whatever_the_pool_has(self, world: World) -> None:
        clients = [world.client("app", name) for name in ("a", "b", "c")]
        assert served(*clients) == [True, True, False]
        assert served(world.client("other", "c")) == [True]
        world.done(clients[0])
        assert served(clients[2]) == [True]
        assert clients[2].server is not None
        assert clients[2].server.pool.database == "c"
        assert world.connections[1].reason == "to make room for another user or database"

    def test_an_idle_connection_of_the_user_makes_room_in_another_database(
        self, world: World
    ) -> None:
        first, second = world.client("app", "a"), world.client("app", "b")
        world.done(first)
        world.pass_time(1)
        world.done(second)
        assert served(world.client("app", "c")) == [True]
        assert [each.reason for each in world.connections[1:]] == ["to make room", "", ""]

    def test_an_idle_connection_of_others_does_not(self, world: World) -> None:
        world.client("app", "a"), world.client("app", "b")
        world.done(world.client("other", "a"))
        assert served(world.client("app", "c")) == [False]
        assert not world.connections[-1].is_closed

    def test_a_database_at_its_limit_is_shared_by_its_users(self, world: World) -> None:
        clients = [world.client(name, "archive") for name in ("a", "b", "c", "d")]
        assert served(*clients) == [True, True, False, False]
        world.done(clients[0])
        assert served(*clients[2:]) == [True, False]

    def test_with_both_limits_room_is_needed_in_both(self, world: World) -> None:
        """One idle connection is closed for the user's limit, another for the database's."""
        of_user = world.client("app", "a"), world.client("app", "b")
        of_database = world.client("x", "archive"), world.client("y", "archive")
        client = world.client("app", "archive")
        world.done(of_user[0])
        assert served(client) == [False]
        world.done(of_database[0])
        assert served(client) == [True]
        assert [each.is_closed for each in world.connections[1:]] == [
            *(True, False),
            *(True, False),
            False,
        ]

    def test_room_is_kept_in_one_until_there_is_some_in_the_other(self, world: World) -> None:
        """While neither ever has an idle connection."""
        holding = world.client("app", "a"), world.client("app", "b")
        of_database = world.client("x", "archive"), world.client("y", "archive")
        world.pass_time(1)
        client = world.client("app", "archive")
        world.pass_time(1)
        after = [world.client(*who) for who in (("app", "a"), ("app", "b"), ("x", "archive"))]
        world.done(holding[0])
        assert served(client, *after) == [False, False, False, False]
        assert client.pool.user_group.kept is client.pool
        world.done(of_database[0])
        assert served(client, *after) == [True, False, False, False]
        assert client.pool.user_group.kept is None

    def test_room_that_nobody_needs_any_more_is_not_kept(self, world: World) -> None:
        holding = world.client("app", "a"), world.client("app", "b")
        world.client("x", "archive"), world.client("y", "archive")
        client = world.client("app", "archive")
        world.pass_time(1)
        other = world.client("app", "a")
        world.done(holding[0])
        assert served(client, other) == [False, False]
        client.pool.leave(client.place)
        world.settle()
        assert served(other) == [True]

    def test_no_more_is_opened_for_a_token_or_to_look(self, world: World) -> None:
        groups = world.manager.groups
        assert groups.has_room("a", "app")
        world.client("app", "a"), world.client("app", "b")
        assert not groups.has_room("a", "app")
        assert groups.has_room("a", "other")
        world.manager.probe(world.pool("app", "a"))
        world.settle()
        assert len(world.open) == 3

    def test_a_name_is_cut_as_the_database_cuts_it(self) -> None:
        world = World(limit=10)
        name = "d" * 63
        world.manager.groups.apply(settings(databases=most(**{name: 1})))
        assert served(world.client("a", name), world.client("a", name + "x")) == [True, False]

    def test_who_waits_in_vain_is_told_of_the_limit(self, world: World) -> None:
        client = [world.client("app", name) for name in ("a", "b", "archive")][-1]
        words = world.manager.groups.limits_in_words(client.pool)
        assert words == ['At most 2 database connections are for user "app".']
        world.client("x", "archive"), world.client("y", "archive")
        assert world.manager.groups.limits_in_words(client.pool)[1:] == [
            'At most 2 database connections are for database "archive".'
        ]
        assert world.manager.groups.limits_in_words(world.pool("probe")) == []


class TestChanges:
    def test_a_lower_limit_closes_idle_connections_and_others_as_they_come_free(
        self, world: World
    ) -> None:
        first, second = world.client("app", "a"), world.client("app", "b")
        world.done(first)
        change(world, settings(most(app=1)))
        assert world.connections[1].reason == "the limit was lowered"
        third = world.client("app", "a")
        assert served(third) == [False]
        change(world, settings(most(app=2)))
        assert served(third) == [True]
        world.manager.groups.apply(settings(most(app=1)))
        world.done(second)
        assert world.connections[2].reason == "the limit of its user or its database was lowered"
        world.done(third)
        assert not world.connections[3].is_closed

    def test_a_limit_may_come_and_go(self, world: World) -> None:
        world.manager.groups.apply(settings())
        clients = [world.client("app", name) for name in ("a", "b", "c", "a")]
        assert served(*clients) == [True] * 4
        world.manager.groups.apply(settings(databases=most(a=1)))
        world.manager.assert_counts()
        assert world.manager.groups.is_over
        late = world.client("app", "a")
        world.done(clients[0])
        assert served(late) == [False]
        change(world, settings())
        assert served(late) == [True]
        assert not world.manager.groups.is_over


class TestClients:
    def test_of_a_user_and_of_a_database(self) -> None:
        world = World()
        limit = {"app": LimitSettings(max_client_connections=2)}
        world.manager.groups.apply(settings(limit, limit))
        groups = world.manager.groups
        for database in ("a", "b"):
            assert groups.refusal(world.pool("app", "c"), "app") is None
            world.client("app", database)
        error = groups.refusal(world.pool("app", "c"), "app_b")
        assert error is not None
        assert (error.sqlstate, error.message) == (
            "53300",
            'too many connections for role "app_b"',
        )
        client = [world.client(user, "app") for user in ("a", "b")][-1]
        error = groups.refusal(world.pool("c", "app"), "c")
        assert error is not None
        assert error.message == 'too many connections for database "app"'
        client.pool.note_clients(-1)
        assert groups.refusal(world.pool("c", "app"), "c") is None
        assert groups.refusal(world.pool("c", "d"), "c") is None

    def test_those_who_are_there_when_the_limit_comes_count(self) -> None:
        world = World()
        world.client("app")
        world.manager.groups.apply(settings({"app": LimitSettings(max_client_connections=1)}))
        assert world.manager.groups.refusal(world.pool("app"), "app") is not None


class TestTimeouts:
    @pytest.mark.parametrize(
        ("user", "database", "expected"),
        [
            (None, None, 9.0),
            (3.0, None, 3.0),
            (30.0, None, 30.0),
            (0.0, None, 0.0),
            (30.0, 20.0, 20.0),
            (0.0, 20.0, 20.0),
            (0.0, 0.0, 0.0),
        ],
    )
    def test_the_tables_go_before_the_pool_and_the_shorter_before_the_longer(
        self, user: float | None, database: float | None, expected: float
    ) -> None:
        world = World()
        groups = world.manager.groups
        of_user = LimitSettings(query_timeout=user, idle_transaction_timeout=user)
        of_database = LimitSettings(query_timeout=database, idle_transaction_timeout=database)
        pool = world.pool("app", "shop")
        both = {"app": of_user}, {"shop": of_database}
        groups.apply(settings(*both, query_timeout=9, idle_transaction_timeout=9))
        assert groups.query_timeout_s(pool) == expected
        assert groups.idle_transaction_timeout_s(pool) == expected

    def test_whether_there_are_any(self) -> None:
        groups = World().manager.groups
        assert not groups.has_timeouts
        groups.apply(settings(query_timeout=1))
        assert groups.has_timeouts
        groups.apply(settings({"app": LimitSettings(query_timeout=0)}))
        assert not groups.has_timeouts
        groups.apply(settings(databases={"app": LimitSettings(idle_transaction_timeout=1)}))
        assert groups.has_timeouts

    def test_of_waiting(self) -> None:
        world = World(limit=1)
        tables = {"quick": LimitSettings(query_wait_timeout=2)}, {"slow": wait(300), "odd": wait(3)}
        world.manager.groups.apply(settings(*tables))
        world.client("holding")
        waiting = [
            *(world.client("other", "slow"), world.client("quick", "slow")),
            *(world.client("other"), world.client("quick", "odd"), world.client("other", "odd")),
        ]
        ends_s = [300, 2, 120, 2, 3]
        for waited_s in (1.0, 2.0, 3.0, 120.0, 300.0):
            found = dict(world.manager.groups.overdue(world.clock.now() + waited_s, 120.0))
            expected = {
                client.pool: end_s
                for client, end_s in zip(waiting, ends_s, strict=True)
                if end_s <= waited_s
            }
            assert found == expected

    def test_of_waiting_for_a_group(self) -> None:
        world = World(limit=9)
        world.manager.groups.apply(settings(most(app=1)))
        world.client("app", "a")
        waiting = world.client("app", "b")
        assert waiting.pool.line is waiting.pool.user_group
        now = world.clock.now()
        assert world.manager.groups.overdue(now + 4.9, 5.0) == []
        assert world.manager.groups.overdue(now + 5.0, 5.0) == [(waiting.pool, 5.0)]

    def test_who_does_not_wait_at_all_is_always_looked_at(self) -> None:
        world = World(limit=1)
        world.manager.groups.apply(settings({"patient": wait(9)}))
        world.client("holding")
        world.client("patient")
        other = world.client("other")
        found = world.manager.groups.overdue(world.clock.now() - 1, 0.0)
        assert found == [(other.pool, 0.0)]
        assert world.manager.groups.wait_timeout_s(other.pool, math.inf) == math.inf


def wait(timeout_s: float) -> LimitSettings:
    return LimitSettings(query_wait_timeout=timeout_s)


@pytest.mark.parametrize("name", ["size", "idle", "in_demand", "clients"])
def test_a_count_that_is_wrong_is_noticed(world: World, name: str) -> None:
    group = world.client("app", "a").pool.user_group
    setattr(group, name, getattr(group, name) + 1)
    with pytest.raises(AssertionError, match="counted in a group, of"):
        world.manager.assert_counts()
    setattr(group, name, getattr(group, name) - 1)
    world.manager.assert_counts()


def test_who_waits_in_the_wrong_line_is_noticed(world: World) -> None:
    world.client("app", "a"), world.client("app", "b"), world.client("app", "c")
    world.pool("app", "a").user_group.limit = 3
    with pytest.raises(AssertionError, match="waits for room in its group, and there is some"):
        world.manager.assert_counts()
