"""What keeps the cluster running, as Patroni would with synchronous mode on: it promotes a standby
only if that has all that was acknowledged, starts what died, and rewinds what was replaced."""

from tests.simulation.failover.postgres import Postgres
from tests.simulation.failover.world import World

LOOK_S = 0.1
# A killed postmaster's last statements hold its data directory for so long at most.
ORPHANS_S = 1.0


class Operator:
    """``authority``: the primary, or the last one; what it has is what counts."""

    def __init__(self, world: World, servers: list[Postgres]) -> None:
        self.world = world
        self.random = world.chance("operator")
        self.servers = servers
        self.authority = servers[0]
        self.promotes = self.random.random() < 0.75
        self.absent_until = 0.0
        self.is_split = False  # promote once though the primary is well
        self.patience_s = 1.0
        self.well_at: dict[str, float] = {}
        self.replaced_at: dict[str, float] = {}
        for each in servers[1:]:
            each.start(servers[0])
        self.synchronize()
        world.later(LOOK_S, self.look)

    @property
    def promotable(self) -> Postgres | None:
        """The standby that has all that was acknowledged."""
        standby = self.authority.sync
        return standby if standby is not None and standby.runs and standby.state == "up" else None

    def follows(self, server: Postgres) -> bool:
        """Whether it is a standby of what the primary is now, and not of what that once was."""
        primary = self.authority
        return server.upstream is primary and server.timeline == primary.timeline

    def synchronize(self) -> None:
        """A standby that has all becomes synchronous."""
        primary = self.authority
        followers = [each for each in self.servers if self.follows(each) and each.runs]
        for each in followers:
            each.catch_up()
        if primary.sync is None and primary.runs and primary.state == "up" and followers:
            primary.sync = followers[0]
            self.world.log("synchronous", primary.name, followers[0].name)

    def look(self) -> None:
        now = self.world.now
        for each in self.servers:
            if each.runs:
                self.well_at[each.name] = now
        self.world.later(LOOK_S, self.look)
        if now < self.absent_until:
            return
        primary, standby = self.authority, self.promotable
        sick_s = now - self.well_at.get(primary.name, 0.0)
        if standby is not None and (self.is_split or (self.promotes and sick_s > self.patience_s)):
            self.promote(standby)
        elif sick_s > self.patience_s + 0.5 and primary.state == "down":
            primary.start(None)
            self.patience_s = self.random.uniform(0.1, 2.0)
        self.mend(now)

    def promote(self, standby: Postgres) -> None:
        former, self.authority, self.is_split = self.authority, standby, False
        standby.promote()
        self.replaced_at[former.name] = self.world.now + self.random.uniform(0.5, 3.0)
        self.patience_s = self.random.uniform(0.1, 2.0)
        for each in self.servers:
            if each.upstream is former:
                self.replaced_at[each.name] = self.world.now + self.random.uniform(0.1, 0.5)

    def mend(self, now: float) -> None:
        """Everything but the primary becomes a standby of it."""
        primary = self.authority
        if not primary.runs:
            return
        for each in self.servers:
            if each is primary:
                continue
            is_lost = not self.follows(each)
            is_sick = now - self.well_at.get(each.name, 0.0) > ORPHANS_S
            if each is primary.sync and is_sick:
                self.world.log("asynchronous", primary.name)
                primary.release()
            may_start = now > self.replaced_at.get(each.name, 0.0)
            if (is_lost and may_start and (is_sick or each.runs)) or (
                is_sick and each.state == "down"
            ):
                each.start(primary)
        self.synchronize()

    def heal(self) -> None:
        """The end of all trouble: what stands still goes on, and what is down is started."""
        for each in self.servers:
            each.resume_accepting()
            each.thaw()
            each.is_read_only, each.tells, each.lets_in = False, True, True
        self.patience_s, self.absent_until = 0.1, 0.0
