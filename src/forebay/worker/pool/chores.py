"""What happens to the connections to one database server because time has passed, and to those who
wait for them."""

from dataclasses import dataclass

from forebay.config.settings import ProxySettings
from forebay.worker.agenda import Agenda
from forebay.worker.pool.manager import PoolManager
from forebay.worker.pool.overdue import Overdue
from forebay.worker.pool.watch import Watch

ASK_LIMITS_S = 60.0


@dataclass(slots=True)
class Timeouts:
    """How long things may last, in seconds. May change while running."""

    connection_borrow_timeout_s: float
    idle_client_timeout_s: float
    max_client_age_s: float
    max_idle_time_s: float
    max_connection_age_s: float


def timeouts_of(settings: ProxySettings) -> Timeouts:
    """What a proxy's settings say."""
    return Timeouts(
        connection_borrow_timeout_s=settings.pool.connection_borrow_timeout,
        idle_client_timeout_s=settings.idle_client_timeout,
        max_client_age_s=settings.max_client_age,
        max_idle_time_s=settings.pool.max_idle_time,
        max_connection_age_s=settings.pool.max_connection_age,
    )


class Chores:
    """Looks after what one manager has. The janitor of the proxy says when. Times are in seconds of
    the loop's clock."""

    def __init__(self, agenda: Agenda, manager: PoolManager) -> None:
        self._manager = manager
        self._watch = Watch(manager)
        self._overdue = Overdue(agenda, manager)
        self._ask_at = agenda.now() + ASK_LIMITS_S

    def tick(self, now: float, timeouts: Timeouts) -> None:
        """Do what is due, and cannot wait."""
        self._end_waits(now, timeouts.connection_borrow_timeout_s)
        self._overdue.look(now)
        self._watch.tell_refusals(now)
        self._watch.tell_waits(now, timeouts.connection_borrow_timeout_s)

    def slow_tick(self, now: float, timeouts: Timeouts) -> None:
        """Do what is due, and needs no haste."""
        self._watch.tell_idle_transactions(now)
        self._manager.upkeep.close_idle(
            now, timeouts.max_idle_time_s, timeouts.max_connection_age_s
        )
        self._manager.upkeep.close_unanswering(now)
        self._manager.forget_unused_pools()
        self._manager.assert_counts()
        if now >= self._ask_at:
            self._ask_at = now + ASK_LIMITS_S
            self._manager.ask_limits()

    def stop(self, now: float) -> None:
        """There will be no other tick."""
        self._watch.tell_refusals(now, all_at_once=True)

    def _end_waits(self, now: float, borrow_timeout_s: float) -> None:
        """Borrow timeouts: the first in each queue has waited longest."""
        for pool, timeout_s in self._manager.groups.overdue(now, borrow_timeout_s):
            if timeout_s == 0:
                # Nobody waits for a connection in use, but a new one takes its time to open.
                while pool.waiting > pool.opening and (place := pool.last_waiter) is not None:
                    self._manager.refuse(place.borrower, self._watch.timed_out(pool, now))
                continue
            oldest = now - timeout_s
            while (place := pool.first_waiter) is not None and place.waits_since <= oldest:
                self._manager.refuse(place.borrower, self._watch.timed_out(pool, now))
