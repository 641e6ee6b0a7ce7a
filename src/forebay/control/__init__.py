"""The control socket: how commands such as ``forebay status`` and ``stop`` reach a running node."""

from forebay.control.client import ControlClient, ControlError
from forebay.control.console.console import Console
from forebay.control.finding import ChoiceError, find
from forebay.control.listener import (
    ControlSocket,
    ControlSocketError,
    obstacle,
    open_control_socket,
)
from forebay.control.messages import (
    ClientsAnswer,
    ClientsRequest,
    EventsAnswer,
    EventsRequest,
    Failed,
    FiguresAnswer,
    FiguresRequest,
    PoolDone,
    PoolRequest,
    PoolsAnswer,
    PoolsRequest,
    Progress,
    ReloadAnswer,
    ReloadRequest,
    StatusAnswer,
    StatusRequest,
    Stopped,
    StopRequest,
    ViewAnswer,
    ViewRequest,
)
from forebay.control.server import ControlServer

__all__ = [
    "ChoiceError",
    "ClientsAnswer",
    "ClientsRequest",
    "Console",
    "ControlClient",
    "ControlError",
    "ControlServer",
    "ControlSocket",
    "ControlSocketError",
    "EventsAnswer",
    "EventsRequest",
    "Failed",
    "FiguresAnswer",
    "FiguresRequest",
    "PoolDone",
    "PoolRequest",
    "PoolsAnswer",
    "PoolsRequest",
    "Progress",
    "ReloadAnswer",
    "ReloadRequest",
    "StatusAnswer",
    "StatusRequest",
    "StopRequest",
    "Stopped",
    "ViewAnswer",
    "ViewRequest",
    "find",
    "obstacle",
    "open_control_socket",
]
