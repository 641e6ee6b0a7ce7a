"""Where a proxy's connections lead now, which the node tells; and what traffic sees of the
servers, which the worker tells."""

import msgspec

from forebay.topology.reports import HintKind, State


class RouteServer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A server in recovery that answers. ``address``: host:port; ``name``: by which the host was
    found, if that is an address of it: its certificate is for the name. ``weight``: its
    max_connections; 0: it is not known. ``lag_s``: how far it is behind; None: it is not known."""

    address: str
    name: str = ""
    weight: int = 0
    lag_s: float | None = None


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Of one proxy whose target is watched.

    ``epoch`` grows with each switch to another writer: every connection of an earlier one is closed
    before the first to the new writer opens. 0: there was none yet. ``state``: UP: use ``writer``;
    SUSPECT: begin nothing new there; HOLD: nobody is known to write. ``standbys``: servers in
    recovery: what a READ_ONLY proxy uses, and where a READ_WRITE one keeps connections warm.
    ``lost``: servers that do not answer: connections of readers to them are cut. ``servers``: how
    many there are in all, as far as is known; 0: it is not told.
    """

    epoch: int = 0
    state: State = "HOLD"
    writer: str = ""  # host:port
    writer_name: str = ""  # see RouteServer.name
    standbys: list[RouteServer] = []
    lost: list[str] = []
    servers: int = 0
    cause: str = ""  # in words, why the state is not UP


class Routes(msgspec.Struct, frozen=True, kw_only=True, tag="routes"):
    """The routes by proxy, all of them: those that are watched. One whose epoch is lower than what
    the worker knows is old."""

    routes: dict[str, Route] = {}


class Hint(msgspec.Struct, frozen=True, kw_only=True, tag="hint"):
    """Traffic of a proxy saw something of a server (host:port)."""

    proxy: str
    address: str
    kind: HintKind
