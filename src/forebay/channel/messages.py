"""What node and worker say to each other.

Both ends are ours, and of one version: a message is a structure, its tag names its type. What has
an answer is a request, and travels in a Call (see calls.py).
"""

from typing import Literal, NamedTuple

import msgspec

from forebay.channel.envelopes import Answer, Call, Failed
from forebay.channel.figures import WorkerFigures
from forebay.channel.routes import Hint, Routes
from forebay.channel.rows import ClientRow, ConnectionRow, ProxyView
from forebay.config.settings import AuthScheme, ClientCert, ProxySettings
from forebay.identity.access_keys import AccessKey

LoginMethod = Literal[
    "scram-sha-256", "md5", "iam", "iam-or-scram-sha-256", "iam-or-md5", "cert", "trust"
]
"""How clients prove who they are; see forebay.net.login.methods."""

AdminColumn = tuple[str, Literal["text", "int4", "int8", "bool", "numeric"]]
"""A column's name and type."""
PoolAction = Literal["pause", "resume", "reconnect", "kill"]


class DatabaseLogin(NamedTuple):
    """One way to log in to the database. ``password`` is plain, or what pg_authid holds of it."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"DatabaseLogin({self.user!r}, ***)"


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """One user of a proxy.

    Clients of it show one of ``passwords`` (plain, or as pg_authid has them; newest first), in the
    way that ``auth`` names. Connections for them belong to the micro-pool of ``identity``, and log
    in to the database by one of ``logins``, tried in this order; by a token of Forebay's own role
    where ``auth_scheme`` is IAM_AUTH. Connections that were made by one of ``outdated`` (the last
    of them) are to be replaced.
    """

    username: str
    auth: LoginMethod = "scram-sha-256"
    passwords: tuple[str, ...] = ()
    identity: str
    logins: tuple[DatabaseLogin, ...] = ()
    outdated: tuple[DatabaseLogin, ...] = ()
    auth_scheme: AuthScheme = "SECRETS"
    client_cert: ClientCert = "no"
    cert_names: tuple[str, ...] = ()

    @property
    def lasting(self) -> frozenset[DatabaseLogin]:
        """The logins whose connections may stay."""
        return frozenset(self.logins).difference(self.outdated)

    def __repr__(self) -> str:
        return f"Credential({self.username!r}, ***, {self.auth!r})"


class CertificatePair(NamedTuple):
    """A certificate with its chain, and its key; both PEM."""

    certificate_pem: str
    private_key_pem: str

    def __repr__(self) -> str:
        return "CertificatePair(***)"


class WorkerProxy(msgspec.Struct, frozen=True, kw_only=True):
    """One proxy as a worker runs it: everything is resolved, nothing is left to look up."""

    name: str
    listeners: list[int]  # the listening sockets, by the node's numbers for them
    settings: ProxySettings
    credentials: list[Credential]
    certificates: list[CertificatePair]  # the first is shown to who asks for no other's name
    client_ca_pem: str | None = None  # what client certificates are checked against
    access_keys: list[AccessKey] = []  # what IAM tokens are signed with
    policies: dict[str, str] = {}  # IAM's JSON, by the names that the log has for them
    paused: list[str] = []  # databases whose connections are lent to nobody; "": all

    def __repr__(self) -> str:
        users = ", ".join(each.username for each in self.credentials)
        return f"WorkerProxy({self.name!r}, listeners={self.listeners}, users=[{users}])"


class CredentialChange(msgspec.Struct, frozen=True, kw_only=True):
    """Users of a proxy that are new or other than before, and names of those that are gone."""

    proxy: str
    users: list[Credential] = []
    gone: list[str] = []


# ---- The node asks the worker --------------------------------------------------------------------


class Apply(msgspec.Struct, frozen=True, kw_only=True, tag="apply"):
    """Take these steps, all of them or none. Answered by Applied, or refused with the reason."""

    open: list[WorkerProxy] = []
    change: list[WorkerProxy] = []
    close: list[str] = []
    credentials: list[CredentialChange] = []
    passed: list[int] = []  # the listeners whose descriptors come along, in this order
    drain_timeout_s: (
        float  # for proxies that close, and for a drain of the worker's own, on SIGTERM
    )

    @property
    def is_empty(self) -> bool:
        """Whether there is no step to take."""
        return not (self.open or self.change or self.close or self.credentials)


class Applied(msgspec.Struct, frozen=True, kw_only=True, tag="applied"):
    """All steps have been taken."""


class FiguresRequest(msgspec.Struct, frozen=True, kw_only=True, tag="figures?"):
    """Answered by Figures. ``pools``: with those of each micro-pool."""

    pools: bool = False


class Figures(msgspec.Struct, frozen=True, kw_only=True, tag="figures"):
    """What the worker has counted, at the moment of the answer."""

    worker: WorkerFigures


class ViewRequest(msgspec.Struct, frozen=True, kw_only=True, tag="view?"):
    """Who holds connections, who waits, what pins: the first ``limit`` of each. Answered by
    View."""

    limit: int = 50


class View(msgspec.Struct, frozen=True, kw_only=True, tag="view"):
    """By proxy."""

    proxies: dict[str, ProxyView]


class ClientsRequest(msgspec.Struct, frozen=True, kw_only=True, tag="clients?"):
    """Some of a proxy's clients, behind ``offset``: 0, or what the part before has said.
    Answered by Clients.

    Asked for in parts, for no relayed traffic is to wait until thousands have been described.
    Clients come and go between two parts: those who are there all the time are told once."""

    proxy: str
    offset: int = 0
    limit: int = 200


class Clients(msgspec.Struct, frozen=True, kw_only=True, tag="clients"):
    """``next_offset``: behind which the next part begins; 0: that was all."""

    rows: list[ClientRow]
    next_offset: int = 0


class ConnectionsRequest(msgspec.Struct, frozen=True, kw_only=True, tag="connections?"):
    """As ClientsRequest, for database connections. Answered by Connections."""

    proxy: str
    offset: int = 0
    limit: int = 200


class Connections(msgspec.Struct, frozen=True, kw_only=True, tag="connections"):
    """As Clients."""

    rows: list[ConnectionRow]
    next_offset: int = 0


class PoolCommand(msgspec.Struct, frozen=True, kw_only=True, tag="pool command"):
    """PgBouncer's RECONNECT and KILL for a proxy's micro-pools of ``database``, or all of them if
    that is empty. Answered by Done at once. What is paused is told by WorkerProxy: for "pause" and
    "resume" only the connections that are left are counted."""

    proxy: str
    action: PoolAction
    database: str = ""


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """It is done. ``left``: how many connections the micro-pools have, those being opened
    included."""

    left: int = 0


# ---- The worker asks the node --------------------------------------------------------------------


class NewerSecret(msgspec.Struct, frozen=True, kw_only=True, tag="newer secret?"):
    """A password of this user's was refused, by the database or by Forebay: is there another one?

    Answered by Refreshed when what has changed is in force here."""

    proxy: str
    user: str


class Refreshed(msgspec.Struct, frozen=True, kw_only=True, tag="refreshed"):
    """Whether something has changed."""

    changed: bool


class VerifyToken(msgspec.Struct, frozen=True, kw_only=True, tag="verify"):
    """May a client log in with this token, which only the node can verify? ``peer``: the client's
    address. Answered by Verified."""

    proxy: str
    user: str
    peer: str
    token: bytes

    def __repr__(self) -> str:
        return f"VerifyToken({self.proxy!r}, ***)"


class Verified(msgspec.Struct, frozen=True, kw_only=True, tag="verified"):
    """Why not (a forebay.identity.tokens.Reason, and a sentence for the log); empty if it may."""

    reason: str = ""
    sentence: str = ""


class MakeToken(msgspec.Struct, frozen=True, kw_only=True, tag="token?"):
    """A token of Forebay's own role, for this user of this database server. Answered by Token."""

    proxy: str
    user: str
    host: str
    port: int


