"""What must hold, watched from outside of what is tested."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from forebay.topology.reports import Report, Verdict
from tests.simulation.failover.network import Message
from tests.simulation.failover.world import World, WrongError

if TYPE_CHECKING:
    from tests.simulation.failover.clients import Client
    from tests.simulation.failover.plane import Link
    from tests.simulation.failover.postgres import Postgres

# News from the node reach the worker within this.
NEWS_S = 0.05


class Observer:
    """``system_id``: of the cluster that clients are to reach."""

    def __init__(self, world: World, system_id: str) -> None:
        self.world, self.system_id = world, system_id
        self.verdict: Verdict | None = None
        self.seen: list[tuple[float, int]] = []  # when a higher timeline was seen, and which
        self.authority: Callable[[], Postgres]

    def wrong(self, text: str) -> None:
        raise WrongError(f"{text} (seed {self.world.seed}, at {self.world.now:.4f} s)")

    def saw(self, report: Report) -> None:
        """The node has got an answer."""
        writes = not report.in_recovery and not report.is_read_only
        highest = self.seen[-1][1] if self.seen else 0
        if writes and report.system_id == self.system_id and report.timeline > highest:
            self.seen.append((self.world.now, report.timeline))

    def applied(self, verdict: Verdict) -> None:
        """The worker was told."""
        before = self.verdict
        if before is not None and verdict.epoch not in (before.epoch, before.epoch + 1):
            self.wrong(f"epoch {verdict.epoch} follows {before.epoch}")
        is_same = before is not None and verdict.epoch == before.epoch
        if is_same and before is not None and verdict.writer != before.writer:
            self.wrong("another writer, and the same epoch")
        self.verdict = verdict

    def opened(self, link: "Link", links: list["Link"]) -> None:
        if len({each.epoch for each in links}) > 1:
            self.wrong("connections of two epochs are open")
        if self.verdict is None or link.epoch != self.verdict.epoch:
            self.wrong("a connection of another epoch is opened")

    def lends(self, link: "Link") -> None:
        if self.verdict is None or self.verdict.state != "UP":
            self.wrong("something is begun while nobody is known to write")

    def sends(self, link: "Link", message: Message) -> None:
        """A client's message goes to a server."""
        server, verdict = link.server, self.verdict
        if server.system_id != self.system_id:
            self.wrong("a statement goes to another cluster")
        highest = max((line for at, line in self.seen if at <= self.world.now - NEWS_S), default=0)
        if server.timeline < highest:
            self.wrong(
                f"a statement goes to timeline {server.timeline}, and {highest} had been seen"
            )
        if verdict is not None and verdict.state == "UP":
            report = next(
                (each.report for each in verdict.servers if each.address == link.address), None
            )
            if report is not None and link.life < report.started_at and verdict.epoch == link.epoch:
                self.wrong("a statement goes to a former life of the server")

    def forwards(self, link: "Link", message: Message) -> None:
        """A server's message goes to a client."""
        if self.verdict is None or link.epoch != self.verdict.epoch:
            self.wrong("a word of an old epoch reaches a client")
        is_of_now = link.life == link.server.started_at
        if message == ("E", "25006") and link.server.in_recovery and is_of_now:
            self.wrong("a client is told that its server is read-only")

    def drops(self, client: "Client") -> None:
        if client.is_idle:
            self.wrong("an idle client is dropped")

    def doubled(self, server: "Postgres", row: int) -> None:
        self.wrong(f"write {row} is done twice at {server.name}")

    def told(self, rows: list[int], result: str) -> None:
        """A client takes its writes for done, or for not done."""
        has = self.authority().has
        for row in rows:
            if result == "ok" and row not in has:
                self.wrong(f"write {row} was acknowledged, and is not there")
            if result == "fail" and row in has:
                self.wrong(f"write {row} is there, though its client was told that it is not")
