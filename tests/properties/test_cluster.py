"""Who writes, whatever probes and traffic tell, and in whatever order."""

from dataclasses import dataclass, field, replace
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.config.addresses import Address
from forebay.topology.cluster import Cluster
from forebay.topology.reports import Failure, FailureKind, HintKind, Report, Verdict
from forebay.topology.timing import Timing

HOSTS = [Address(name, 5432) for name in "abcd"]
MUTE = {"auth", "too_many", "other"}

hosts = st.sampled_from(HOSTS)
reports = st.builds(
    Report,
    in_recovery=st.booleans(),
    timeline=st.integers(0, 4),
    system_id=st.sampled_from(["", "71", "71", "99"]),
    is_read_only=st.sampled_from([False, False, False, True]),
    started_at=st.sampled_from([0.0, 10.0, 11.0, 12.0]),
).map(lambda report: replace(report, timeline=0) if report.in_recovery else report)
# How long before its end a probe began: what is late may have been overtaken.
ages = st.sampled_from([0.0, 0.0, 0.0, 0.3, 1.5])
steps = st.one_of(
    st.tuples(st.just("answered"), hosts, reports, ages),
    st.tuples(st.just("failed"), hosts, st.sampled_from(get_args(FailureKind)), ages),
    st.tuples(st.just("hint"), st.none() | hosts, st.sampled_from(get_args(HintKind))),
    st.tuples(st.just("hosts"), st.lists(hosts, unique=True)),
    st.tuples(st.just("expect")),
    st.tuples(st.just("due")),
    st.tuples(st.just("asked"), hosts),
    st.tuples(st.just("wait"), st.sampled_from([0.05, 0.5, 3.0, 60.0])),
)