class Token(msgspec.Struct, frozen=True, kw_only=True, tag="token"):
    """It is the password of one login."""

    token: str

    def __repr__(self) -> str:
        return "Token(***)"


class AdminQuery(msgspec.Struct, frozen=True, kw_only=True, tag="admin?"):
    """A command to the admin database, by a client that has logged in as ``user``. Answered by
    AdminResult.

    ``step``: to run it, to tell what its rows would look like, to look again whether a pause has
    come about, or to end a pause that has not. ``offset``: the first of the rows that are told."""

    proxy: str
    user: str
    text: str
    step: Literal["run", "describe", "wait", "undo"] = "run"
    offset: int = 0


class AdminResult(msgspec.Struct, frozen=True, kw_only=True, tag="admin"):
    """What comes of it: ``columns`` with ``rows`` (text; None is NULL) where it shows something,
    and the command's tag; or an error. ``next_offset``: where the next rows begin; 0: that was all.
    ``pending``: how many connections a pause still waits for."""

    columns: list[AdminColumn] = []
    rows: list[list[str | None]] = []
    tag: str = ""
    notice: str = ""
    notice_detail: str = ""
    error: str = ""
    sqlstate: str = ""
    next_offset: int = 0
    pending: int = 0


# ---- What has no answer of its own ---------------------------------------------------------------


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag="begin"):
    """The first message to a worker: what makes its clients' cancel keys.

    Process ids of a worker's clients begin with its own number, so that the key of a client that
    is gone with an earlier worker never fits another one.
    """

    worker_number: int
    cancel_secret: bytes

    def __repr__(self) -> str:
        return f"Begin({self.worker_number}, ***)"


