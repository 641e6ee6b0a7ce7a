"""What pins clients, and what that costs: pins of one kind together.

A kind is a reason, the digest of a statement and an application. Their number is bounded, for
clients choose two of the three: when there are too many, the kind that has cost least time goes,
into one that stands for all others.
"""

from dataclasses import dataclass

from forebay.session.causes import PinReason

# So many kinds are told apart.
KINDS_LIMIT = 500
# Of a digest and of an application's name so many characters are kept.
DIGEST_CHARACTERS = 300
NAME_CHARACTERS = 63
OTHERS = "(others)"
"""Stands for the digests and applications that are not told apart."""

Kind = tuple[PinReason, str, str]


@dataclass(slots=True)
class Entry:
    """Pins of one kind. ``total_s`` and ``longest_s``: of those that are over."""

    count: int = 0
    total_s: float = 0.0
    longest_s: float = 0.0


class PinBook:
    """The pins of one proxy. Time is an argument, in seconds."""

    def __init__(self, kinds_limit: int = KINDS_LIMIT) -> None:
        self._kinds_limit = kinds_limit
        self._entries: dict[Kind, Entry] = {}
        self._open: dict[tuple[int, PinReason], tuple[Kind, float]] = {}

    def begin(
        self, client: int, reason: PinReason, digest: str, application: str, now: float
    ) -> None:
        """A client, known by its process id, is pinned."""
        kind = reason, digest[:DIGEST_CHARACTERS], application[:NAME_CHARACTERS]
        if kind not in self._entries and len(self._entries) >= self._kinds_limit:
            self._forget_cheapest()
        self._entries.setdefault(kind, Entry()).count += 1
        self._open[client, reason] = kind, now

    def end(self, client: int, reason: PinReason, now: float) -> None:
        """That pin is over."""
        kind, since = self._open.pop((client, reason), (None, now))
        if kind is None:
            return
        entry = self._entries.get(kind) or self._of_others(reason)
        entry.total_s += now - since
        entry.longest_s = max(entry.longest_s, now - since)

    def kinds(self, now: float) -> list[tuple[Kind, Entry, int]]:
        """Every kind with what it has cost until now, and how many pins of it are not over: the one
        that has cost most first."""
        open_now: dict[Kind, int] = {}
        found = {
            kind: Entry(each.count, each.total_s, each.longest_s)
            for kind, each in self._entries.items()
        }
        for kind, since in self._open.values():
            known = kind if kind in found else (kind[0], OTHERS, OTHERS)
            entry = found.setdefault(known, Entry())
            entry.total_s += now - since
            entry.longest_s = max(entry.longest_s, now - since)
            open_now[known] = open_now.get(known, 0) + 1
        rows = [(kind, entry, open_now.get(kind, 0)) for kind, entry in found.items()]
        return sorted(rows, key=lambda row: row[1].total_s, reverse=True)

    def _of_others(self, reason: PinReason) -> Entry:
        return self._entries.setdefault((reason, OTHERS, OTHERS), Entry())

    def _forget_cheapest(self) -> None:
        told_apart = [kind for kind in self._entries if kind[1] is not OTHERS]
        if told_apart:
            cheapest = min(told_apart, key=lambda kind: self._entries[kind].total_s)
            gone = self._entries.pop(cheapest)
            others = self._of_others(cheapest[0])
            others.count += gone.count
            others.total_s += gone.total_s
            others.longest_s = max(others.longest_s, gone.longest_s)
