"""Who holds the connections while others wait: what the log and those who wait in vain are told.

Looked at when it is due to be told, never while traffic is served. A survey names the few that have
held one for longest and counts the others; names are cut, and no text of a statement is in it.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from forebay.relay import Client, Server
from forebay.worker.kept import application_of, known_notes
from forebay.worker.sessions import telling

if TYPE_CHECKING:
    from forebay.worker.pool.manager import PoolManager

# So many are named; the rest is counted.
NAMED = 5
# Of a name: PostgreSQL's own have at most 63 bytes.
NAME_CHARACTERS = 63


class State(StrEnum):
    """What a connection that somebody holds does. Where PostgreSQL has a word for it, that."""

    IDLE_IN_TRANSACTION = "idle in transaction"
    ABORTED = "idle in transaction (aborted)"
    PINNED = "idle, pinned"
    STALLED = "stalled in a request"
    ACTIVE = "active"
    IDLE = "idle"  # between the messages of a request
    CLEANED = "being cleaned"  # after its client, or at work for Forebay itself


IN_TRANSACTION = frozenset({State.IDLE_IN_TRANSACTION, State.ABORTED, State.STALLED})

_TRANSACTION_HINT = (
    "Commit or roll back before a client goes idle, or use autocommit: psycopg2 and psycopg begin a"
    " transaction with the first statement, be it a SELECT. idle_transaction_timeout ends"
    " transactions that are left open."
)
_HINTS = {
    State.IDLE_IN_TRANSACTION: _TRANSACTION_HINT,
    State.ABORTED: _TRANSACTION_HINT,
    State.PINNED: "Pinned clients keep their connection between transactions: end what pins them,"
    " or disconnect them when they are done. The proxy's log says of each pin why it is there and"
    " until when.",
    State.STALLED: "Clients hold connections in the middle of a request or of its result: send each"
    " batch with its Sync, and read results to their end.",
    State.ACTIVE: "The connections are at work: shorten what they do, or allow more of them"
    " (max_connections_percent, or the database's max_connections).",
}
OTHERS_HINT = (
    "Clients of other database users hold the connections. The proxy's log says which, and in what"
    " state they are."
)
UNREACHED_HINT = "See whether the database can be reached and lets the proxy in: try forebay check."


@dataclass(frozen=True, slots=True)
class Holder:
    """One connection that is in use."""

    server: Server
    client: Client | None
    state: State
    since: float  # that it is in this state
    held_since: float

    @property
    def user(self) -> str:
        return self.server.pool.user

    @property
    def pins(self) -> str:
        """The reasons why its client is pinned, or nothing."""
        client = self.client
        notes = None if client is None or not client.pinned else known_notes(client)
        return "" if notes is None else ", ".join(sorted(notes.reasons))

    @property
    def kind(self) -> str:
        """By what it is counted."""
        return f"{self.state} ({self.pins})" if self.state is State.PINNED else self.state.value

    def how(self, now: float) -> str:
        """What it does, and for how long."""
        pins = self.pins if self.state is not State.PINNED else ""
        pinned = f", pinned ({pins})" if pins else ""
        return (
            f"{self.kind} for {seconds(now - self.since)}{pinned},"
            f" held for {seconds(now - self.held_since)}"
        )

    def fields(self, now: float) -> dict[str, Any]:
        """All that is known of it, for the log."""
        whose = {} if self.client is None else described(self.client)
        return {
            "dbConnection": self.server.pid,
            "user": self.server.pool.user,
            "database": self.server.pool.database,
            **whose,
            "state": self.state.value,
            "state_s": round(now - self.since, 3),
            "held_s": round(now - self.held_since, 3),
            "pins": self.pins,
        }


def holder_of(server: Server) -> Holder:
    """How it stands with a connection that is in use."""
    client = server.client
    if client is None:
        since = max(server.opened_at, server.lent_at, server.idle_since)
        return Holder(server, None, State.CLEANED, since, since)
    since = client.last_progress
    if client.is_stalled:
        state = State.STALLED
    elif server.ledger.count:
        state = State.ACTIVE
    elif server.in_transaction:
        state = State.ABORTED if server.status == ord("E") else State.IDLE_IN_TRANSACTION
    else:
        state = State.PINNED if client.pinned else State.IDLE
    return Holder(server, client, state, since, server.lent_at)


class Survey:
    """All connections in use at one moment."""

    def __init__(
        self, now: float, holders: list[Holder], opening: int, limit: int | None, waiting: int
    ) -> None:
        self.now = now
        self.holders = sorted(holders, key=lambda each: each.held_since)
        self.opening = opening
        self.limit = limit
        self.waiting = waiting
        self._details: dict[str, str] = {}

    @classmethod
    def of(cls, managers: Iterable["PoolManager"], now: float) -> "Survey":
        """Of all these together. Their limit is that of those that could be reached."""
        holders: list[Holder] = []
        limits: list[int] = []
        opening = waiting = 0
        for manager in managers:
            idle = {server for pool in manager.pools.values() for server in pool.idle}
            holders += (holder_of(server) for server in manager.servers if server not in idle)
            if manager.budget is not None:
                limits.append(manager.budget.limit)
            opening += manager.census.opening
            waiting += manager.waiting
        return cls(now, holders, opening, sum(limits) if limits else None, waiting)

    def sentence(self) -> str:
        """Who holds the connections, for the log."""
        held = self._how_many()
        if not self.holders:
            return f"{held}."
        return f"{held}: {_counted(self.holders)}. Longest: {named(self.holders, self.now)}."

    def detail(self, user: str) -> str:
        """The same for a client of this database user: of others it learns no more than that they
        are there, and of none where it is. In ASCII, whatever the client's encoding."""
        if user not in self._details:
            self._details[user] = self._detail(user).encode("ascii", "replace").decode()
        return self._details[user]

    def _detail(self, user: str) -> str:
        own = [each for each in self.holders if each.user == user]
        others = len(self.holders) - len(own)
        parts = [self._how_many()]
        if others:
            parts.append(f"{others} of them by other users")
        line = ", ".join(parts)
        if not own:
            return f"{line}; {clients(self.waiting)} waiting."
        counted = f"of user {quoted(user)}: {_counted(own)}" if others else _counted(own)
        lines = [f"{line}{'; ' if others else ': '}{counted}; {clients(self.waiting)} waiting."]
        lines += [f"{whose(each)}: {each.how(self.now)}." for each in own[:NAMED]]
        if len(own) > NAMED:
            lines.append(f"... and {rest(own)}.")
        return "\n".join(lines)

    def hint(self, user: str | None = None) -> str:
        """The way out, by what most of the connections do: those of this database user, or all."""
        found = [each for each in self.holders if user is None or each.user == user]
        if self.holders and not found:
            return OTHERS_HINT
        return hint_for(found) or UNREACHED_HINT

    def fields(self) -> dict[str, Any]:
        """For programs that read the log."""
        return {
            "connections": {
                "held": len(self.holders),
                "opening": self.opening,
                "limit": self.limit or 0,
                "states": dict(Counter(each.kind for each in self.holders)),
            },
            "holders": [each.fields(self.now) for each in self.holders[:NAMED]],
        }

    def _how_many(self) -> str:
        held = len(self.holders)
        if self.limit is None:
            return "No database connection could be opened yet"
        if held >= self.limit:
            many = f"All {held} database connections are"
            return f"{'The only database connection is' if held == 1 else many} held"
        opening = f", {self.opening} being opened" if self.opening else ""
        return f"Of at most {self.limit} database connections {held} are held{opening}"


