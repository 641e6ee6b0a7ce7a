"""The control socket: how ``forebay status``, ``reload`` and ``stop`` reach a running node."""

from forebay.control.client import ControlClient, ControlError
from forebay.control.finding import ChoiceError, find
from forebay.control.listener import (
    ControlSocket,
    ControlSocketError,
    obstacle,
    open_control_socket,
)
from forebay.control.messages import (
    Failed,
    Progress,
    ReloadAnswer,
    ReloadRequest,
    StatusAnswer,
    StatusRequest,
    Stopped,
    StopRequest,
)
from forebay.control.server import ControlServer

__all__ = [
    "ChoiceError",
    "ControlClient",
    "ControlError",
    "ControlServer",
    "ControlSocket",
    "ControlSocketError",
    "Failed",
    "Progress",
    "ReloadAnswer",
    "ReloadRequest",
    "StatusAnswer",
    "StatusRequest",
    "StopRequest",
    "Stopped",
    "find",
    "obstacle",
    "open_control_socket",
]
