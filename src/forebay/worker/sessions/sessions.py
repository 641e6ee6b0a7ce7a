"""The clients of one proxy: greets them, ends them, and counts them.

The relay's clients call in here for what is rare or slow (see relay/ports.py); what they ask about
texts, pins and the state of a session is answered by `texts`, `pinner` and `auditor`.
"""

import hmac
import ssl
import sys
from collections import Counter
from dataclasses import dataclass, field

from forebay.config.settings import Pinning
from forebay.net.login import LoggedIn
from forebay.protocol import errors
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.messages import backend_key_data, ready_for_query
from forebay.relay import Client, Loss, MicroPool
from forebay.session.replays import without_refused
from forebay.session.settings import InternTable
from forebay.worker.agenda import Agenda
from forebay.worker.evacuation import Evacuations, Evacuator
from forebay.worker.kept import parameters_of, settings_of, startup_of
from forebay.worker.sessions import telling
from forebay.worker.sessions.applications import Applications
from forebay.worker.sessions.auditor import Auditor
from forebay.worker.sessions.cancel_keys import CancelKeys
from forebay.worker.sessions.functions import NOTHING_SOUGHT, SoughtFunctions
from forebay.worker.sessions.greetings import Greetings
from forebay.worker.sessions.losses import Losses
from forebay.worker.sessions.pinner import Pinner
from forebay.worker.sessions.texts import Texts

# What a login fails with where the proof, or the handshake before it, was wrong.
FAILED_AUTH = frozenset({"28000", "28P01", "08P01"})
# A client that is told why it ends may take so long to receive it.
LAST_WORD_S = 5.0


@dataclass(slots=True)
class Counts:
    """What has happened to the clients of a proxy since the worker started."""

    received: int = 0
    succeeded: int = 0
    failed: int = 0
    failed_auth: int = 0  # ... as the client has not proved who it is, or TLS did not come about
    closed: int = 0
    tls_clients: int = 0  # those that are here now
    tls_resumptions: int = 0
    logins: Counter[str] = field(default_factory=Counter)  # by method
    login_failures: Counter[str] = field(default_factory=Counter)  # by SQLSTATE
    tls_versions: Counter[str] = field(default_factory=Counter)  # of logins

    def logged_in(self, method: str, tls: ssl.SSLObject | None) -> None:
        """A client has proved who it is."""
        self.logins[method] += 1
        if tls is not None:
            self.tls_versions[tls.version() or "unknown"] += 1
            self.tls_resumptions += bool(tls.session_reused)

    def login_failed(self, sqlstate: str) -> None:
        self.failed += 1
        self.failed_auth += sqlstate in FAILED_AUTH
        self.login_failures[sqlstate] += 1


