"""Databases that a statement needs for itself: idle connections to them are closed, and nobody gets
another one, until it is over.
"""

import logging
from collections import Counter
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from forebay.relay import MicroPool, Server
from forebay.sql.databases import DatabaseUse, cut
from forebay.worker.agenda import Agenda

if TYPE_CHECKING:
    from forebay.worker.pool.manager import PoolManager

logger = logging.getLogger("forebay.pool")

# However long the statement takes, or if nobody says that it is over. PostgreSQL looks for others
# when it begins, and lets nobody connect while it copies or drops: beyond that, to hold back only
# keeps connections from waiting for that.
HOLD_LIMIT_S = 60.0


class Holds:
    """The databases of one proxy that are held back now, and how many statements need each of them
    alone.

    ``forget`` is called when databases may have changed, to drop what else is known of them. Its
    argument is a function that says whether a database, by its name, is one of them.
    """

    def __init__(self, agenda: Agenda, manager: "PoolManager") -> None:
        self.forget: Callable[[Callable[[str], bool]], None] = lambda _: None
        self._agenda = agenda
        self._manager = manager
        self._uses: dict[Hashable, DatabaseUse] = {}
        self._held: Counter[bytes] = Counter()

    def covers(self, pool: MicroPool) -> bool:
        """Whether nobody is to get a connection of `pool` now."""
        return bool(self._held) and name_of(pool.database) in self._held

    def begin(self, key: Hashable, use: DatabaseUse, but: Server | None = None) -> None:
        """Hold these databases back, until ``end`` is called with the same key. `but` is the
        connection of the client that needs them: it stays open, even if it is one to such a
        database."""
        self._uses[key] = use
        self._held.update(use.alone)
        self._mark(use)
        closed = sum(self._manager.vacate(pool, but) for pool in self._pools(use.alone))
        self._forget(use)
        self._agenda.later(HOLD_LIMIT_S, self._end_late, key)
        names = ", ".join(sorted(name.decode(errors="replace") for name in use.alone))
        logger.info(
            "New connections to a database are held back, for a statement that needs it alone",
            extra={"fields": {"database": names, "closed": closed}},
        )

    def end(self, key: Hashable) -> None:
        """The statement is over, whatever came of it. Does nothing if the key is not known."""
        use = self._uses.pop(key, None)
        if use is None:
            return
        self._held.subtract(use.alone)
        self._held = +self._held
        self._mark(use)
        self._forget(use)
        self._manager.schedule()

    def _mark(self, use: DatabaseUse) -> None:
        """Let the census know for which micro-pools connections may be opened."""
        for pool in self._pools(use.alone):
            self._manager.mark(pool)

    def _forget(self, use: DatabaseUse) -> None:
        """Drop what is known of the databases, as it may not be true any more. This is done when
        the statement begins, too: other workers hear of its end only after its client does."""
        self.forget(lambda database: name_of(database) in use.names)
        for pool in self._pools(use.names):
            self._manager.openings.forget_errors(pool)
            self._manager.schema_changed(pool)

    def _end_late(self, key: Hashable) -> None:
        if key in self._uses:
            logger.warning(
                "A statement that needs a database alone is not over; it is not held back any more"
            )
            self.end(key)

    def _pools(self, names: frozenset[bytes]) -> list[MicroPool]:
        pools = list(self._manager.pools.values())
        return [pool for pool in pools if name_of(pool.database) in names]


def name_of(database: str) -> bytes:
    """A database's name, as a client gave it at its login, as PostgreSQL keeps it."""
    return cut(database.encode(errors="surrogateescape"))
