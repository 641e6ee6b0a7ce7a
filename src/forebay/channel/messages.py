"""What node and worker say to each other.

Both ends are ours, and of one version: a message is a structure, its tag names its type.
"""

from typing import Literal, NamedTuple

import msgspec

from forebay.config.settings import ProxySettings
from forebay.identity.access_keys import AccessKey

LoginMethod = Literal["scram-sha-256", "md5", "iam", "iam-or-scram-sha-256", "iam-or-md5"]
"""How clients prove who they are; see forebay.net.login.methods."""


class Credential(NamedTuple):
    """One user of a proxy; ``auth`` is how its clients log in."""

    username: str
    password: str
    auth: LoginMethod

    def __repr__(self) -> str:
        return f"Credential({self.username!r}, ***, {self.auth!r})"


class WorkerProxy(msgspec.Struct, frozen=True, kw_only=True):
    """One proxy as a worker runs it: everything is resolved, nothing is left to look up."""

    name: str
    listen_fds: list[int]  # listening sockets, inherited; the worker accepts on them
    settings: ProxySettings
    credentials: list[Credential]
    tls_certificate_pem: str
    tls_private_key_pem: str
    access_keys: list[AccessKey] = []  # what IAM tokens are signed with

    def __repr__(self) -> str:
        users = ", ".join(each.username for each in self.credentials)
        return f"WorkerProxy({self.name!r}, listen_fds={self.listen_fds}, users=[{users}])"


class Configure(msgspec.Struct, frozen=True, kw_only=True, tag="configure"):
    """Run these proxies from now on: the first one starts serving, later ones reload.

    Answered by Ready or Refused with the same ``generation``.
    """

    generation: int
    proxies: list[WorkerProxy]
    drain_timeout_s: float  # for a drain that the worker starts itself, on SIGTERM


class Drain(msgspec.Struct, frozen=True, kw_only=True, tag="drain"):
    """Accept nobody, finish transactions, end within ``timeout_s``. A later one shortens it."""

    timeout_s: float


class StatsRequest(msgspec.Struct, frozen=True, kw_only=True, tag="stats?"):
    """Answered by Stats with the same ``id``."""

    id: int


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """The configuration is in force, but for what ``unchanged`` names (in sentences)."""

    generation: int
    unchanged: list[str] = []


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """The configuration is not in force; the one before goes on, if there was one."""

    generation: int
    reason: str


class Stats(msgspec.Struct, frozen=True, kw_only=True, tag="stats"):
    """Counters and gauges by proxy, at the moment of the answer."""

    id: int
    proxies: dict[str, dict[str, int | float]]


class Drained(msgspec.Struct, frozen=True, kw_only=True, tag="drained"):
    """Every connection is closed; the worker ends now."""


class Notice(msgspec.Struct, frozen=True, kw_only=True, tag="notice"):
    """Something the node should log or act on; may be dropped when the node doesn't read."""

    event: str
    proxy: str = ""
    fields: dict[str, str | int | float] = {}


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
NodeMessage = Configure | Drain | StatsRequest | Evacuate | Evacuated | Reopen
WorkerMessage = Ready | Refused | Stats | Drained | Notice | Evacuate | Evacuated | Reopen