class Sessions:
    """The logged-in clients of one proxy."""

    def __init__(self, agenda: Agenda, intern: InternTable, keys: CancelKeys) -> None:
        self._agenda = agenda
        self._intern = intern
        self._keys = keys
        self.greetings = Greetings(intern)
        self.clients: dict[int, Client] = {}
        self.counts = Counts()
        self.losses = Losses()
        self.pinner = Pinner(agenda)
        self.applications = Applications()
        self.texts = Texts(self.pinner, self.applications)
        self.auditor = Auditor(agenda, intern, self.texts, self.pinner)
        # Of nothing, until told.
        self.evacuations = Evacuations(Evacuator(agenda), ("", 0), self.texts)
        self._listed = NOTHING_SOUGHT
        self._keeps_requests = False

    def apply(self, pinning: Pinning, listed: SoughtFunctions = NOTHING_SOUGHT) -> None:
        """Pin as seldom as possible, or as RDS Proxy does, and look for the functions that are
        listed; what is pinned stays so."""
        self.pinner.as_rds = pinning == "rds"
        self._listed = listed
        self.texts.look_for(listed)
        for client in self.clients.values():
            client.strict = self.pinner.as_rds
            client.look_for(listed.names)

    def keep_requests(self, keep: bool) -> None:
        """Whether requests are kept until they are answered, so that they can be sent again to
        another server."""
        self._keeps_requests = keep
        for client in self.clients.values():
            client.keeps_requests = keep

    # ---- coming ----

    def admit(self, login: LoggedIn, pool: MicroPool) -> Client:
        """Hand a client that has logged in to the relay. Its greeting is sent when its parameters
        are known: from the cache, or from a connection with its settings."""
        detached = login.stream.detach()
        settings = self._intern.settings(login.settings)
        client = Client(
            self._agenda.poller,
            detached.fd,
            pool,
            self,
            self._keys.new_process_id(self.clients),
            settings=settings,
            parameters=self.greetings.parameters(pool, login.settings),
            tls=detached.sslobj,
            incoming=detached.incoming,
            outgoing=detached.outgoing,
        )
        client.protocol_minor = login.protocol_minor
        if login.user != pool.user:
            client.user = sys.intern(login.user)
        client.strict = self.pinner.as_rds
        client.keeps_requests = self._keeps_requests
        client.look_for(self._listed.names)
        self.clients[client.process_id] = client
        self.counts.tls_clients += client.is_tls
        pool.note_clients(1)
        client.put_off(detached.unsent)
        client.start(detached.leftover)
        client.push()
        return client

    def parameters_known(self, client: Client) -> None:
        """The login can be answered."""
        parameters = parameters_of(client)
        self.greetings.remember(client.pool, settings_of(client).values, parameters)
        key = backend_key_data(client.process_id, self.cancel_key(client))
        self.counts.succeeded += 1
        client.welcome(parameters.encoded + key + ready_for_query(b"I"))

    # ---- cancelling ----

    def cancel_key(self, client: Client) -> bytes:
        """The secret that a cancel request for this client must show."""
        return self._keys.key(client.process_id, client.protocol_minor)

    def find(self, process_id: int, key: bytes) -> Client | None:
        """The client that a cancel request names, if it shows the right key."""
        client = self.clients.get(process_id)
        if client is None or not hmac.compare_digest(self.cancel_key(client), key):
            return None
        return client

    # ---- trouble, and the end ----

    def settings_refused(self, client: Client, body: bytes) -> bool:
        """The database has refused the client's settings (`body` of an ErrorResponse). Returns True
        if the client asks for other settings by now; if False, it has been told the error."""
        error = PgError.parse(body)
        values = settings_of(client).values
        kept = without_refused(values, startup_of(client).values, error.message)
        if kept != values:
            client.settings = self._intern.settings(kept)
            return True
        if client.greeted:
            client.answer(error.with_severity(Severity.ERROR).encode())
        else:
            client.fail(error.with_severity(Severity.FATAL).encode(), error.message)
        return False

    def is_interrupted(self, body: bytes) -> bool:
        """Whether the database refused something (ErrorResponse body) for a reason that may be gone
        the next time: it was cancelled, or a timeout cut it short."""
        return PgError.parse(body).is_interrupted

    def violated(self, client: Client, kind: int) -> bytes:
        """The error for a message that PostgreSQL would not read."""
        return errors.protocol_violation(f"invalid frontend message type {kind} or length").encode()

    def server_lost(self, client: Client, reason: str, loss: Loss) -> tuple[int, bytes]:
        """What becomes of a client whose connection is gone, and the error for it."""
        outcome, error = self.losses.decide(client, reason, loss)
        return outcome, b"" if error is None else error.encode()

    def may_repeat(self, client: Client, statement: bytes) -> bool:
        """Whether nothing has happened of what a server has refused that does not write."""
        return self.losses.may_repeat(client, statement)

    def repeats(self, client: Client) -> None:
        """It is about to be sent again."""
        self.losses.repeats()

    def closed(self, client: Client, reason: str) -> None:
        """The client has ended."""
        del self.clients[client.process_id]
        self.pinner.closed(client)
        if client.evacuation is not None:
            self.evacuations.over(client)
        client.pool.note_clients(-1)
        self.counts.closed += 1
        self.counts.failed += not client.greeted
        self.counts.tls_clients -= client.is_tls
        telling.closed(client, reason)
        if not client.is_closed:
            self._agenda.later(LAST_WORD_S, client.drop)
