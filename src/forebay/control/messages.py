"""What is said on the control socket, in the channel's frames: requests, each with its answers.

An answer bears the id of its request. Any number of Progress may come first; everything else is
the last answer to its request. A node and a command may be of different versions (the package was
upgraded, the node not yet started anew): fields that one does not know are skipped, new ones have
defaults, and a request that the node does not know is answered by Failed.
"""

import msgspec

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
    """It is under way. ``clients``: how many are left, None if the worker does not say."""

    id: int
    clients: int | None = None


class Stopped(msgspec.Struct, frozen=True, kw_only=True, tag="stopped"):
    """The worker has ended and the node ends now. ``ok``: the worker did not have to be killed."""

    id: int
    ok: bool


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """It could not be done. ``id`` is 0 where the request could not be read."""

    id: int
    reason: str


Request = WhoRequest | StatusRequest | ReloadRequest | StopRequest
Answer = Who | StatusAnswer | ReloadAnswer | Progress | Stopped | Failed
