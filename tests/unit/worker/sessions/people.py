"""One proxy's sessions with clients and connections that are played."""

import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from forebay.relay import Application, Command
from forebay.session.settings import InternTable, Values
from forebay.worker.sessions.applications import Applications
from forebay.worker.sessions.auditor import Auditor
from forebay.worker.sessions.pinner import Pinner
from forebay.worker.sessions.texts import Texts
from tests.unit.worker.clock import Clock

Done = Callable[[Any, Command], None]


class Connection:
    """As much of a Server as sessions see. ``asked``: what it was asked, and whom to tell."""

    def __init__(self, intern: InternTable) -> None:
        self.pid = 4711
        self.client: Client | None = None
        self.settings = intern.none
        self.parameters = intern.parameters({"client_encoding": "UTF8"})
        self.search_path = '"$user", public'
        self.begins_under_pg_temp = False
        self.retired = self.stale = self.plans_mixed = self.plans_stale = False
        self.lease = SimpleNamespace(sequences_discarded=0)
        self.asked: list[tuple[bytes, Done]] = []
        self.looked_again = 0

    def ask(self, query: bytes, done: Done) -> None:
        self.asked.append((query, done))

    def answer(
        self, *rows: tuple[str | None, ...], error: bytes | None = None, is_cut: bool = False
    ) -> None:
        """The answer to what was asked first."""
        command = Command()
        command.rows = [_data_row(row) for row in rows]
        command.error = error
        command.is_cut = is_cut
        _, done = self.asked.pop(0)
        done(self, command)

    def look_again(self) -> None:
        self.looked_again += 1


def _data_row(values: tuple[str | None, ...]) -> bytes:
    body = struct.pack("!H", len(values))
    for value in values:
        data = (value or "").encode()
        body += struct.pack("!i", -1 if value is None else len(data)) + data
    return body


class Client:
    """As much of a client as sessions see."""

    def __init__(self, proxy: "Proxy", login: Values, user: str, number: int) -> None:
        self.pool = SimpleNamespace(
            database="shop", user=user, changeover=SimpleNamespace(has_init_query=False)
        )
        self.process_id = number
        self.is_closed = True  # it has no socket
        self.server: Any = None
        self.settings = self.startup = proxy.intern.settings(login)
        self.parameters: Any = proxy.intern.parameters({"client_encoding": "UTF8"})
        self.notes: Any = None
        self.meanwhile: object = None
        self.follow_up: Any = None
        self.statements: dict[bytes, Any] | None = None
        self.pinned = self.suspect = self.under_pg_temp = self.reads_all = False
        self.prefers_last = False
        self.application = Application()
        self.dropped = 0
        self.redefined: list[bytes] = []

    def set_pinned(self, pinned: bool) -> None:
        self.pinned = pinned

    def parameters_now(self) -> Any:
        return self.parameters

    def redefine(self, name: bytes, statement: object) -> None:
        assert self.statements is not None
        self.statements[name] = statement
        self.redefined.append(name)

    def note_dropping(self) -> None:
        self.dropped += 1


class Proxy:
    """`as_rds`: it pins as RDS Proxy does."""

    def __init__(self, *, as_rds: bool = False) -> None:
        self.clock = Clock()
        agenda = cast(Any, self.clock)
        self.intern = InternTable()
        self.pinner = Pinner(agenda)
        self.pinner.as_rds = as_rds
        self.applications = Applications()
        self.texts = Texts(self.pinner, self.applications)
        self.auditor = Auditor(agenda, self.intern, self.texts, self.pinner)
        self._numbers = iter(range(1, 1000))

    def client(self, *login: tuple[str, str], user: str = "app", holds: bool = True) -> Any:
        """A client; `holds`: it has a connection."""
        client = Client(self, login, user, next(self._numbers))
        client.application = self.applications.of(cast(Any, client))
        if holds:
            client.server = Connection(self.intern)
            client.server.client = client
        return client
