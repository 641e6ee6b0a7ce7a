"""Who may open a connection, and who must give one up."""

from dataclasses import dataclass, field

from forebay.worker.pool.decide import claimant, neediest, next_step


@dataclass
class Since:
    waits_since: float = 0.0
    idle_since: float = 0.0


@dataclass(eq=False)
class Pool:
    """A micro-pool: when its first client began to wait, and so on."""

    waits_since: float | None = None
    waiting: int = 0
    opening: int = 0
    borrowed: int = 0
    idle: list[Since] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.waits_since is not None and not self.waiting:
            self.waiting = 1

    @property
    def first_waiter(self) -> Since | None:
        return None if self.waits_since is None else Since(waits_since=self.waits_since)

    @property
    def size(self) -> int:
        return len(self.idle) + self.borrowed + self.opening


class TestNeediest:
    def test_the_longest_wait(self) -> None:
        first, second = Pool(5.0), Pool(3.0)
        assert neediest([first, second, Pool()]) is second

    def test_connections_on_their_way_count(self) -> None:
        served, other = Pool(1.0, waiting=2, opening=2), Pool(9.0)
        assert neediest([served, other]) is other
        assert neediest([served]) is None
        assert neediest([Pool(1.0, waiting=3, opening=2)]) is not None


class TestNextStep:
    def test_nobody_waits(self) -> None:
        assert next_step([Pool()], [Pool()], 10, 10) is None

    def test_open_while_there_is_room(self) -> None:
        pool = Pool(1.0, borrowed=9)
        step = next_step([pool], [pool], 10, 10)
        assert step is not None
        assert (step.action, step.pool) == ("open", pool)

    def test_only_so_many_at_once(self) -> None:
        pool = Pool(1.0, waiting=20, opening=10)
        assert next_step([pool], [pool], 100, 10) is None

    def test_before_the_limit_is_known_one_is_opened(self) -> None:
        pool = Pool(1.0, waiting=5)
        step = next_step([pool], [pool], None, 10)
        assert step is not None
        assert step.action == "open"
        pool.opening = 1
        assert next_step([pool], [pool], None, 10) is None

    def test_the_longest_idle_one_of_another_pool_makes_room(self) -> None:
        old = Pool(idle=[Since(idle_since=1.0), Since(idle_since=8.0)])
        new = Pool(idle=[Since(idle_since=2.0)])
        pool = Pool(1.0)
        step = next_step([old, new, pool], [pool], 3, 10)
        assert step is not None
        assert (step.action, step.pool, step.victim) == ("evict", pool, old)

    def test_nothing_can_be_done(self) -> None:
        pool, other = Pool(1.0), Pool(borrowed=3)
        step = next_step([pool, other], [pool], 3, 10)
        assert step is not None
        assert (step.action, step.pool) == ("starved", pool)

    def test_who_backs_off_is_passed_over(self) -> None:
        backing_off, pool = Pool(1.0), Pool(2.0)
        step = next_step([backing_off, pool], [pool], 3, 10)
        assert step is not None
        assert step.pool is pool


class TestClaimant:
    def test_nobody_else_waits(self) -> None:
        owner = Pool(1.0)
        assert claimant([owner, Pool()], owner, 10) is None

    def test_the_owner_needs_it_no_more(self) -> None:
        owner, other = Pool(borrowed=1), Pool(5.0, borrowed=9)
        assert claimant([owner, other], owner, 10) is other

    def test_the_longer_wait_wins(self) -> None:
        owner, other = Pool(5.0, borrowed=9), Pool(3.0)
        assert claimant([owner, other], owner, 10) is other
        later = Pool(7.0)
        assert claimant([owner, later], owner, 10) is None

    def test_but_not_beyond_an_equal_share(self) -> None:
        owner, other = Pool(5.0, borrowed=4), Pool(3.0, borrowed=5)
        assert claimant([owner, other], owner, 10) is None
        other.borrowed = 4
        assert claimant([owner, other], owner, 10) is other

    def test_with_less_room_than_pools_everybody_has_a_turn(self) -> None:
        pools = [Pool(float(number)) for number in range(5)]
        owner = Pool(9.0, borrowed=1)
        assert claimant([*pools, owner], owner, 1) is pools[0]
