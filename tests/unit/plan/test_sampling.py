"""What looks at a database's sessions come to. Sessions here are simulated."""

import random

import pytest

from forebay.plan.sampling import MOST_GROUPS, OTHERS, Sampler, Sight, is_busy

INTERVAL_S = 0.1


class Session:
    """One that holds and thinks for times that are distributed exponentially."""

    def __init__(self, name: str, hold_s: float, think_s: float, choice: random.Random) -> None:
        self._name = name
        self._times = think_s, hold_s
        self._choice = choice
        self._busy = False
        self._since = 0.0
        self._until = choice.expovariate(1 / think_s)

    def at(self, now_s: float) -> Sight:
        while self._until <= now_s:
            self._busy = not self._busy
            self._since = self._until
            self._until += self._choice.expovariate(1 / self._times[self._busy])
        since = str(self._since)
        user, _, number = self._name.partition("#")
        if self._busy:
            return Sight(number, user, "", "active", since, since)
        return Sight(number, user, "", "idle", "", since)


def sampled(sessions: list[Session], looks: int) -> Sampler:
    sampler = Sampler()
    for look in range(looks):
        now_s = look * INTERVAL_S
        sampler.look(now_s, [session.at(now_s) for session in sessions])
    return sampler


def crowd(user: str, count: int, hold_s: float, think_s: float) -> list[Session]:
    choice = random.Random(f"{user} {count}")
    return [Session(f"{user}#{user}{n}", hold_s, think_s, choice) for n in range(count)]


def test_slow_transactions() -> None:
    sessions = crowd("web", 20, 0.3, 2.0)
    result = sampled(sessions, 1000).result(None)
    (web,) = result.clients
    assert (web.name, web.processes) == ("web", 20)
    assert web.hold_s == pytest.approx(0.3, rel=0.15)
    assert web.think_s == pytest.approx(2.0, rel=0.15)
    assert (result.looks, result.hidden, result.notes) == (1000, 0, [])
    assert result.seconds == pytest.approx(99.9)
    assert sum(result.states.values()) == pytest.approx(20)


def test_quick_transactions_need_the_count_of_the_database() -> None:
    quick, slow = crowd("quick", 10, 0.0005, 0.002), crowd("slow", 10, 0.3, 2.0)
    rate = 10 / 0.0025 + 10 / 2.3
    sampler = sampled(quick + slow, 1000)
    by_name = {each.name: each for each in sampler.result(rate).clients}
    assert by_name["quick"].hold_s == pytest.approx(0.0005, rel=0.15)
    assert by_name["quick"].think_s == pytest.approx(0.002, rel=0.15)
    assert by_name["slow"].hold_s == pytest.approx(0.3, rel=0.2)
    without = {each.name: each for each in sampler.result(None).clients}
    assert without["quick"].hold_s > 2 * 0.0005


def look(*sights: Sight, times: int = 5) -> Sampler:
    sampler = Sampler()
    for number in range(times):
        sampler.look(number * INTERVAL_S, sights)
    return sampler


def test_one_transaction_after_the_other() -> None:
    sessions = crowd("batch", 5, 0.5, 0.001)
    (batch,) = sampled(sessions, 600).result(None).clients
    assert batch.hold_s == pytest.approx(0.5, rel=0.15)
    assert batch.load == pytest.approx(5, rel=0.01)


def test_an_open_transaction_is_no_short_one() -> None:
    result = look(Sight("1", "u", "job", "idle in transaction", "7", "8")).result(None)
    (job,) = result.clients
    assert job.name == "u/job"
    assert job.load > 0.9
    assert "in a transaction all the time" in result.notes[0]


def test_transactions_that_no_look_has_met() -> None:
    sampler = Sampler()
    for number in range(100):
        sampler.look(number * INTERVAL_S, [Sight("1", "u", "", "idle", "", str(number // 2))])
    (quick,) = sampler.result(None).clients
    assert quick.load == pytest.approx(3 / 100)
    assert sampler.result(None).notes == [
        "u: too short to be met; planned with what so many looks may miss"
    ]


def test_sessions_that_do_nothing() -> None:
    result = look(Sight("1", "u", "", "idle", "", "3"), Sight("2", "u", "", "idle", "", "4"))
    (idle,) = result.result(5.0).clients
    assert idle.processes == 2
    assert idle.load < 0.05
    assert "no transaction was seen" in result.result(5.0).notes[0]


def test_sessions_that_may_not_be_seen() -> None:
    result = look(Sight("1", "u", "", "", "", ""), Sight("2", "u", "", "idle", "", "4")).result(
        None
    )
    assert result.hidden == 1
    assert result.states == {"idle": 1}
    assert [each.processes for each in result.clients] == [1]
    assert look(times=3).result(0.0).clients == []


def test_names_are_bounded_and_printable() -> None:
    sights = [Sight(str(n), f"user{n}", "x" * 500, "idle", "", "1") for n in range(70)]
    names = {each.name for each in look(*sights).result(None).clients}
    assert len(names) == MOST_GROUPS + 1
    assert OTHERS in names
    assert max(map(len, names)) == 100
    (odd,) = look(Sight("1", "a\x1b[31m", "b\n", "idle", "", "1")).result(None).clients
    assert odd.name == "a?[31m/b?"


def test_what_needs_a_connection() -> None:
    for state in ("active", "idle in transaction (aborted)", "fastpath function call"):
        assert is_busy(Sight("1", "u", "", state, "1", "1"))
    assert not is_busy(Sight("1", "u", "", "idle", "", "1"))
