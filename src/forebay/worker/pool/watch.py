"""Says in the log what makes clients wait: who waits, who holds connections, who was refused."""

import logging
import math
from typing import TYPE_CHECKING

from forebay.protocol import errors
from forebay.protocol.errors import PgError
from forebay.relay import MicroPool, Server
from forebay.worker.pool.holders import (
    IN_TRANSACTION,
    NAMED,
    Survey,
    described,
    hint_for,
    holder_of,
    named,
    seconds,
    who,
)
from forebay.worker.pool.pausing import PAUSED_DETAIL, PAUSED_HINT

if TYPE_CHECKING:
    from forebay.worker.pool.manager import PoolManager

logger = logging.getLogger("forebay.pool")

# A wait is told of when it has lasted so long (PgBouncer's query_wait_notify: 5 s, when people have
# begun to look for the reason), or half of the borrow timeout if that is shorter; and again after
# so long, while somebody waits.
WAIT_S = 1.5
WAIT_AGAIN_S = 60.0
# A transaction is told of when its client has been idle in it for so long: below the borrow timeout
# (120 s by default) of those who wait for it, above what people need to look at a result.
IDLE_TRANSACTION_S = 60.0
# Refusals are told at once, and those of the next so many seconds together.
REFUSALS_S = 1.0


class Watch:
    """Watches over the connections of one proxy. Time is an argument."""

    def __init__(self, manager: "PoolManager") -> None:
        self._manager = manager
        self._survey: Survey | None = None
        self._told: dict[Server, float] = {}  # transactions that were told of, and since when idle
        self._wait_told_at = self._refusals_told_at = -math.inf

    def survey(self, now: float) -> Survey:
        """Who holds the connections at this moment; computed once."""
        if self._survey is None or self._survey.now != now:
            self._survey = Survey.of([self._manager], now)
        return self._survey

    def timed_out(self, pool: MicroPool, now: float) -> PgError:
        """The error for a client that has waited in this micro-pool for too long."""
        if self._manager.pausing.covers(pool):
            return errors.borrow_timed_out(PAUSED_DETAIL, PAUSED_HINT)
        held = self._manager.holding.cause
        if held:
            detail = held.encode("ascii", "replace").decode()
            return errors.borrow_timed_out(detail, self._manager.holding.hint)
        survey = self.survey(now)
        unreached = self._manager.openings.last_error(pool)
        detail = survey.detail(pool.user)
        if unreached is not None:
            detail = f"{unreached}\n{detail}" if survey.holders else unreached
        limits = self._manager.groups.limits_in_words(pool)
        detail = "\n".join([*(each.encode("ascii", "replace").decode() for each in limits), detail])
        return errors.borrow_timed_out(detail, survey.hint(pool.user))

    def tell_refusals(self, now: float, *, all_at_once: bool = False) -> None:
        """Tell of those who were refused lately, if there are any."""
        refusals = self._manager.refusals
        if not refusals:
            self._survey = None
            return
        if now - self._refusals_told_at < REFUSALS_S and not all_at_once:
            return
        self._refusals_told_at = now
        # That of the moment when they were refused, if possible: somebody may have let go since.
        survey = self._survey or self.survey(now)
        for refused in refusals.take():
            logger.warning(
                "%s %s",
                refused.sentence(),
                survey.sentence(),
                extra={
                    "fields": {
                        "sqlstate": refused.error.sqlstate,
                        "count": refused.count,
                        "refused": refused.fields,
                        **survey.fields(),
                        "hint": survey.hint(),
                    }
                },
            )
        self._survey = None

    def tell_waits(self, now: float, borrow_timeout_s: float) -> None:
        """Tell of long waits."""
        threshold_s = min(WAIT_S, borrow_timeout_s / 2)
        first = self._manager.groups.longest_wait()
        if first is None or now - first.waits_since < threshold_s:
            return
        if now - self._wait_told_at < WAIT_AGAIN_S:
            return
        self._wait_told_at = now
        survey = Survey.of([self._manager], now)
        waited_s = now - first.waits_since
        unreached, held = (
            self._manager.openings.last_error(first.borrower.pool),
            self._manager.holding.cause,
        )
        obstacle = f" The last opening failed: {unreached}" if unreached else held and f" {held}"
        logger.warning(
            "%s for a database connection, the first for %s (%s). %s%s",
            "1 client waits" if survey.waiting == 1 else f"{survey.waiting} clients wait",
            seconds(waited_s),
            who(first.borrower, with_place=True),
            survey.sentence(),
            obstacle,
            extra={
                "fields": {
                    "waiting": {
                        "clients": survey.waiting,
                        "longest_s": round(waited_s, 3),
                        "first": described(first.borrower),
                    },
                    **survey.fields(),
                    "hint": survey.hint(),
                }
            },
        )

    def tell_idle_transactions(self, now: float) -> None:
        """Tell of transactions that are idle for long: of each once, and again if its client has
        said something meanwhile, and is idle again."""
        in_use = (server for server in self._manager.servers if server.client is not None)
        idle = [each for each in map(holder_of, in_use) if each.state in IN_TRANSACTION]
        long = [each for each in idle if now - each.since >= IDLE_TRANSACTION_S]
        untold = [each for each in long if self._told.get(each.server) != each.since]
        self._told = {each.server: each.since for each in long}
        if untold:
            untold.sort(key=lambda each: each.since)
            logger.warning(
                "%s been idle for %s or more: %s.",
                "A transaction has" if len(untold) == 1 else f"{len(untold)} transactions have",
                seconds(IDLE_TRANSACTION_S),
                named(untold, now),
                extra={
                    "fields": {
                        "count": len(untold),
                        "holders": [each.fields(now) for each in untold[:NAMED]],
                        "hint": hint_for(untold),
                    }
                },
            )
