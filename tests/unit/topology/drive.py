"""A cluster in a test: servers that say what the test lets them say, and a clock that stands."""

from dataclasses import dataclass, field, replace

from forebay.config.addresses import Address
from forebay.topology.cluster import Cluster
from forebay.topology.reports import Failure, FailureKind, HintKind, Report, Server, Verdict
from forebay.topology.timing import Timing

A, B, C, D = (Address(name, 5432) for name in "abcd")
PRIMARY = Report(in_recovery=False, timeline=3, system_id="71", started_at=10.0)
STANDBY = Report(in_recovery=True, system_id="71", started_at=11.0, lag_s=0.0)
PROMOTED = replace(STANDBY, in_recovery=False, timeline=4, lag_s=None)
# A server that tells neither timeline nor identifier, as Aurora.
SILENT = Report(in_recovery=False, started_at=20.0)
STEADY = Timing(chance=lambda: 0.5)


@dataclass
class Drive:
    """`says`: what each server answers at once; a kind of failure; or None: nothing at all."""

    says: dict[Address, Report | FailureKind | None]
    now: float = 100.0
    cluster: Cluster = field(init=False)
    probes: list[tuple[float, Address]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster = Cluster(list(self.says), STEADY, self.now)

    @property
    def verdict(self) -> Verdict:
        return self.cluster.verdict

    @property
    def summary(self) -> tuple[str, int, Address | None]:
        verdict = self.verdict
        return verdict.state, verdict.epoch, verdict.writer

    def server(self, address: Address) -> Server:
        return next(each for each in self.verdict.servers if each.address == address)

    def probe(self, *addresses: Address) -> None:
        """These are asked, and answer at once."""
        for each in addresses:
            self.cluster.asked(each, self.now)
            self.probes.append((self.now, each))
            self.bring(each, self.now)

    def bring(self, address: Address, asked_at: float) -> None:
        """What a server says comes of a probe that began at `asked_at`."""
        said = self.says[address]
        if isinstance(said, Report):
            self.cluster.answered(address, said, self.now, asked_at)
        elif said is not None:
            self.cluster.failed(address, Failure(said, "it says so"), self.now, asked_at)

    def run(self, duration_s: float) -> None:
        """Time passes, and whoever is due is asked; the silent are given up after a second."""
        end = self.now + duration_s
        given_up: list[tuple[float, Address, float]] = []
        while True:
            for each in self.cluster.due(self.now):
                self.probe(each)
                if self.says[each] is None:
                    given_up.append((self.now + 1.0, each, self.now))
            at = min([self.cluster.next_at(self.now), *(each[0] for each in given_up)])
            if at > end:
                break
            self.now = max(at, self.now)
            for given in [each for each in given_up if each[0] <= self.now]:
                given_up.remove(given)
                failure = Failure("timeout", "no answer within 1 s")
                self.cluster.failed(given[1], failure, self.now, given[2])
        self.now = end
        # Nobody stays under way over the end of a run.
        for _, address, asked_at in given_up:
            self.cluster.failed(address, Failure("timeout", "cut short"), self.now, asked_at)

    def hint(self, address: Address | None, kind: HintKind) -> None:
        self.cluster.hint(address, kind, self.now)


def pair() -> Drive:
    """A writes and B follows; both have said so."""
    drive = Drive({A: PRIMARY, B: STANDBY})
    drive.probe(A, B)
    assert drive.summary == ("UP", 1, A)
    return drive