def hint_for(holders: list[Holder]) -> str:
    """The way out, by what most of these connections do; empty if nobody has to do anything."""
    hints = Counter(_HINTS[each.state] for each in holders if each.state in _HINTS)
    return hints.most_common(1)[0][0] if hints else ""


def named(holders: list[Holder], now: float) -> str:
    """The first few of these, for the log."""
    found = [
        f"[dbConnection={each.server.pid}] {whose(each, with_place=True)}: {each.how(now)}"
        for each in holders[:NAMED]
    ]
    if len(holders) > NAMED:
        found.append(f"and {rest(holders, with_user=True)}")
    return "; ".join(found)


def rest(holders: list[Holder], *, with_user: bool = False) -> str:
    """How many more there are than are named, and how many are whose."""
    others: Counter[tuple[str, str]] = Counter()
    example: dict[tuple[str, str], Holder] = {}
    for each in holders[NAMED:]:
        application = "" if each.client is None else application_of(each.client)
        others[each.user, application] += 1
        example.setdefault((each.user, application), each)
    common = [
        f"{count} of {whose(example[which], with_user=with_user)}"
        for which, count in others.most_common(NAMED)
    ]
    if len(others) > NAMED:
        common.append("...")
    return f"{len(holders) - NAMED} more ({', '.join(common)})"


def whose(holder: Holder, *, with_user: bool = True, with_place: bool = False) -> str:
    """The client of a connection, in words. `with_place`: with its database and address."""
    if holder.client is not None:
        return who(holder.client, with_user=with_user, with_place=with_place)
    return f"user {quoted(holder.user)}" if with_user else "no client"


def who(client: Client, *, with_user: bool = True, with_place: bool = False) -> str:
    """A client in words."""
    words = [f"user {quoted(client.pool.user)}"] if with_user else []
    if with_place:
        words.append(f"database {quoted(client.pool.database)}")
    words.append(f"application {quoted(application_of(client))}")
    if with_place:
        words.append(f"client {telling.address_of(client) or 'on a Unix socket'}")
    return ", ".join(words)


def described(client: Client) -> dict[str, Any]:
    """A client for the log, with its address."""
    known = {"client": telling.address_of(client), **telling.describe(client)}
    return {
        key: each[:NAME_CHARACTERS] if isinstance(each, str) else each
        for key, each in known.items()
    }


def quoted(name: str) -> str:
    """A name that its owner has chosen, on one line and not too long."""
    plain = "".join(c if c.isprintable() else "?" for c in name[:NAME_CHARACTERS])
    cut = "..." if len(name) > NAME_CHARACTERS else ""
    return '"{}{}"'.format(plain.replace('"', '""'), cut)


def seconds(duration_s: float) -> str:
    return f"{max(0.0, duration_s):.1f} s"


def clients(count: int) -> str:
    return "1 client is" if count == 1 else f"{count} clients are"


def _counted(holders: list[Holder]) -> str:
    counts = Counter(each.kind for each in holders)
    return ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
