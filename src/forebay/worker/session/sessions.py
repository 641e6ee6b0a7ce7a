"""The clients of one proxy: greets them, decides what pins them, ends them, and counts them.

The relay's clients call in here for what is rare or slow (see relay/client.pyx).
"""

import hashlib
import hmac
import logging
import secrets
from collections import Counter, OrderedDict
from dataclasses import dataclass

from forebay.protocol import errors
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.messages import backend_key_data, ready_for_query
from forebay.sql.digest import digest
from forebay.sql.effects import EffectsCache
from forebay.worker.agenda import Agenda
from forebay.worker.login import LoggedIn
from forebay.worker.relay import Client, MicroPool
from forebay.worker.session.pins import EXPLANATIONS, PinReason, pin_reason
from forebay.worker.session.settings import InternTable, Parameters, Values

logger = logging.getLogger("forebay.session")

# What clients with equal settings were told at login, kept to answer the next ones from.
GREETINGS_KEPT = 1024
# A client that is told why it ends may take so long to receive it.
LAST_WORD_S = 5.0
# Cancel keys: four bytes in protocol 3.0, up to 256 in 3.2.
SHORT_KEY_BYTES = 4
LONG_KEY_BYTES = 32
# Encodings in which the second byte of a character may look like a backslash: what an escape string
# holds cannot be read with certainty.
AMBIGUOUS_ENCODINGS = frozenset(
    {"SJIS", "SHIFT_JIS_2004", "BIG5", "GBK", "UHC", "GB18030", "JOHAB"}
)
# The longest application_name that PostgreSQL reports as it was given (NAMEDATALEN - 1).
NAME_BYTES = 63


@dataclass(slots=True)
class Counts:
    """What has happened to the clients of a proxy since the worker started."""

    received: int = 0
    succeeded: int = 0
    failed: int = 0
    closed: int = 0


class Sessions:
    """The logged-in clients of one proxy."""

    def __init__(self, agenda: Agenda, intern: InternTable) -> None:
        self._agenda = agenda
        self._intern = intern
        self._effects = EffectsCache()
        self._known: OrderedDict[tuple[str, str, Values, bool], Parameters] = OrderedDict()
        self._secret = secrets.token_bytes(32)
        self._next_process_id = 1 + secrets.randbelow(2**30)
        self.clients: dict[int, Client] = {}
        self.counts = Counts()
        self.pins: Counter[str] = Counter()

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
            self._new_process_id(),
            settings=settings,
            parameters=self._known_parameters(pool, login.settings),
            tls=detached.sslobj,
            incoming=detached.incoming,
            outgoing=detached.outgoing,
        )
        client.protocol_minor = login.protocol_minor
        self.clients[client.process_id] = client
        pool.clients += 1
        client.start(detached.leftover)
        return client

    def _new_process_id(self) -> int:
        """A number that no living client has; not reused before two billion others."""
        while True:
            number = self._next_process_id
            self._next_process_id = number % (2**31 - 1) + 1
            if number not in self.clients:
                return number

    def _known_parameters(self, pool: MicroPool, values: Values) -> Parameters | None:
        """What a connection with these settings reports, as far as it was seen.

        application_name is reported as it was given, so that names of clients (often unique) do
        not each cost a connection.
        """
        rest, name = _split_name(values)
        known = self._known.get((pool.database, pool.user, rest, name is not None))
        if known is None or name is None:
            return known
        return self._intern.parameters({**known.values, "application_name": name})

    def parameters_known(self, client: Client) -> None:
        """The login can be answered."""
        self._remember(client)
        key = backend_key_data(client.process_id, self.cancel_key(client))
        self.counts.succeeded += 1
        client.welcome(client.parameters.encoded + key + ready_for_query(b"I"))

    def _remember(self, client: Client) -> None:
        rest, name = _split_name(client.settings.values)
        # Not by the pool: that is forgotten when it has neither clients nor connections.
        key = (client.pool.database, client.pool.user, rest, name is not None)
        self._known[key] = client.parameters
        self._known.move_to_end(key)
        if len(self._known) > GREETINGS_KEPT:
            self._known.popitem(last=False)

    def forget_parameters(self) -> None:
        """The database may report other parameters from now on (a new init_query, say)."""
        self._known.clear()

    # ---- cancelling ----

    def cancel_key(self, client: Client) -> bytes:
        """The secret that a cancel request for this client must show."""
        length = LONG_KEY_BYTES if client.protocol_minor >= 2 else SHORT_KEY_BYTES
        number = client.process_id.to_bytes(4, "big")
        return hmac.digest(self._secret, number, hashlib.sha256)[:length]

    def find(self, process_id: int, key: bytes) -> Client | None:
        """The client that a cancel request names, if it shows the right key."""
        client = self.clients.get(process_id)
        if client is None or not hmac.compare_digest(self.cancel_key(client), key):
            return None
        return client

    # ---- what the relay asks ----

    def examine(self, client: Client, text: bytes) -> str | None:
        """Why this statement pins the client; None if it does not."""
        values = client.parameters.values
        effects = self._effects.effects(
            text,
            standard_conforming_strings=values.get("standard_conforming_strings") != "off",
            ambiguous_encoding=values.get("client_encoding", "").upper() in AMBIGUOUS_ENCODINGS,
        )
        reason = pin_reason(effects)
        return None if reason is None else reason.value

    def pinned(self, client: Client, code: str, statement: bytes | None) -> None:
        """The client is pinned now; say why, in RDS Proxy's words."""
        reason = PinReason(code)
        self.pins[code] += 1
        text = "" if statement is None else f' Digest: "{digest(statement)}".'
        logger.warning(
            "The client session was pinned to the database connection [dbConnection=%d] for the"
            " remainder of the session. The proxy can't reuse this connection until the session"
            " ends. Reason: %s%s",
            0 if client.server is None else client.server.pid,
            EXPLANATIONS[reason],
            text,
            extra={"fields": {"reason": code, **_describe(client)}},
        )

    def settings_refused(self, client: Client, body: bytes) -> None:
        """The database did not accept the client's settings."""
        error = PgError.parse(body)
        if client.greeted:
            client.answer(error.with_severity(Severity.ERROR).encode())
        else:
            client.fail(error.with_severity(Severity.FATAL).encode(), error.message)

    def violated(self, client: Client, kind: int) -> bytes:
        """The error for a message that PostgreSQL would not read."""
        return errors.protocol_violation(f"invalid frontend message type {kind} or length").encode()

    def server_lost(self, client: Client, reason: str) -> bytes:
        """The error for a client whose connection is gone."""
        return errors.server_lost(reason).encode()

    def closed(self, client: Client, reason: str) -> None:
        """The client has ended."""
        del self.clients[client.process_id]
        client.pool.clients -= 1
        self.counts.closed += 1
        logger.debug(
            "The client connection closed. Reason: %s", reason, extra={"fields": _describe(client)}
        )
        if not client.is_closed:
            self._agenda.later(LAST_WORD_S, client.drop)


def _split_name(values: Values) -> tuple[Values, str | None]:
    """Settings without application_name, and its value if it is reported as it was given."""
    for index, (name, value) in enumerate(values):
        if name == "application_name":
            if value.isascii() and value.isprintable() and len(value) <= NAME_BYTES:
                return values[:index] + values[index + 1 :], value
            break
    return values, None


def _describe(client: Client) -> dict[str, str | int]:
    values = dict(client.settings.values)
    return {
        "clientConnection": client.process_id,
        "user": client.pool.user,
        "database": client.pool.database,
        "application_name": values.get("application_name", ""),
    }