class Drain(msgspec.Struct, frozen=True, kw_only=True, tag="drain"):
    """Accept nobody, finish transactions, end within ``timeout_s``. A later one shortens it."""

    timeout_s: float


class Drained(msgspec.Struct, frozen=True, kw_only=True, tag="drained"):
    """Every connection is closed; the worker ends now."""


class Notice(msgspec.Struct, frozen=True, kw_only=True, tag="notice"):
    """A line of the worker's log, which is written already: for those who look on. Dropped when the
    node does not read."""

    level: str
    text: str


class Evacuate(msgspec.Struct, frozen=True, kw_only=True, tag="evacuate"):
    """A client's statement needs databases of a server (host and port) for itself: close idle
    connections to them, and open none.

    A worker asks, and the node passes it on to all other workers. Answered by Evacuated with the
    same ``id``, which is the sender's own.
    """

    id: int
    server: tuple[str, int]
    alone: list[bytes]
    made: list[bytes] = []  # databases that come into being: what is known of them is not true


class Evacuated(msgspec.Struct, frozen=True, kw_only=True, tag="evacuated"):
    """All other workers have done so, or the node waits for them no longer."""

    id: int


class Reopen(msgspec.Struct, frozen=True, kw_only=True, tag="reopen"):
    """The statement is over: connections to the databases may be opened again."""

    id: int


EvacuationMessage = Evacuate | Evacuated | Reopen

Looking = FiguresRequest | ViewRequest | ClientsRequest | ConnectionsRequest | PoolCommand
"""What is asked about a worker's proxies as they are, and told to their micro-pools."""

NodeRequest = Apply | Looking
WorkerAnswer = Applied | Figures | View | Clients | Connections | Done
WorkerRequest = NewerSecret | VerifyToken | MakeToken | AdminQuery
NodeAnswer = Refreshed | Verified | Token | AdminResult

NodeNews = Begin | Drain | Routes | EvacuationMessage
"""What the node tells, without waiting for an answer."""
WorkerNews = Drained | Notice | Hint | EvacuationMessage
"""What a worker tells."""

NodeMessage = Call[NodeRequest] | Answer[NodeAnswer] | Failed | NodeNews
WorkerMessage = Call[WorkerRequest] | Answer[WorkerAnswer] | Failed | WorkerNews
