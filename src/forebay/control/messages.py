"""What is said on the control socket, in the channel's frames: requests, each with its answers.

An answer bears the id of its request. The last one to a request is the first that is no Progress
and has no ``more`` behind it: what may be long comes in parts, none of which is large. A node and
a command may be of different versions (the package was upgraded, the node not yet started anew):
fields that one does not know are skipped, new ones have defaults, and a request that the node does
not know is answered by Failed.
"""

import msgspec

from forebay.channel import ClientRow, PoolAction, PoolFigures, ProxyView
from forebay.node.events import Event
from forebay.node.processes import NodeFigures
from forebay.node.reloads import Reload
from forebay.node.status import Status

# No request has anything long in it.
MAX_REQUEST_BYTES = 64 * 1024
# A status of some thousand proxies fits.
MAX_ANSWER_BYTES = 4 * 1024 * 1024


class WhoRequest(msgspec.Struct, frozen=True, kw_only=True, tag="who?"):
    """Which node is this? Answered at once, by Who."""

    id: int


class StatusRequest(msgspec.Struct, frozen=True, kw_only=True, tag="status?"):
    """Answered by StatusAnswer."""

    id: int


class ReloadRequest(msgspec.Struct, frozen=True, kw_only=True, tag="reload?"):
    """Read the configuration again, as SIGHUP does. Answered by ReloadAnswer."""

    id: int


class StopRequest(msgspec.Struct, frozen=True, kw_only=True, tag="stop?"):
    """Drain and end, as SIGTERM does; ``now``: end at once, as a second SIGTERM does. Answered by
    Progress while clients are left, and by Stopped."""

    id: int
    now: bool = False


class FiguresRequest(msgspec.Struct, frozen=True, kw_only=True, tag="figures?"):
    """What has been counted until now. Answered by FiguresAnswer."""

    id: int


class ViewRequest(msgspec.Struct, frozen=True, kw_only=True, tag="view?"):
    """Who holds connections, who waits, what pins, in one proxy or (empty) in each. Answered by
    ViewAnswers."""

    id: int
    proxy: str = ""


class PoolsRequest(msgspec.Struct, frozen=True, kw_only=True, tag="pools?"):
    """The micro-pools of one proxy or (empty) of each. Answered by PoolsAnswers."""

    id: int
    proxy: str = ""


class ClientsRequest(msgspec.Struct, frozen=True, kw_only=True, tag="clients?"):
    """The clients of one proxy or (empty) of each. Answered by ClientsAnswers."""

    id: int
    proxy: str = ""


class EventsRequest(msgspec.Struct, frozen=True, kw_only=True, tag="events?"):
    """What has happened lately, behind the event of number ``after``. Answered by EventsAnswer."""

    id: int
    after: int = 0


class PoolRequest(msgspec.Struct, frozen=True, kw_only=True, tag="pool?"):
    """Pause, resume, reconnect or kill the micro-pools of ``database``, or (empty) all of them, of
    the proxy, which may be unnamed where there is but one. Answered by Progress while connections
    are left that a pause waits for, and by PoolDone. If the asker leaves before that, the pause is
    ended. A pause ends by itself when another server writes, unless it ``stays``."""

    id: int
    action: PoolAction
    proxy: str = ""
    database: str = ""
    stays: bool = False


class Who(msgspec.Struct, frozen=True, kw_only=True, tag="who"):
    """A node, as far as is needed to tell it from others."""

    id: int
    pid: int
    version: str
    configuration: str  # the file's whole path, or words
    listen: list[str]


class StatusAnswer(msgspec.Struct, frozen=True, kw_only=True, tag="status"):
    """The node at the moment of the answer."""

    id: int
    status: Status


class ReloadAnswer(msgspec.Struct, frozen=True, kw_only=True, tag="reload"):
    """What came of it."""

    id: int
    reload: Reload


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag="progress"):
    """It is under way. ``clients``: how many are left, None if the worker does not say;
    ``connections``: how many a pause waits for."""

    id: int
    clients: int | None = None
    connections: int | None = None


class Stopped(msgspec.Struct, frozen=True, kw_only=True, tag="stopped"):
    """The worker has ended and the node ends now. ``ok``: the worker did not have to be killed."""

    id: int
    ok: bool


class FiguresAnswer(msgspec.Struct, frozen=True, kw_only=True, tag="figures"):
    """All figures, but for those of micro-pools."""

    id: int
    figures: NodeFigures


class ViewAnswer(msgspec.Struct, frozen=True, kw_only=True, tag="view"):
    """By proxy: one of them, or none where there is none."""

    id: int
    views: dict[str, ProxyView]
    more: bool = False


class PoolsAnswer(msgspec.Struct, frozen=True, kw_only=True, tag="pools"):
    """Some micro-pools of one proxy."""

    id: int
    proxy: str
    pools: list[PoolFigures]
    more: bool = False


class ClientsAnswer(msgspec.Struct, frozen=True, kw_only=True, tag="clients"):
    """Some clients of one proxy."""

    id: int
    proxy: str
    clients: list[ClientRow]
    more: bool = False


class EventsAnswer(msgspec.Struct, frozen=True, kw_only=True, tag="events"):
    """In their order."""

    id: int
    events: list[Event]


class PoolDone(msgspec.Struct, frozen=True, kw_only=True, tag="pool done"):
    """It is done."""

    id: int


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """It could not be done. ``id`` is 0 where the request could not be read."""

    id: int
    reason: str


LookRequest = FiguresRequest | ViewRequest | PoolsRequest | ClientsRequest | EventsRequest
"""What changes nothing."""
LookAnswer = FiguresAnswer | ViewAnswer | PoolsAnswer | ClientsAnswer | EventsAnswer

Request = WhoRequest | StatusRequest | ReloadRequest | StopRequest | PoolRequest | LookRequest
Answer = Who | StatusAnswer | ReloadAnswer | Progress | Stopped | PoolDone | LookAnswer | Failed
