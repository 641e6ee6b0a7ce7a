"""Clients that waited for a connection and were refused, until the log has told of them."""

from collections import Counter
from dataclasses import dataclass, field

from forebay.protocol.errors import PgError
from forebay.relay import Client
from forebay.worker.pool.holders import NAMED, described, seconds, who


@dataclass(slots=True)
class Refused:
    """Those that were refused for one reason (an SQLSTATE)."""

    error: PgError  # the first's
    count: int = 0
    longest_s: float = 0.0
    first: list[str] = field(default_factory=list)
    fields: list[dict[str, object]] = field(default_factory=list)

    def sentence(self) -> str:
        """For the log: how many, what they were told, and who they are."""
        words = "; ".join(self.first)
        if self.count > len(self.first):
            words += f"; and {self.count - len(self.first)} more"
        many = "A client that waited" if self.count == 1 else f"{self.count} clients that waited"
        was = "was" if self.count == 1 else "were"
        return (
            f"{many} for a database connection {was} refused after {seconds(self.longest_s)}:"
            f" {self.error.message.rstrip('.')}. Who: {words}."
        )


class Refusals:
    """Counts and names them; nothing is written here, as hundreds may come at once."""

    def __init__(self) -> None:
        self._untold: dict[str, Refused] = {}
        self.counts: Counter[str] = Counter()  # by SQLSTATE, since the start

    def __bool__(self) -> bool:
        return bool(self._untold)

    def note(self, client: Client, error: PgError, now: float) -> None:
        """A client that waits is about to be told `error`."""
        if client.place is None:
            return
        self.counts[error.sqlstate] += 1
        refused = self._untold.get(error.sqlstate)
        if refused is None:
            refused = self._untold[error.sqlstate] = Refused(error)
        waited_s = now - client.place.waits_since
        refused.count += 1
        refused.longest_s = max(refused.longest_s, waited_s)
        if len(refused.first) < NAMED:
            refused.first.append(who(client, with_place=True))
            refused.fields.append({**described(client), "waited_s": round(waited_s, 3)})

    def take(self) -> list[Refused]:
        """All that was not told yet; told from now on."""
        untold = list(self._untold.values())
        self._untold.clear()
        return untold
