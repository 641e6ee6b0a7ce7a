"""Statements that need a database for themselves: DROP DATABASE, ALTER DATABASE … RENAME, CREATE
DATABASE … TEMPLATE. PostgreSQL runs them only where nobody else is connected, so Forebay leaves
first, with all its proxies before that server, those of other workers of its node too.

    a client's text ─▶ waits() ─▶ Holds.begin of every such proxy, Evacuate to the node
                                  Evacuated, or it does not answer in time ─▶ the client goes on
    the client's transaction is over, or it has left ─▶ over() ─▶ Holds.end, Reopen
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from forebay.channel import Evacuate, Evacuated, EvacuationMessage, Reopen
from forebay.relay import Client
from forebay.relay.ports import ReadingPort
from forebay.sql.databases import DatabaseUse, may_use_databases
from forebay.worker.agenda import Agenda
from forebay.worker.pool.holds import HOLD_LIMIT_S, Holds
from forebay.worker.sessions.texts import EXAMINED_BYTES, Texts

# So long a statement waits for other workers at most. Longer than the node waits for each of them.
EVACUATED_TIMEOUT_S = 2.0

Place = tuple[str, int]
"""Host and port of a database server, as the configuration has them."""


@dataclass(slots=True, eq=False)
class Evacuation:
    """What one client needs for itself, and by which numbers that is known to others."""

    client: Client
    server: Place
    ends_at: float
    use: DatabaseUse = field(default_factory=DatabaseUse)
    numbers: list[int] = field(default_factory=list)
    is_awaited: bool = False  # other workers have not answered yet


class Evacuator:
    """The evacuations of one worker. ``tell`` sends to the node, if there is one, and returns
    whether that was possible."""

    def __init__(self, agenda: Agenda) -> None:
        self.tell: Callable[[EvacuationMessage], bool] = lambda _: False
        self._agenda = agenda
        self._numbers = itertools.count(1)
        self._holds: list[tuple[Place, Holds]] = []
        self._awaited: dict[int, Evacuation] = {}

    def add(self, server: Place, holds: Holds) -> None:
        """Let `holds` take part in evacuations of this server from now on."""
        self._holds.append((server, holds))

    def remove(self, holds: Holds) -> None:
        """Let `holds` take part no longer."""
        self._holds = [each for each in self._holds if each[1] is not holds]

    # ---- for this worker's clients ----

    def must_wait(self, client: Client, server: Place, use: DatabaseUse) -> bool:
        """Whether a client's statement has to wait. If so, it is told when it may go on."""
        evacuation = _evacuation_of(client)
        if evacuation is not None and evacuation.ends_at <= self._agenda.now():
            self.over(client)
            evacuation = None
        if evacuation is None:
            evacuation = Evacuation(client, server, self._agenda.now() + HOLD_LIMIT_S)
            client.evacuation = evacuation
        if not use.names <= evacuation.use.names or not use.alone <= evacuation.use.alone:
            self._begin(evacuation, use)
        return evacuation.is_awaited

    def _begin(self, evacuation: Evacuation, use: DatabaseUse) -> None:
        number = next(self._numbers)
        before = evacuation.use
        evacuation.use = DatabaseUse(before.alone | use.alone, before.made | use.made)
        evacuation.numbers.append(number)
        for holds in self._before(evacuation.server):
            holds.begin(number, use, evacuation.client.server)
        alone, made = sorted(use.alone), sorted(use.made)
        if self.tell(Evacuate(id=number, server=evacuation.server, alone=alone, made=made)):
            evacuation.is_awaited = True
            self._awaited[number] = evacuation
            self._agenda.later(EVACUATED_TIMEOUT_S, self._go_on, number)

    def _go_on(self, number: int) -> None:
        """Other workers have answered, or had their time."""
        evacuation = self._awaited.pop(number, None)
        if evacuation is None or not self._awaited.keys().isdisjoint(evacuation.numbers):
            return
        evacuation.is_awaited = False
        if evacuation.client.evacuation is evacuation:
            evacuation.client.evacuated()

    def over(self, client: Client) -> None:
        """What the client needed databases for is over, or it has left."""
        evacuation, client.evacuation = _evacuation_of(client), None
        if evacuation is None:
            return
        for number in evacuation.numbers:
            self._awaited.pop(number, None)
            for holds in self._before(evacuation.server):
                holds.end(number)
            self.tell(Reopen(id=number))

    # ---- for other workers' ----

    def hear(self, message: EvacuationMessage) -> None:
        """Take a message from the node. The number in it is another worker's, unless it is the
        answer to an Evacuate of ours."""
        match message:
            case Evacuated(id=number):
                self._go_on(number)
            case Evacuate(id=number, server=server):
                use = DatabaseUse(frozenset(message.alone), frozenset(message.made))
                for holds in self._before(server):
                    holds.begin(("node", number), use)
                self.tell(Evacuated(id=number))
            case Reopen(id=number):
                for _, holds in self._holds:
                    holds.end(("node", number))

    def _before(self, server: Place) -> Iterator[Holds]:
        return (holds for place, holds in self._holds if place == server)


def _evacuation_of(client: Client) -> Evacuation | None:
    return client.evacuation if isinstance(client.evacuation, Evacuation) else None


class Evacuations:
    """What one proxy's clients ask for. See relay/ports.py."""

    def __init__(self, evacuator: Evacuator, server: Place, texts: Texts) -> None:
        self._evacuator = evacuator
        self._server = server
        self._texts = texts

    def waits(self, client: Client, text: bytes, reading: ReadingPort | None = None) -> bool:
        """A statement is about to run. Whether it has to wait until others have left a database.
        `reading`: as the text was read when it was prepared, if that matters."""
        if len(text) > EXAMINED_BYTES or not may_use_databases(text):
            return False
        use = self._texts.facts(client, text, reading).databases
        return bool(use.alone) and self._evacuator.must_wait(client, self._server, use)

    def over(self, client: Client) -> None:
        """The client's transaction is over, or it has left."""
        self._evacuator.over(client)