@dataclass
class Model:
    """A cluster, and as much of what was told as its verdicts can be held against."""

    hosts: list[Address] = field(default_factory=lambda: HOSTS[:3])
    now: float = 100.0
    latest: dict[Address, Report] = field(default_factory=dict)
    judged_at: dict[Address, float] = field(default_factory=dict)
    joined_at: dict[Address, float] = field(default_factory=dict)
    silent: set[Address] = field(default_factory=set)  # whose latest word is none
    writers: list[tuple[int, Address]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster = Cluster(self.hosts, Timing(chance=lambda: 0.5), self.now)

    def take(self, step: tuple) -> None:  # type: ignore[type-arg]
        """One thing becomes known."""
        before = self.cluster.verdict
        self.now += 0.01
        kind, *given = step
        getattr(self, f"take_{kind}")(*given)
        self.check(before, self.cluster.verdict)
        if kind == "hint":
            assert self.cluster.verdict.state == before.state or before.state == "UP"
            assert self.cluster.verdict.state != "HOLD" or before.state == "HOLD"

    def is_news(self, host: Address, asked_at: float) -> bool:
        at = max(self.joined_at.get(host, 100.0), self.judged_at.get(host, 0.0))
        if host not in self.hosts or asked_at < at:
            return False
        self.judged_at[host] = asked_at
        return True

    def take_answered(self, host: Address, report: Report, age_s: float) -> None:
        asked_at = self.now - age_s
        if self.is_news(host, asked_at):
            self.latest[host] = report
            self.silent.discard(host)
        self.cluster.answered(host, report, self.now, asked_at)

    def take_failed(self, host: Address, kind: FailureKind, age_s: float) -> None:
        asked_at = self.now - age_s
        if self.is_news(host, asked_at):
            self.silent.add(host)
        self.cluster.failed(host, Failure(kind, "so it is"), self.now, asked_at)

    def take_hint(self, host: Address | None, kind: HintKind) -> None:
        self.cluster.hint(host, kind, self.now)

    def take_hosts(self, given: list[Address]) -> None:
        for each in set(self.hosts) - set(given):
            self.latest.pop(each, None)
            self.judged_at.pop(each, None)
        for each in set(given) - set(self.hosts):
            self.joined_at[each] = self.now
        self.hosts = given
        self.cluster.set_hosts(given, self.now)

    def take_expect(self) -> None:
        verdict = self.cluster.verdict
        self.cluster.expect(self.now)
        assert self.cluster.verdict is verdict

    def take_due(self) -> None:
        due = self.cluster.due(self.now)
        assert set(due) <= set(self.hosts)
        for each in due:
            self.cluster.asked(each, self.now)
        assert self.cluster.due(self.now) == []

    def take_asked(self, host: Address) -> None:
        self.cluster.asked(host, self.now)

    def take_wait(self, duration_s: float) -> None:
        self.now += duration_s

    def check(self, before: Verdict, verdict: Verdict) -> None:
        """What holds after every step."""
        assert (verdict is before) == (verdict == before)
        assert verdict.epoch in (before.epoch, before.epoch + 1)
        assert verdict.epoch > before.epoch or verdict.writer == before.writer
        assert (verdict.epoch == 0) == (verdict.writer is None)
        assert [each.address for each in verdict.servers] == self.hosts
        assert before.since <= verdict.since <= self.now
        moved = (before.state, before.epoch) != (verdict.state, verdict.epoch)
        assert (verdict.since == self.now) == moved or before.since == self.now
        assert self.cluster.next_at(self.now) >= self.now
        assert verdict.cause or verdict.state == "UP"
        if verdict.state == "UP":
            self.check_writer(verdict)
        for each in verdict.servers:
            assert bool(each.text) == bool(each.reason)
            assert not each.text or str(each.address) in each.text

    def check_writer(self, verdict: Verdict) -> None:
        """A writer that is confirmed is one, by its own latest report, and of no former time."""
        assert verdict.writer is not None
        report = self.latest[verdict.writer]
        assert not report.in_recovery
        assert not report.is_read_only
        past = self.cluster._past
        assert not report.system_id or report.system_id == past.system_id
        for each, other in self.latest.items():
            writes = not other.in_recovery and not other.is_read_only
            ours = not other.system_id or not past.system_id or other.system_id == past.system_id
            if each in self.hosts and writes and ours and report.timeline:
                assert other.timeline <= report.timeline
        assert (verdict.writer in self.silent) == bool(verdict.cause)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=40))
def test_whatever_happens(given: list[tuple]) -> None:  # type: ignore[type-arg]
    model = Model()
    for step in given:
        model.take(step)


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, max_size=30))
def test_a_healthy_writer_is_found_after_whatever_happened(given: list[tuple]) -> None:  # type: ignore[type-arg]
    """One server is promoted, the others follow it, and all answer: within a second it is UP."""
    model = Model()
    for step in given:
        model.take(step)
    model.take(("hosts", HOSTS[:3]))
    system_id = model.cluster._past.system_id
    writer = Report(in_recovery=False, timeline=9, system_id=system_id, started_at=10.0)
    standby = Report(in_recovery=True, system_id=system_id, started_at=11.0)
    model.now += 3.0
    start = model.now
    while model.now < start + 1.0:
        for each in model.cluster.due(model.now):
            model.cluster.asked(each, model.now)
            report = writer if each == HOSTS[1] else standby
            model.take_answered(each, report, 0.0)
        model.now = max(model.cluster.next_at(model.now), model.now + 0.001)
    verdict = model.cluster.verdict
    assert (verdict.state, verdict.writer, verdict.cause) == ("UP", HOSTS[1], "")
    assert set(verdict.standbys) == {HOSTS[0], HOSTS[2]}


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, max_size=30))
def test_the_same_story_gives_the_same_verdicts(given: list[tuple]) -> None:  # type: ignore[type-arg]
    first, second = Model(), Model()
    for step in given:
        first.take(step)
        second.take(step)
        assert first.cluster.verdict == second.cluster.verdict
